"""The best chain of models and its thresholds, from recorded answers and how far each is trusted.

A chain asks its first arm and accepts where the answer's score reaches that stage's threshold, else asks
the next; the last answer is always accepted. Every stage's scores are cut at quantiles. One pass sorts the
queries into the cells of that grid, and sums over cells then give cost and quality of all thresholds and
all last arms at once. The most promising chains are refined, stage by stage, over every threshold that
tells two queries apart.

References
----------
Chen et al. (2023), FrugalGPT, arXiv 2305.05176, section 3 (the optimisation problem). There the search
runs over quantiles conditional on rejection, one chain after another, followed by Nelder-Mead.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from suffice.errors import ConfigError, DataError
from suffice.types import BoolArray, FloatArray, IntArray

_CELLS: Final = 1600
"""At most so many cells a prefix, whatever its length."""
_KEPT: Final = 24
"""Chains that are refined."""
_ROUNDS: Final = 6
_TOLERANCE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Chain:
    """Arms in the order they are asked, and what that brought on the rows it was chosen on."""

    arms: tuple[int, ...]
    thresholds: tuple[float, ...]
    """One fewer than arms: accepted is a score of at least that. -inf accepts all, inf none."""
    quality: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Wish:
    """What is best: quality within a budget, or what quality is worth less what it costs."""

    budget_usd: float | None = None
    value_usd: float | None = None

    def __post_init__(self) -> None:
        if (self.budget_usd is None) == (self.value_usd is None):
            raise ConfigError("give a budget_usd or a value_usd, one of the two")

    def worth(self, quality: FloatArray, cost: FloatArray) -> FloatArray:
        """Higher is better, -inf is not allowed; of equal quality the cheaper."""
        if self.value_usd is not None:
            if np.isinf(self.value_usd):
                return quality - _TOLERANCE * cost
            return self.value_usd * quality - cost
        assert self.budget_usd is not None
        allowed = cost <= self.budget_usd * (1 + 1e-9)
        return np.where(allowed, quality - 1e-9 * cost / max(self.budget_usd, 1e-30), -np.inf)


def best_chains(
    quality: FloatArray,
    cost_usd: FloatArray,
    accept: FloatArray,
    wishes: Sequence[Wish],
    *,
    reading_cost_usd: FloatArray | None = None,
    max_length: int = 3,
    n_cuts: int = 40,
) -> list[Chain | None]:
    """The best chain for every wish, over all orders of up to `max_length` arms.

    Parameters
    ----------
    quality, cost_usd : shape (n, M), without NaN
        Measured, on rows that `accept` was not fitted to.
    accept : shape (n, M)
        How far each answer is trusted, higher is surer.
    reading_cost_usd : shape (n, M)
        What finding that out costs, for every answer but a chain's last; None: nothing.
    max_length : 1 to 4
    n_cuts : quantiles per stage; fewer where a prefix would have over 1,600 cells

    Returns
    -------
    one per wish; None where no chain keeps to the budget

    Raises
    ------
    DataError
        If shapes differ, there is no row, or a number is missing.
    """
    n, n_arms = _checked(quality, cost_usd, accept)
    if not 1 <= max_length <= 4 or n_cuts < 1:
        raise ConfigError(f"max_length {max_length}, n_cuts {n_cuts}: 1 to 4 arms, at least 1 cut")
    kept: list[list[tuple[float, int, Chain]]] = [[] for _ in wishes]
    number = itertools.count()
    read = cost_usd if reading_cost_usd is None else cost_usd + reading_cost_usd
    rows = _Rows(quality, cost_usd, read, accept)
    sums = np.hstack((quality, cost_usd, read)) / n
    for length in range(1, min(max_length, n_arms) + 1):
        cuts = _Cuts(accept, n_cuts if length < 4 else min(n_cuts, round(_CELLS ** (1 / 3))))
        for prefix in itertools.permutations(range(n_arms), length - 1):
            reached, paid = _grid(sums, n_arms, cuts, prefix)
            for wish, best in zip(wishes, kept, strict=True):
                for worth, chain in _tops(wish, reached, paid, cuts, prefix, best):
                    entry = (worth, next(number), chain)
                    (heapq.heappush if len(best) < _KEPT else heapq.heappushpop)(best, entry)
    return [_best(wish, [one for *_, one in best], rows) for wish, best in zip(wishes, kept, strict=True)]


class _Rows(NamedTuple):
    """All (n, M)."""

    quality: FloatArray
    cost: FloatArray
    read: FloatArray
    """Cost with reading."""
    accept: FloatArray

    def select(self, rows: BoolArray) -> _Rows:
        return _Rows(*(table[rows] for table in self))


class _Cuts:
    """Each arm's scores as places between quantiles."""

    def __init__(self, accept: FloatArray, n_cuts: int) -> None:
        at = np.linspace(0, 1, n_cuts + 1)[1:-1]
        self.place: list[IntArray] = []
        """By arm (n,): how many cuts are at most the score, so 0 is the least trusted."""
        self.thresholds: list[FloatArray] = []
        """By arm: level l rejects places under l; the first rejects none, the last all."""
        for scores in accept.T:
            distinct = np.unique(scores)
            inner = distinct[1:]
            if len(inner) > len(at):
                inner = np.unique(np.quantile(scores, at, method="higher"))
                inner = inner[inner > distinct[0]]
            self.place.append(np.searchsorted(inner, scores, side="right"))
            self.thresholds.append(np.concatenate([[-np.inf], inner, [np.inf]]))


