"""Which of the models that were found make a panel, and which recorded model each is taken to resemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from suffice.catalogue import LOCAL_USD_PER_CPU_HOUR
from suffice.starter.detect import LOCAL_FILES, Found, Offer

TERSE: Final = "Reply with the final answer only, no explanation."
STEPS: Final = (
    "Think step by step in at most three short sentences. "
    "Then write the final answer on the last line as 'Answer: ...'."
)
"""System prompts of the recorded panel: its scores hold for models that are asked in the same way."""

RECORDED_LIMITS: Final = {"small": 64, "small-steps": 200, "large": 64}
"""Tokens at which recorded answers end: predicted costs hold for answers that end there too."""
LOCAL_MAX_TOKENS: Final = 512


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate, as it will stand in suffice.yaml."""

    name: str
    provider: str
    model: str
    key: str | None = None
    """The environment variable that holds the key."""
    base_url: str | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    """Given where the catalogue has none: an assumption."""
    usd_per_cpu_hour: float | None = None
    system: str | None = None
    max_tokens: int | None = None
    arm: str | None = None
    """The candidate of the recorded panel whose scores it starts with; None: only a fallback."""
    note: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """The candidates of somebody who has configured none."""

    kind: Literal["remote", "local", "recorded"]
    entries: tuple[Entry, ...]
    found: str
    """What it rests on, in words."""

    @property
    def arms(self) -> dict[str, str]:
        """Candidate -> recorded candidate."""
        return {entry.name: entry.arm for entry in self.entries if entry.arm is not None}

    @property
    def borrows(self) -> str | None:
        """In words, whose scores these candidates start with; None where they are their own."""
        if self.kind != "remote":
            return None
        pairs = ", ".join(f"{name} starts with those of {arm!r}" for name, arm in self.arms.items())
        return (
            f"scores are borrowed from the recorded panel of small local models: {pairs}; "
            "train a router on your own outcomes to replace them"
        )


def choose(found: Found, *, local: bool = False) -> Panel | None:
    """The best panel of what was found; None where there is nothing to ask.

    Keys and servers go first: the cheapest and the dearest offer are routed between, the rest are
    fallbacks. Without two of them, the local models, where both are here. A single offer makes a panel
    that has nothing to choose.

    Parameters
    ----------
    local : take the local models, whatever else there is, and pulled or not
    """
    words = "; ".join(found.seen)
    if local:
        return local_panel(words)
    if len(found.offers) > 1:
        return _remote_panel(found.offers, words)
    if set(found.pulled) >= set(LOCAL_FILES):
        return local_panel(words, found.offers)
    return _remote_panel(found.offers, words) if found.offers else None


def local_panel(
    found: str = "local models", others: Sequence[Offer] = (), *, as_recorded: bool = False
) -> Panel:
    """Two local models as three candidates.

    Parameters
    ----------
    others : fallbacks
    as_recorded : end answers where recorded ones end, unless a request sets its own limit
    """
    limits = RECORDED_LIMITS if as_recorded else dict.fromkeys(RECORDED_LIMITS, LOCAL_MAX_TOKENS)
    return Panel(
        kind="local",
        entries=(
            _local("small", "small", TERSE, limits, "Qwen2.5-Coder 0.5B, asked for the answer alone"),
            _local("small-steps", "small", STEPS, limits, "the same file, told to think step by step"),
            _local("large", "large", TERSE, limits, "Qwen2.5-Coder 1.5B, asked for the answer alone"),
            *(_offered(offer, None) for offer in others if offer.model not in limits),
        ),
        found=found,
    )


def recorded_panel() -> Panel:
    """Nothing live: recorded answers to recorded questions."""
    note = "recorded answers"
    return Panel(
        kind="recorded",
        entries=tuple(
            Entry(name=name, provider="recorded", model=name, arm=name, note=note) for name in RECORDED_LIMITS
        ),
        found="the recorded panel",
    )


def _local(name: str, file: str, system: str, limits: Mapping[str, int], note: str) -> Entry:
    return Entry(
        name=name,
        provider="local",
        model=file,
        usd_per_cpu_hour=float(LOCAL_USD_PER_CPU_HOUR),
        system=system,
        max_tokens=limits[name],
        arm=name,
        note=note,
    )


def _remote_panel(offers: Sequence[Offer], found: str) -> Panel:
    """Cheapest first, dearest last; equal ids of two providers are told apart by the provider's name."""
    ordered = sorted(offers, key=lambda offer: (offer.output_usd_per_mtok, offer.input_usd_per_mtok))
    arms = {0: "small", len(ordered) - 1: "large"} if len(ordered) > 1 else {}
    models = [offer.model for offer in ordered]
    entries = [
        _offered(offer, arms.get(place), is_twin=models.count(offer.model) > 1)
        for place, offer in enumerate(ordered)
    ]
    return Panel(kind="remote", entries=tuple(entries), found=found)


def _offered(offer: Offer, arm: str | None, *, is_twin: bool = False) -> Entry:
    notes = {"small": "the cheapest", "large": "the dearest, taken to be the strongest"}
    return Entry(
        name=f"{offer.provider}-{offer.model}" if is_twin else offer.model,
        provider=offer.provider,
        model=offer.model,
        key=offer.key,
        base_url=offer.base_url,
        input_usd_per_mtok=offer.input_usd_per_mtok if offer.is_assumed else None,
        output_usd_per_mtok=offer.output_usd_per_mtok if offer.is_assumed else None,
        arm=arm,
        note=notes.get(arm or "", "asked when the others fail, or by name"),
    )
