"""Where each signal comes from: the probes that it needs, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from suffice.confidence import (
    cocoa,
    degree_matrix,
    eccentricity,
    eigenvalue,
    ensemble_vote,
    forced_reasoning,
    label_probability,
    lexical_similarity,
    min_token_probability,
    normalised_probability,
    num_semantic_sets,
    p_true,
    perplexity,
    probability_margin,
    rank_alternatives,
    rephrasing,
    self_consistency,
    semantic_density,
    semantic_entropy,
    sentence_sar,
    sequence_log_likelihood,
    token_entropy,
    token_quantiles,
    token_sar,
    verbalised,
)
from suffice.confidence.base import Reading, Signal, Unavailable
from suffice.plans.probes.answers import answer_key
from suffice.plans.probes.facts import Absent, Facts, first_token, mean
from suffice.types import FloatArray

JUDGED: Final = "greedy"
"""The probe whose answer every signal is about."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a signal comes from."""

    read: Callable[[Facts], Reading]
    probes: tuple[str, ...] = ()
    """Beside the answer itself."""
    first_only: bool = False
    """Only the first call of its probe is used: the others are not counted."""
    any_of: tuple[str, ...] = ()
    """Probes of which one is enough, best first; the last one needs no logprobs."""


def _label(facts: Facts) -> Reading:
    """That of the label which the answer names: its first token's share where all labels differ there."""
    if not facts.evidence.labels:
        raise Absent("the question has no set of labels")
    label = facts.label(facts.greedy)
    if label is None:
        raise Absent("the answer names no label, or several")
    for probe in ("label_probability", JUDGED):
        said = facts.evidence.first(probe)
        if said is not None and said.tokens:
            shares = _label_shares(first_token(said), facts.evidence.labels)
            found = label_probability.score(shares, label=label)
            if isinstance(found, Signal):
                return found
    named = [facts.label(said) for said in facts.samples]
    return label_probability.score(label_probability.from_samples(named, facts.evidence.labels), label=label)


def _label_shares(first: Mapping[str, float], labels: Sequence[str]) -> dict[str, float] | Unavailable:
    """Every token that begins one label and no other counts for it; a label that none begins is at -inf."""
    found: dict[str, float] = dict.fromkeys(labels, float("-inf"))
    for token, value in first.items():
        begun = token.strip(" \t\n▁Ġ*\"'`").casefold()
        matching = [label for label in labels if begun and label.startswith(begun)]
        if len(matching) == 1:
            found[matching[0]] = float(np.logaddexp(found[matching[0]], value))
    return label_probability.from_logprobs(found)


def _rank_alternatives(facts: Facts) -> Reading:
    """The answer's posterior among itself and the samples that differ from it."""
    rows = {facts.greedy.text: facts.logprobs}
    for said, tokens in zip(facts.samples, facts.sample_logprobs, strict=True):
        rows.setdefault(said.text, tokens)
    if len(rows) == 1:
        return Signal(mean(facts.logprobs), 1.0)
    ranking = rank_alternatives.rank(list(rows.values()))
    if isinstance(ranking, Unavailable):
        return ranking
    return Signal(float(ranking.means[0]), float(ranking.posterior[0]))


def _top_k(facts: Facts) -> Reading:
    """The probability stated for the answer that is judged; 0 where it is none of the guesses."""
    guessed = verbalised.guesses(facts.said("top_k")[0].text)
    if not guessed:
        return verbalised.top_k(guessed)
    whole = max(1.0, sum(guess.probability for guess in guessed))
    evidence = facts.evidence
    stated = [
        guess.probability
        for guess in guessed
        if answer_key(guess.text, evidence.kind, evidence.labels) == facts.answer
    ]
    value = max(stated, default=0.0)
    return Signal(value, value / whole)


def _density(facts: Facts) -> Reading:
    """What does not mean the same contradicts: without an NLI model nothing is neutral."""
    against = 1 - (facts.relation[0, 1:] + facts.relation[1:, 0]) / 2
    return semantic_density.score(
        mean(facts.logprobs), [mean(one) for one in facts.sample_logprobs], against, np.zeros_like(against)
    )


def _votes(facts: Facts) -> Reading:
    others = [facts.key(said) for said in facts.said("other_models")]
    return ensemble_vote.score([facts.answer, *others], answer=facts.answer)


def _paraphrased(facts: Facts) -> list[list[str | None]]:
    """By wording what counts of each answer."""
    found: dict[str, list[str | None]] = {}
    for said in facts.said("paraphrases"):
        found.setdefault(said.asked, []).append(facts.key(said))
    return list(found.values())


