"""Bandits: which arm to pull for a context, learnt from rewards of the arms that were pulled.

They hold numbers only: no clock (`now` is passed in), no network. Live they stand behind a policy; on
recorded outcomes `suffice replay` plays them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suffice.bandits.base import Bandit, BaseBandit, Estimates, Pull
from suffice.bandits.files import read_name
from suffice.registry import Registry

__all__ = [
    "Bandit",
    "BaseBandit",
    "Estimates",
    "Pull",
    "available",
    "create",
    "get",
    "load_bandit",
    "read_name",
    "registry",
]

_HERE = "suffice.bandits"
registry = Registry(
    "bandit",
    "suffice.bandits",
    {
        "linucb": f"{_HERE}.linucb:LinUCB",
        "lin_ts": f"{_HERE}.lin_ts:LinTS",
        "epsilon_greedy": f"{_HERE}.epsilon_greedy:EpsilonGreedy",
        "discounted_linucb": f"{_HERE}.discounted_linucb:DiscountedLinUCB",
        "sliding_window": f"{_HERE}.sliding_window:SlidingWindow",
        "squarecb": f"{_HERE}.squarecb:SquareCB",
        "neural_linear": f"{_HERE}.neural_linear:NeuralLinear",
        "exp3": f"{_HERE}.exp3:Exp3",
        "pilot": f"{_HERE}.pilot:Pilot",
    },
)


def available() -> tuple[str, ...]:
    """Names of all bandits that can be created."""
    return registry.available()


def get(name: str) -> Any:
    """The class of that name, or of `path/to/file.py:ClassName`."""
    return registry.get(name)


def create(name: str, arms: Any, d: int, **params: Any) -> Any:
    """A bandit by name, that has learnt nothing.

    Parameters
    ----------
    arms : names
    d : length of a context

    Raises
    ------
    ConfigError
        If it has no such parameter, or not of that type.
    """
    return registry.create(name, params, {"arms": tuple(arms), "d": d})


def load_bandit(directory: Path) -> Bandit:
    """Whichever kind was saved there, with what it waits for.

    Raises
    ------
    ArtefactError
        If it is missing, damaged or of another version.
    """
    found: Bandit = registry.get(read_name(Path(directory))).load(Path(directory))
    return found
