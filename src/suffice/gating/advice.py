"""Which gate suits what one has: the decision framework of adaptive retrieval, row by row.

References
----------
Kumar (2025), Adaptive retrieval, parts 2 to 4 (input alone, confidence probes, learned retrieval), with
Jeong et al. (2024), Moskvoretskii et al. (2025) and Wang et al. (2025, TARG) for the rows on labels,
uncertainty and prefix gates.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Access = Literal["text", "logprobs", "weights"]
Training = Literal["none", "labels", "finetune", "rl"]
Queries = Literal["simple", "single_hop", "mixed", "multi_hop"]
Latency = Literal["tight", "medium", "loose"]

ENOUGH_LABELS = 500
"""Own runs of every strategy that a classifier of strategies wants."""
FEW_LABELS = 100
"""Labelled closed-book answers that a calibrated probe wants."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What one has, and what one's queries are like."""

    access: Access = "text"
    """What the model gives: answers, also log-probabilities, or its weights."""
    training: Training = "none"
    """What may be spent on training: nothing, labelled runs, fine-tuning, or reinforcement learning."""
    n_labels: int = 0
    """Queries for which every strategy was run and judged."""
    queries: Queries = "mixed"
    latency: Latency = "medium"
    has_entities: bool = False
    """Whether queries name entities whose popularity is known."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A gate, and why."""

    gate: str
    reason: str


def advise(situation: Situation) -> Advice:
    """The row of the framework that fits; the first of those that do.

    >>> advise(Situation(access="logprobs", queries="single_hop", latency="tight")).gate
    'prefix_margin'
    """
    one = situation
    if one.training == "rl" and one.access == "weights" and one.queries in ("multi_hop", "mixed"):
        return Advice(
            gate="search_r1",
            reason="weights, a large training budget and several look-ups: an agent trained to search by its "
            "reward; untrained, the same loop with a cap on its steps",
        )
    if one.training in ("finetune", "rl") and one.access == "weights":
        return Advice(
            gate="self_rag",
            reason="weights and fine-tuning: the model is taught to say itself that it needs a passage",
        )
    if one.n_labels >= ENOUGH_LABELS:
        return Advice(
            gate="stepwise" if one.latency != "tight" else "classifier",
            reason=f"{one.n_labels} own runs of every strategy are enough to learn from: "
            "words of the query and a linear model, and the answers so far where there is time to look",
        )
    if one.access != "text" and one.n_labels >= FEW_LABELS and one.latency != "tight":
        return Advice(
            gate="confidence_probe",
            reason=f"log-probabilities and {one.n_labels} labels: the closed-book answer's probability, "
            "calibrated, against what a look-up gains and costs",
        )
    if one.access != "text" and (one.latency == "tight" or one.queries in ("simple", "single_hop")):
        return Advice(
            gate="prefix_margin",
            reason="log-probabilities without labels: the margin over a short closed-book draft, with its "
            "threshold at the share of look-ups that may be spent",
        )
    if one.latency == "tight" or (one.queries == "simple" and one.latency != "loose"):
        named = one.has_entities
        return Advice(
            gate="popularity" if named else "rules",
            reason="no time and no labels: how popular the entities are, which tells what a model remembers"
            if named
            else "no time and no labels: rules on the query's words, as nothing else is free",
        )
    return Advice(
        gate="confidence_probe",
        reason="text alone and time to spare: the agreement of 3 to 5 samples, or a stated confidence after "
        "calibration",
    )
