"""Everything for somebody who has no configuration yet: what is here to ask, and a first router for it."""

from suffice.starter.detect import Found, Offer, look
from suffice.starter.panel import Entry, Panel, choose, local_panel, recorded_panel
from suffice.starter.ready import prepare, starter_dir, write
from suffice.starter.router import Starter, train
from suffice.starter.writing import ROUTER_DIR, as_yaml

__all__ = [
    "ROUTER_DIR",
    "Entry",
    "Found",
    "Offer",
    "Panel",
    "Starter",
    "as_yaml",
    "choose",
    "local_panel",
    "look",
    "prepare",
    "recorded_panel",
    "starter_dir",
    "train",
    "write",
]
