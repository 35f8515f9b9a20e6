"""The cut that a certificate promises something about, until the promise is withdrawn."""

from __future__ import annotations

import numpy as np

from suffice.calibration.guarantee import GAIN, Certificate, gain_score
from suffice.errors import ConfigError
from suffice.policies.base import chosen, first_names, ranked
from suffice.protocols import PolicyContext
from suffice.types import BoolArray, Choice, FloatArray


class Guarantee:
    """The certified cheap model where its score reaches the threshold, else the strong one.

    All goes to the strong one where nothing is certified, from the moment that the promise is withdrawn, and
    where a score is unknown. Other plans rank behind the two, by score: they are asked when both fail.

    The score is the one of the certificate, (1 + score(weak) - score(strong)) / 2 of a router.
    """

    def __init__(self, *, certificate: Certificate) -> None:
        """
        Parameters
        ----------
        certificate : of `suffice guarantee --router`, which names both models

        Raises
        ------
        ConfigError
            If it does not say which models it is about, or is about a column instead of a router.
        """
        if not certificate.strong or not certificate.weak or certificate.strong == certificate.weak:
            raise ConfigError(
                f"the certificate names strong {certificate.strong!r} and weak {certificate.weak!r}; two "
                "models are needed: write it with `suffice guarantee --out`"
            )
        if certificate.score != GAIN:
            raise ConfigError(
                f"the certificate is about the score {certificate.score!r}, which a request does not have: "
                "certify a router's, with `suffice guarantee --router`"
            )
        self.certificate = certificate
        self.strong, self.weak = certificate.strong, certificate.weak
        self.withdrawn: str | None = None
        """Why the promise no longer holds; None while it does."""

    def withdraw(self, why: str) -> None:
        """From now on the strong model answers everything; there is no way back but a new certificate."""
        self.withdrawn = why

    @property
    def _least(self) -> float:
        """The score from which on the cheap one answers."""
        threshold = self.certificate.threshold
        return np.inf if threshold is None or self.withdrawn is not None else threshold

    @property
    def promise(self) -> str:
        """In words, for reasons and `suffice doctor`."""
        about = self.certificate
        day = "" if about.date is None else f" on {about.date[:10]}"
        return (
            f"{about.promise} at most {about.epsilon:g} with {1 - about.delta:.0%} confidence, "
            f"certified{day} on {about.n:,} rows"
        )

    def choose(
        self, scores: FloatArray, costs: FloatArray, latencies: FloatArray, context: PolicyContext
    ) -> Choice:
        """All (n, P); costs only order the plans that are not spoken of, latencies play no part.

        Raises
        ------
        ConfigError
            If one of the two models is not among the plans.
        """
        strong, weak = (self._place(context, name) for name in (self.strong, self.weak))
        score = gain_score(scores[:, weak], scores[:, strong])
        is_known = ~np.isnan(scores[:, weak] - scores[:, strong])
        takes_weak: BoolArray = is_known & (score >= self._least)
        order = np.full(scores.shape, 2.0)
        order[:, strong] = np.where(takes_weak, 1, 0)
        order[:, weak] = np.where(takes_weak, 0, 1)
        ranking = ranked(context, scores.shape, order, -scores, costs)
        rows = zip(
            first_names(context, ranking), score.tolist(), takes_weak.tolist(), is_known.tolist(), strict=True
        )
        return chosen(ranking, [self._reason(*row) for row in rows])

    def _place(self, context: PolicyContext, name: str) -> int:
        if name not in context.arms:
            raise ConfigError(
                f"the certificate is about {name!r}, which is not among {', '.join(context.arms)}"
            )
        return context.arms.index(name)

    def _reason(self, first: str, score: float, takes_weak: bool, is_known: bool) -> str:
        wanted = self.weak if takes_weak else self.strong
        if first != wanted:
            return f"{first}: {wanted} may not answer this one, so nothing is promised about it"
        if self.certificate.threshold is None:
            return f"{first}: {self.certificate.advice}"
        if self.withdrawn is not None:
            return f"{first}: the promise was withdrawn, {self.withdrawn}"
        if not is_known:
            return f"{first}: a score of {self.weak} or {self.strong} is unknown"
        side = "reaches" if takes_weak else "is below"
        return f"{first}: score {score:.3f} {side} {self.certificate.threshold:g}; {self.promise}"
