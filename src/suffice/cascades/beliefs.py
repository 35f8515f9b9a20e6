"""How likely every arm is right, again after every answer.

One latent number z ~ N(0, 1) says how hard a query is for all: arm i is right with probability
sigmoid(a_i + s z), where a_i makes its mean over z the router's calibrated score. An answer is evidence
twice: by its readings (a calibrated probability that it is right, which moves z as well), and by whether
others say the same. Two right answers say the same but for a share d; two wrong ones say the same with
probability c. Bayes' rule over which of the answers given is the right one, or none, then gives every arm,
asked or not, its new probability. Three numbers, s, c and d, are learnt.

References
----------
Rasch (1960) for z; Dawid & Skene (1979), Maximum Likelihood Estimation of Observer Error-Rates, for
agreement as evidence; MacKay (1992) for the mean of a sigmoid under a normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import msgspec
import numpy as np

from suffice.types import FloatArray

_SPREADS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_EDGE: Final = 1e-4
"""Probabilities stay this far from 0 and 1."""


class Beliefs(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt of how answers hang together."""

    spread: float = 0.0
    """s: 0 means that models err independently of each other."""
    collision: float = 0.1
    """c"""
    dissent: float = 0.02
    """d"""
    reads_text: bool = True
    """False where the answers' texts were not there: agreement then says nothing."""

    @classmethod
    def fit(cls, prior: FloatArray, quality: FloatArray, keys: Sequence[Sequence[str]] | None) -> Self:
        """From recorded answers.

        Parameters
        ----------
        prior : shape (n, M), calibrated scores, of queries that the router was not trained on
        quality : shape (n, M), in [0, 1] or NaN
        keys : (n, M) what each answer says; None: not known
        """
        losses = [_loss(_logits(prior, spread), quality) for spread in _SPREADS]
        spread = _SPREADS[int(np.argmin(losses))]
        if keys is None:
            return cls(spread=spread, reads_text=False)
        collision, dissent = _agreement(np.array(keys, dtype=object), quality)
        return cls(spread=spread, collision=collision, dissent=dissent)

    def at(self, prior: FloatArray) -> Belief:
        """Of one query, from calibrated scores (M,)."""
        return Belief(self, prior)

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return msgspec.structs.asdict(self)


class Belief:
    """One query's, before and after answers."""

    def __init__(self, beliefs: Beliefs, prior: FloatArray) -> None:
        self._beliefs = beliefs
        self.prior = np.clip(prior, _EDGE, 1 - _EDGE)
        self._by_z = _by_difficulty(self.prior[None], beliefs.spread)[0]

    def after(self, arms: Sequence[int], evidence: Sequence[float], keys: Sequence[str]) -> FloatArray:
        """(M,): the probability that each arm is right.

        Parameters
        ----------
        arms : asked, in any order
        evidence : of each, the probability that it is right by its readings alone
        keys : of each, what it says; "" is nothing, which is wrong where texts are read
        """
        if not len(arms):
            return self.prior
        asked = list(arms)
        prior, given = self.prior[asked, None], np.clip(evidence, _EDGE, 1 - _EDGE)[:, None]
        right = self._by_z[asked] * given / prior
        wrong = (1 - self._by_z[asked]) * (1 - given) / (1 - prior)
        if not self._beliefs.reads_text:
            return self._separately(asked, right, wrong)
        return self._together(asked, right, wrong, keys)

    def _separately(self, asked: list[int], right: FloatArray, wrong: FloatArray) -> FloatArray:
        weights = _WEIGHTS * (right + wrong).prod(axis=0)
        found = np.asarray(self._by_z @ weights / weights.sum())
        found[asked] = (right / (right + wrong)) @ weights / weights.sum()
        return found

    def _together(
        self, asked: list[int], right: FloatArray, wrong: FloatArray, keys: Sequence[str]
    ) -> FloatArray:
        c, d = self._beliefs.collision, self._beliefs.dissent
        said = [key or None for key in keys]
        groups: dict[Any, list[int]] = {}
        for place, key in enumerate(said):
            groups.setdefault(key if key is not None else place, []).append(place)
        apart = wrong + d * right
        sizes = [len(group) for group in groups.values()]
        terms = []
        for number, group in enumerate(groups.values()):
            others = sizes[:number] + sizes[number + 1 :]
            if said[group[0]] is None:
                terms.append(np.zeros_like(_WEIGHTS))
                continue
            outside = np.delete(apart, group, axis=0).prod(axis=0)
            inside = right[group].prod(axis=0) * (1 - d) ** (len(group) - 1)
            terms.append(_WEIGHTS * inside * outside * _all_wrong(others, c))
        none = _WEIGHTS * wrong.prod(axis=0) * _all_wrong(sizes, c)
        total = np.add(none, np.sum(terms, axis=0))
        found = np.asarray(self._by_z @ total / total.sum())
        for group, term in zip(groups.values(), terms, strict=True):
            found[[asked[place] for place in group]] = term.sum() / total.sum()
        return found


def _all_wrong(sizes: Sequence[int], collision: float) -> float:
    """How likely wrong answers fall into groups of these sizes: every pair together c, apart 1 - c."""
    together = sum(size - 1 for size in sizes)
    apart = len(sizes) * (len(sizes) - 1) // 2
    return float(collision**together * (1 - collision) ** apart)


def _by_difficulty(prior: FloatArray, spread: float) -> FloatArray:
    """(n, M, Z): the probability of being right at every z, whose mean over z is about the prior."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * _logits(prior, spread)))


def _logits(prior: FloatArray, spread: float) -> FloatArray:
    inside = np.clip(prior, _EDGE, 1 - _EDGE)
    logit = np.log(inside / (1 - inside)) * np.sqrt(1 + np.pi * spread**2 / 8)
    return np.asarray(logit[..., None] + spread * _NODES)


def _loss(logits: FloatArray, quality: FloatArray) -> float:
    """Minus the log-likelihood of whole rows, arms independent given z."""
    is_known = ~np.isnan(quality)
    y = np.where(is_known, quality, 0.0)[..., None]
    each = y * logits - np.logaddexp(0.0, logits)
    rows = np.where(is_known[..., None], each, 0.0).sum(axis=1) + np.log(_WEIGHTS)
    return float(-np.logaddexp.reduce(rows, axis=1).sum())


def _agreement(keys: Any, quality: FloatArray) -> tuple[float, float]:
    """(c, d), counted over pairs of answers to one query, each with one pair too many on either side."""
    is_right, is_wrong = quality >= 0.5, quality < 0.5
    same_wrong = n_wrong = apart_right = n_right = 0
    for i in range(keys.shape[1]):
        for j in range(i):
            same = (keys[:, i] == keys[:, j]) & (keys[:, i] != "")
            both_wrong, both_right = is_wrong[:, i] & is_wrong[:, j], is_right[:, i] & is_right[:, j]
            n_wrong, n_right = n_wrong + int(both_wrong.sum()), n_right + int(both_right.sum())
            same_wrong += int((same & both_wrong).sum())
            apart_right += int((~same & both_right).sum())
    return (same_wrong + 1) / (n_wrong + 2), (apart_right + 1) / (n_right + 2)