def _means(facts: Facts) -> list[float]:
    return [mean(one) for one in facts.sample_logprobs]


def _sums(facts: Facts) -> list[float]:
    return [sum(one) for one in facts.sample_logprobs]


def _apart(facts: Facts) -> FloatArray:
    return facts.relation[1:, 1:]


_TOKENS: Final[Mapping[str, Callable[[Facts], Reading]]] = {
    "sequence_log_likelihood": lambda facts: sequence_log_likelihood.score(facts.logprobs),
    "normalised_probability": lambda facts: normalised_probability.score(facts.logprobs),
    "perplexity": lambda facts: perplexity.score(facts.logprobs),
    "min_token_probability": lambda facts: min_token_probability.score(facts.logprobs),
    "token_quantiles": lambda facts: token_quantiles.score(facts.logprobs),
    "token_entropy": lambda facts: token_entropy.score(facts.top),
    "probability_margin": lambda facts: probability_margin.score(facts.top),
    "targ_margin": lambda facts: probability_margin.targ(facts.top),
    "token_sar": lambda facts: token_sar.score(facts.logprobs, facts.without_each_token),
}
"""Read from the answer alone."""
_SAMPLED: Final[Mapping[str, Callable[[Facts], Reading]]] = {
    "rank_alternatives": _rank_alternatives,
    "self_consistency": lambda facts: self_consistency.score(facts.sample_keys, answer=facts.answer),
    "self_consistency_margin": lambda facts: self_consistency.margin(facts.sample_keys),
    "vote_entropy": lambda facts: self_consistency.vote_entropy(facts.sample_keys),
    "naive_entropy": lambda facts: semantic_entropy.naive(_means(facts)),
    "semantic_entropy": lambda facts: semantic_entropy.discrete(facts.clusters),
    "semantic_entropy_rao": lambda facts: semantic_entropy.rao(facts.clusters, _means(facts)),
    "semantic_entropy_kuhn": lambda facts: semantic_entropy.kuhn(facts.clusters, _sums(facts)),
    "num_semantic_sets": lambda facts: num_semantic_sets.score(facts.clusters),
    "eigenvalue": lambda facts: eigenvalue.score(_apart(facts)),
    "degree_matrix": lambda facts: degree_matrix.score(_apart(facts)),
    "eccentricity": lambda facts: eccentricity.score(_apart(facts)),
    "lexical_similarity": lambda facts: lexical_similarity.score([said.text for said in facts.samples]),
    "sentence_sar": lambda facts: sentence_sar.score(_sums(facts), _apart(facts)),
    "cocoa": lambda facts: cocoa.score(facts.logprobs, facts.relation[0, 1:]),
    "semantic_density": _density,
}
"""From the answer and samples."""
COMPARE: Final = frozenset(_SAMPLED) - {
    "rank_alternatives",
    "self_consistency",
    "self_consistency_margin",
    "vote_entropy",
    "naive_entropy",
    "lexical_similarity",
}
"""Those that ask which samples mean the same."""
SOURCES: Final[Mapping[str, Source]] = {
    **{name: Source(read=one) for name, one in _TOKENS.items()},
    "label_probability": Source(read=_label, any_of=("label_probability", JUDGED, "samples")),
    "p_true": Source(
        read=lambda facts: p_true.from_logprobs(first_token(facts.said("p_true")[0])),
        probes=("p_true",),
        first_only=True,
    ),
    "p_true_text": Source(
        read=lambda facts: p_true.from_replies([said.text for said in facts.said("p_true")]),
        probes=("p_true",),
    ),
    "verbalised": Source(
        read=lambda facts: verbalised.score(facts.said("verbalised")[0].text), probes=("verbalised",)
    ),
    "verbalised_top_k": Source(read=_top_k, probes=("top_k",)),
    "forced_reasoning": Source(
        read=lambda facts: forced_reasoning.score(
            forced_reasoning.parse(facts.said("forced_reasoning")[-1].text)
        ),
        probes=("forced_reasoning",),
    ),
    **{name: Source(read=one, probes=("samples",)) for name, one in _SAMPLED.items()},
    "rephrasing": Source(
        read=lambda facts: rephrasing.score(_paraphrased(facts), answer=facts.answer),
        probes=("paraphrases",),
    ),
    "rephrasing_between": Source(
        read=lambda facts: rephrasing.between(_paraphrased(facts)), probes=("paraphrases",)
    ),
    "rephrasing_within": Source(
        read=lambda facts: rephrasing.within(_paraphrased(facts)), probes=("paraphrases",)
    ),
    "ensemble_vote": Source(read=_votes, probes=("other_models",)),
}
"""Cheapest first."""
