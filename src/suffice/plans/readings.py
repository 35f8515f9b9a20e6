"""The signals that a cascade wants, read from one answer as it comes: each with the calls that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from suffice.cascades.automix import share
from suffice.errors import ConfigError
from suffice.plans.asking import AskedForLogprobs
from suffice.plans.confidence import N_ALTERNATIVES
from suffice.plans.probes import (
    Evidence,
    ForcedReasoning,
    LabelProbability,
    Paraphrases,
    Probe,
    PTrue,
    Said,
    Samples,
    TopK,
    Verbalised,
    gather,
)
from suffice.plans.probes.base import NO_LOGPROBS
from suffice.plans.probes.facts import Facts
from suffice.plans.probes.signals import available, read, source
from suffice.plans.probes.sources import JUDGED
from suffice.plans.probes.verification import Verification
from suffice.protocols import Model
from suffice.types import Answer, Query

VERIFICATION: Final = "verification"
"""The share of a model's own verdicts that say "correct": not a signal of `probes.signals`."""
_LIVE: Final = frozenset(
    {"samples", "paraphrases", "p_true", "verbalised", "top_k", "forced_reasoning", "label_probability"}
)
"""Probes that ask the model which answered."""
_TEXT_ONLY: Final = frozenset(
    {
        VERIFICATION,
        "p_true",
        "p_true_text",
        "verbalised",
        "verbalised_top_k",
        "forced_reasoning",
        "self_consistency",
        "self_consistency_margin",
        "vote_entropy",
        "lexical_similarity",
        "rephrasing",
        "rephrasing_between",
        "rephrasing_within",
    }
)
"""Signals that do without the answer's own log-probabilities."""


class Readings:
    """Reads signals by name. One that cannot be read is None, and never 0."""

    def __init__(
        self,
        signals: Sequence[str],
        *,
        n_samples: int = 5,
        temperature: float = 0.8,
        answers: str = "",
        verification: Verification | None = None,
    ) -> None:
        """
        Parameters
        ----------
        signals : "verification", or names of `suffice.plans.probes.available()`
        n_samples, temperature : of the signals that draw further answers
        answers : which part of an answer counts when two are compared: number, choice, or empty for all words
        verification : how answers are verified

        Raises
        ------
        ConfigError
            If a signal cannot be read from a live answer.
        """
        known = [name for name in available() if not set(source(name).probes) - _LIVE]
        for name in signals:
            if name != VERIFICATION and name not in known:
                raise ConfigError(
                    f"the signal {name!r} cannot be read from a live answer; known: "
                    f"{', '.join((VERIFICATION, *known))}"
                )
        self._answers = answers
        self._is_asking = bool(set(signals) - _TEXT_ONLY)
        self._probes: dict[str, Probe] = {
            VERIFICATION: verification if verification is not None else Verification(),
            "samples": Samples(n_samples, temperature),
            "paraphrases": Paraphrases(n_samples),
            "verbalised": Verbalised(),
            "top_k": TopK(),
            "p_true": PTrue(),
            "forced_reasoning": ForcedReasoning(),
            "label_probability": LabelProbability(),
        }
        self._n_calls = {
            VERIFICATION: getattr(self._probes[VERIFICATION], "k", 1),
            "samples": n_samples,
            "paraphrases": 2 * n_samples,
            "p_true": 5,
        }
        self._asked = AskedForLogprobs(N_ALTERNATIVES)

    def n_calls(self, signals: Sequence[str]) -> int:
        """About how many calls the signals take."""
        probes = {name for signal in signals for name in probes_of(signal)}
        return sum(self._n_calls.get(name, 2) for name in probes)

    def asking(self, models: Mapping[str, Model]) -> Mapping[str, Model]:
        """The models, asked for log-probabilities where a signal is read from them."""
        return self._asked.of(models) if self._is_asking else models

    async def read(
        self, signals: Sequence[str], query: Query, answer: Answer, model: Model, *, timeout_s: float
    ) -> Mapping[str, float | None]:
        """Confidences in [0, 1] by name.

        Parameters
        ----------
        signals : some of those that were given
        model : who answered, and is asked what else is needed
        """
        said = Said(
            text=answer.content,
            tokens=answer.logprobs or None,
            no_logprobs=None if answer.logprobs else answer.no_logprobs or NO_LOGPROBS,
        )
        evidence = Evidence(
            query_id=query.id or "", question=query.text, kind=self._answers, said={JUDGED: (said,)}
        )
        wanted = {name for signal in signals for name in probes_of(signal)}
        probes = [probe for name, probe in self._probes.items() if name in wanted]
        if probes:
            evidence = await gather(model, query, probes, evidence, timeout_s=timeout_s)
        facts = Facts(evidence)
        verdicts = [one.text for one in evidence.all(VERIFICATION)]
        return {
            name: share(verdicts) if name == VERIFICATION else read(name, facts).confidence
            for name in signals
        }


def probes_of(signal: str) -> tuple[str, ...]:
    """The probes that have to ask for it; none where the answer itself is enough."""
    return (VERIFICATION,) if signal == VERIFICATION else source(signal).probes


class VerificationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand under `verification:` of a plan."""

    k: int = 8
    temperature: float = 1.0
    max_tokens: int = 120
    grounded: str | None = None
    """A file with a prompt for queries that bring a text."""
    free: str | None = None
    """A file with a prompt for all others."""