def _grid(
    table: FloatArray, n_arms: int, cuts: _Cuts, prefix: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Mean quality and cost (L1, ..., Lk, M) of the prefix at every level, then each arm as the last.

    `table` (n, 3 M) holds quality, cost, and cost with reading.
    """
    shape = tuple(len(cuts.thresholds[arm]) - 1 for arm in prefix)
    cell = np.zeros(len(table), dtype=np.intp)
    for arm, width in zip(prefix, shape, strict=True):
        cell = cell * width + cuts.place[arm]
    # rows of a cell side by side, so that one pass sums every cell
    order = np.argsort(cell, kind="stable")
    filled, starts = np.unique(cell[order], return_index=True)
    sums = np.zeros((int(np.prod(shape)), table.shape[1]))
    sums[filled] = np.add.reduceat(table[order], starts, axis=0)
    rejected = sums.reshape(*shape, -1)
    for axis in range(len(prefix)):
        rejected = np.cumsum(rejected, axis=axis)
        rejected = np.concatenate([np.zeros_like(rejected.take([0], axis)), rejected], axis)
    left = rejected[..., :n_arms]
    paid = rejected[..., n_arms : 2 * n_arms].copy()
    reached = left.copy()
    for stage, arm in enumerate(prefix):
        # what comes to this stage, whatever later stages do: all their levels at the top
        later = (slice(-1, None),) * (len(prefix) - stage - 1)
        here = (slice(None),) * stage
        comes = rejected[(*here, slice(-1, None), *later)]
        stays = rejected[(*here, slice(None), *later)]
        reached += comes[..., arm, None] - stays[..., arm, None]
        paid += comes[..., 2 * n_arms + arm, None]
    return reached, paid


def _tops(
    wish: Wish,
    reached: FloatArray,
    paid: FloatArray,
    cuts: _Cuts,
    prefix: tuple[int, ...],
    best: Sequence[tuple[float, int, Chain]],
) -> Iterator[tuple[float, Chain]]:
    """For every last arm the best levels, where they could still be among the kept."""
    n_arms = reached.shape[-1]
    worth = wish.worth(reached, paid).reshape(-1, n_arms)
    first = worth.argmax(axis=0)
    least = best[0][0] if len(best) == _KEPT else -np.inf
    for arm in range(n_arms):
        value = float(worth[first[arm], arm])
        if arm in prefix or not value > least:
            continue
        levels = np.unravel_index(first[arm], reached.shape[:-1]) if prefix else ()
        thresholds = tuple(
            float(cuts.thresholds[one][level]) for one, level in zip(prefix, levels, strict=True)
        )
        found = (float(table.reshape(-1, n_arms)[first[arm], arm]) for table in (reached, paid))
        yield value, Chain((*prefix, arm), thresholds, *found)


def _best(wish: Wish, chains: Sequence[Chain], rows: _Rows) -> Chain | None:
    """The best after refinement; of equals the shortest."""
    refined = [_refined(wish, chain, rows) for chain in chains]
    if not refined:
        return None
    worths = [float(wish.worth(np.array(one.quality), np.array(one.cost_usd))) for one in refined]
    top = max(worths)
    equals = [one for one, worth in zip(refined, worths, strict=True) if worth >= top - _TOLERANCE]
    return min(equals, key=lambda one: (len(one.arms), one.cost_usd, one.arms))


def _refined(wish: Wish, chain: Chain, rows: _Rows) -> Chain:
    """One threshold at a time, over all that make a difference, until none gains."""
    thresholds = list(chain.thresholds)
    worth = float(wish.worth(np.array(chain.quality), np.array(chain.cost_usd)))
    found = chain
    for _ in range(_ROUNDS):
        before = worth
        for stage in range(len(thresholds)):
            levels, reached, paid = _sweep(rows, chain.arms, thresholds, stage)
            worths = wish.worth(reached, paid)
            top = int(worths.argmax())
            if worths[top] > worth + _TOLERANCE:
                worth, thresholds[stage] = float(worths[top]), float(levels[top])
                found = Chain(chain.arms, tuple(thresholds), float(reached[top]), float(paid[top]))
        if worth <= before + _TOLERANCE:
            break
    return _shortened(found)


def _sweep(
    rows: _Rows, arms: tuple[int, ...], thresholds: Sequence[float], stage: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Every threshold of one stage, with the mean quality and cost that the chain then has."""
    n = len(rows.quality)
    comes = np.ones(n, dtype=np.bool_)
    fixed_quality = fixed_cost = 0.0
    for arm, threshold in zip(arms[:stage], thresholds[:stage], strict=True):
        accepted = comes & (rows.accept[:, arm] >= threshold)
        fixed_quality += float(rows.quality[accepted, arm].sum())
        fixed_cost += float(rows.read[comes, arm].sum())
        comes &= ~accepted
    arm, here = arms[stage], rows.select(comes)
    fixed_cost += float(here.read[:, arm].sum())
    rest = Chain(arms[stage + 1 :], tuple(thresholds[stage + 1 :]), 0, 0)
    _, later_quality, later_cost = played(rest, *here)
    order = np.argsort(here.accept[:, arm], kind="stable")
    levels, starts = np.unique(here.accept[order, arm], return_index=True)
    at = np.append(starts, len(order))  # rows before it are rejected

    def before(values: FloatArray) -> FloatArray:
        return np.asarray(np.concatenate([[0.0], np.cumsum(values[order])])[at])

    own = here.quality[:, arm]
    reached = fixed_quality + own.sum() - before(own) + before(later_quality)
    return np.append(levels, np.inf), reached / n, (fixed_cost + before(later_cost)) / n


def played(
    chain: Chain, quality: FloatArray, cost: FloatArray, read: FloatArray, accept: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """What a chain answers with, row by row.

    Parameters
    ----------
    cost, read : shape (n, M): of an answer alone, which is all that the last one costs, and with its reading

    Returns
    -------
    the arm whose answer is accepted, its quality, and the cost of all that were asked, each (n,)
    """
    n = len(quality)
    comes = np.ones(n, dtype=np.bool_)
    chosen, paid = np.full(n, chain.arms[-1], dtype=np.intp), np.zeros(n)
    for arm, threshold in zip(chain.arms, chain.thresholds, strict=False):  # the last has none
        paid[comes] += read[comes, arm]
        accepted = comes & (accept[:, arm] >= threshold)
        chosen[accepted] = arm
        comes &= ~accepted
    paid[comes] += cost[comes, chain.arms[-1]]
    return chosen, quality[np.arange(n), chosen], paid


def _shortened(chain: Chain) -> Chain:
    """Without what comes after a stage that accepts everything."""
    for stage, threshold in enumerate(chain.thresholds):
        if threshold == -np.inf:
            return Chain(chain.arms[: stage + 1], chain.thresholds[:stage], chain.quality, chain.cost_usd)
    return chain


def _checked(quality: FloatArray, cost: FloatArray, accept: FloatArray) -> tuple[int, int]:
    if quality.ndim != 2 or not quality.size or not quality.shape == cost.shape == accept.shape:
        raise DataError(
            f"quality {quality.shape}, cost {cost.shape}, accept {accept.shape}: equal tables are needed"
        )
    if np.isnan(quality + cost + accept).any():
        raise DataError("a quality, a cost or a score is missing: leave such rows out")
    return quality.shape
