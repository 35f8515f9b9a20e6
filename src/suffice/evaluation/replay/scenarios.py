"""What may happen in the middle of a stream. Policies are not told, but that price lists are public."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from suffice.budgets.bound import price_of
from suffice.errors import ConfigError, UnknownName
from suffice.evaluation.replay.stream import Stream

Scenario = Callable[[Stream, float], Stream]


def none(stream: Stream, budget_usd: float) -> Stream:
    """As recorded."""
    return stream


def drift(stream: Stream, budget_usd: float) -> Stream:
    """From the middle on, the arm that hindsight would use most does 40 % worse."""
    rewards = stream.rewards.copy()
    rewards[len(stream) // 2 :, _favourite(stream, budget_usd)] *= 0.6
    return replace(stream, rewards=rewards)


def outage(stream: Stream, budget_usd: float) -> Stream:
    """That arm cannot be asked from 40 % to 60 % of the stream."""
    _needs_two(stream, "outage")
    available = stream.available.copy()
    available[int(0.4 * len(stream)) : int(0.6 * len(stream)), _favourite(stream, budget_usd)] = False
    return replace(stream, available=available)


def price_change(stream: Stream, budget_usd: float) -> Stream:
    """From the middle on, that arm costs three times as much, as the new price list says."""
    factor, arm = stream.price_factor.copy(), _favourite(stream, budget_usd)
    factor[len(stream) // 2 :, arm] *= 3
    costs = stream.costs * factor / stream.price_factor
    return replace(stream, costs=costs, price_factor=factor)


def new_model(stream: Stream, budget_usd: float) -> Stream:
    """That arm is not there before a third of the stream is over; no warm data know it."""
    _needs_two(stream, "new_model")
    available = stream.available.copy()
    available[: len(stream) // 3, _favourite(stream, budget_usd)] = False
    return replace(stream, available=available)


SCENARIOS: Final[dict[str, Scenario]] = {
    "none": none,
    "drift": drift,
    "outage": outage,
    "price_change": price_change,
    "new_model": new_model,
}


def scenario(name: str) -> Scenario:
    """By name.

    Raises
    ------
    UnknownName
        If there is none.
    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    return SCENARIOS[name]


def newcomer(name: str, stream: Stream, budget_usd: float) -> str | None:
    """The arm that comes later, about which nothing may be known at the start; None: there is none."""
    if name != "new_model" or len(stream.arms) < 2:
        return None
    return stream.arms[_favourite(stream, budget_usd)]


def _favourite(stream: Stream, budget_usd: float) -> int:
    """The arm that the best choices in hindsight take most often."""
    price = price_of(stream.rewards, stream.costs, budget_usd)
    price = min(price, 1e12)
    best = (stream.rewards - price * stream.costs).argmax(axis=1)
    return int(np.bincount(best, minlength=len(stream.arms)).argmax())


def _needs_two(stream: Stream, name: str) -> None:
    if len(stream.arms) < 2:
        raise ConfigError(f"the scenario {name!r} takes a model away: at least two are needed")
