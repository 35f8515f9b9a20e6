"""What policies share: sorting plans by several keys, and the checks around it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.protocols import PolicyContext
from suffice.types import BoolArray, Choice, FloatArray, IntArray


def ranked(context: PolicyContext, shape: tuple[int, int], *keys: FloatArray | BoolArray) -> IntArray:
    """(n, P): plans by the first key, ties by the next; smaller is better and NaN worst.

    Before all keys eligible plans come first; after them names decide, so that the order in which
    plans are given never does. A row without any eligible plan is ranked all the same.
    """
    columns: list[NDArray[Any]] = [_name_ranks(context.arms, shape[0]), *reversed(keys)]
    if context.eligible is not None:
        columns.append(~context.eligible)
    if any([column.shape != shape for column in columns]):  # noqa: C419  faster than a generator
        columns = [np.broadcast_to(column, shape) for column in columns]
    return np.lexsort(columns, axis=-1)


def chosen(ranking: IntArray, reasons: Sequence[str]) -> Choice:
    """A choice made for certain: the first plan of every row."""
    propensities = np.zeros(ranking.shape)
    if len(ranking) == 1 and ranking.size:
        propensities[0, ranking.item(0)] = 1
    elif ranking.size:
        propensities[np.arange(len(ranking)), ranking[:, 0]] = 1
    return Choice(ranking=ranking, propensities=propensities, reasons=tuple(reasons))


def best_of(context: PolicyContext, scores: FloatArray) -> FloatArray:
    """(n, 1): the highest known score among eligible plans; -inf where none is known."""
    usable = np.where(np.isnan(scores), -np.inf, scores)
    if context.eligible is not None:
        usable = np.where(context.eligible, usable, -np.inf)
    return np.asarray(usable.max(axis=1, keepdims=True))


def firsts(ranking: IntArray, *values: FloatArray) -> list[list[float]]:
    """For each array (n, P): the entries of the first-ranked plans, as a list."""
    if len(ranking) == 1:  # a decision: four times as fast
        first = ranking.item(0)
        return [[value.item(0, first)] for value in values]
    rows = np.arange(len(ranking))
    return [value[rows, ranking[:, 0]].tolist() for value in values]


def first_names(context: PolicyContext, ranking: IntArray) -> list[str]:
    if len(ranking) == 1:  # a decision
        return [context.arms[ranking.item(0)]]
    return [context.arms[plan] for plan in ranking[:, 0].tolist()]


def usd(amount: float) -> str:
    """An amount in words; NaN is unknown.

    Examples
    --------
    >>> usd(0.00012), usd(float("nan"))
    ('0.00012 USD', 'unknown cost')
    """
    return f"{amount:.3g} USD" if not math.isnan(amount) else "unknown cost"


def check_number(what: str, value: float, low: float, high: float) -> float:
    """The value, if it lies in [low, high].

    Raises
    ------
    ConfigError
        If not, or if it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{what} is {value!r}; a number from {low:g} to {high:g} is needed")
    return float(value)


@functools.lru_cache(maxsize=256)
def _name_ranks(arms: tuple[str, ...], n: int) -> IntArray:
    """(n, P): the place of each plan's name in alphabetical order."""
    ranks = np.empty((1, len(arms)), np.intp)
    ranks[0, sorted(range(len(arms)), key=arms.__getitem__)] = np.arange(len(arms))
    return np.broadcast_to(ranks, (n, len(arms)))
