"""The router that ships trained: any panel from its prices alone, better with a few dozen labels.

A text is read as ease, spread (how much ability helps) and shares of domains, learnt once from public
recorded answers (`docs/builtin.md`). An arm is a short vector theta beside that:

    P(arm right) = sigmoid(level + slope ease + ability spread + skills' (domains - even shares))

Before any outcomes theta comes from a candidate's strength or output price; outcomes move it by maximum a
posteriori. Lord (1980), Applications of Item Response Theory; Song et al. (2025), IRT-Router (arXiv
2506.01048), where the text predicts an item's parameters. Departures: a linear reading of hashed words and
of a text's shape, and domain skills that few labels suffice for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ConfigError
from suffice.outcomes import Outcomes
from suffice.routers.added import AddedArm
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter
from suffice.routers.builtin_data import pretrained
from suffice.routers.prior import log_price
from suffice.types import BoolArray, Candidate, FloatArray, Query

_N_NEWTON: Final = 12
_LEVEL_SD, _SLOPE_SD, _ABILITY_SD, _SKILL_SD = 2.0, 0.5, 0.5, 0.7
"""How far theta may lie from what is expected; the level is left to the labels."""
_UNFAMILIAR: Final = 0.5
"""Below this familiarity `explain` says so."""

_CLEAR: Final = 0.3
"""Share from which the likeliest domain is named."""


class Builtin(BaseRouter):
    """Difficulty and domain from the shipped artefact, ability from price, strength or labels."""

    name = "builtin"

    def __init__(self, *, prior_weight: float = 1.0) -> None:
        """
        Parameters
        ----------
        prior_weight : how firmly arms keep to what is expected of them before labels; above 0
        """
        self.prior_weight = prior_weight

    def from_candidates(self, candidates: Sequence[Candidate]) -> Self:
        """Ready without outcomes; the arms are the candidates' names.

        Raises
        ------
        ConfigError
            If there are no candidates.
        """
        if not candidates:
            raise ConfigError("the router 'builtin' was given no candidates; at least one is needed")
        abilities = [_ability(candidate) for candidate in candidates]
        known = [one for one in abilities if one is not None]
        lowest = min(known, default=0.0)  # nothing known of a candidate: no reason to trust it with more
        self.thetas_ = np.array([_expected(lowest if one is None else one) for one in abilities])
        levels, ranks = np.unique(-self.thetas_[:, 0], return_inverse=True)
        self._be_careful(ranks / max(len(levels) - 1, 1))
        self.arms_, self.n_train_ = tuple(candidate.name for candidate in candidates), 0
        self.mean_quality_, self.added_ = {}, ()
        return self

    def seen(self, texts: Sequence[str]) -> BoolArray:
        """(n,): whether a text stands in the data that the shipped artefact was trained on."""
        return pretrained().seen(texts)

    def familiarity(self, texts: Sequence[str]) -> FloatArray:
        """(n,) in [0, 1]: how near texts are to what the shipped artefact knows."""
        return pretrained().read(texts)[1]

    def _fit(self, outcomes: Outcomes) -> None:
        if not self.prior_weight > 0:
            raise ConfigError(f"builtin with prior_weight {self.prior_weight}; above 0 is needed")
        quality = np.asarray(outcomes.quality, np.float64)
        inputs, _ = _inputs(outcomes.texts)
        self.thetas_ = np.array([self._posterior(inputs, arm) for arm in quality.T])
        self._be_careful(np.zeros(quality.shape[1]))  # measured means need no caution

    def _add(self, name: str, queries: Sequence[Query], quality: FloatArray) -> AddedArm:
        theta = self._posterior(_inputs([query.text for query in queries])[0], quality)
        self.thetas_ = np.vstack((self.thetas_, theta[None]))
        self._be_careful(np.append(self.caution_, 0.0))
        return self._extend(name, len(queries))

    def _be_careful(self, caution: FloatArray) -> None:
        """caution (K,) in [0, 1]: what an arm's score loses where a text is wholly unfamiliar."""
        self.caution_, self.is_cautious_ = caution, bool(caution.any())

    def _posterior(self, inputs: FloatArray, quality: FloatArray) -> FloatArray:
        """(P,): theta of greatest posterior density, by Newton's method; NaN without any label."""
        is_known = ~np.isnan(quality)
        if not is_known.any():
            return np.full(inputs.shape[1], np.nan)
        x, y = inputs[is_known], quality[is_known]
        prior = _expected(0.0)
        sd = np.array([_LEVEL_SD, _SLOPE_SD, _ABILITY_SD, *[_SKILL_SD] * (inputs.shape[1] - 3)])
        precision = self.prior_weight / sd**2
        theta = prior.copy()
        for _ in range(_N_NEWTON):
            right = _chance(x @ theta)
            gradient = x.T @ (y - right) - precision * (theta - prior)
            curve = (x * (right * (1 - right))[:, None]).T @ x + np.diag(precision)
            theta += np.clip(np.linalg.solve(curve, gradient), -2, 2)
        return theta

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        inputs, familiarity = _inputs([query.text for query in queries])
        scores = _chance(inputs @ self.thetas_.T)
        if self.is_cautious_:  # where little is known, weaker candidates lose what they are trusted with
            scores = scores * (1 - (1 - familiarity)[:, None] * self.caution_)
        return scores

    def _evidence(self, query: Query) -> tuple[str, ...]:
        shipped = pretrained()
        read, familiarity = shipped.read([query.text])
        ease, share = float(read[0, 0]), read[0, 2:]
        level = "easy" if ease > 0.3 else "hard" if ease < -0.3 else "of usual difficulty"
        top = int(share.argmax())
        domain = (
            shipped.facts.domains[top]
            if share[top] >= _CLEAR and familiarity[0] >= _UNFAMILIAR
            else "unclear"
        )
        safe = "" if familiarity[0] >= _UNFAMILIAR else ": unfamiliar, so scores stay near the arms' means"
        basis = (
            f"arms learnt from {self.n_train_} queries"
            if self.n_train_
            else "arms known by price or strength only"
        )
        return (
            f"{level} (ease {ease:+.2f} logits)",
            f"domain {domain}" + (f" ({share[top]:.0%})" if domain != "unclear" else ""),
            f"familiarity {familiarity[0]:.2f}{safe}",
            f"{basis}; texts read by what {shipped.facts.n_queries} public questions taught",
        )

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {"thetas": self.thetas_, "caution": self.caution_}, {"reading": _reading()}

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        if facts["reading"] != _reading():
            raise ConfigError(
                "it was fitted beside another built-in reading of texts than this package ships"
            )
        width = 3 + len(pretrained().facts.domains)
        self.thetas_ = arrays.take("thetas", "f", (len(self.arms_), width), finite=False)
        self._be_careful(arrays.take("caution", "f", (len(self.arms_),)))


def _inputs(texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """(n, 3 + D): 1, and by familiarity ease, spread and domain shares less even ones; (n,) familiarity."""
    read, familiarity = pretrained().read(texts)
    read[:, 2:] -= 1 / (read.shape[1] - 2)
    inputs = np.ones((len(read), read.shape[1] + 1))
    np.multiply(read, familiarity[:, None], out=inputs[:, 1:])
    return inputs, familiarity


def _ability(candidate: Candidate) -> float | None:
    """Logits above the average model; None where neither strength nor price is known."""
    facts = pretrained().facts
    if candidate.strength is not None:
        inside = min(max(candidate.strength, 0.02), 0.98)
        return float(np.log(inside / (1 - inside))) - facts.level
    price = log_price(candidate)
    return None if price is None else facts.price_slope * (price - facts.price_mean)


def _expected(ability: float) -> FloatArray:
    """(3 + D,): theta of a model of that ability."""
    facts = pretrained().facts
    return np.array([facts.level + ability, 1.0, ability, *[0.0] * len(facts.domains)])


def _reading() -> str:
    facts = pretrained().facts
    return f"{facts.format}/{facts.n_queries}/{facts.level:.6f}"


def _chance(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.maximum(logits, -30))))
