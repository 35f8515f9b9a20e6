"""Every signal by name: what it needs, what it costs, where it comes from."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from suffice.errors import UnknownName

Access = Literal["text", "logprobs", "top-k", "weights"]
"""From least to most; who has one has those before it, save that a bare classifier has no text."""


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """One signal."""

    name: str
    needs: str
    """The access, and after a comma what it compares by: "meanings" (clusters) or "texts" (similarities)."""
    cost: str
    """Model calls beyond the answer itself: "0", "1", "n", "1 + n"; what n counts where not samples."""
    value: str
    """The raw value, in short."""
    source: str
    function: str = ""
    """"module:attribute" under `suffice.confidence`; NAME:score by default."""

    @property
    def access(self) -> Access:
        return cast(Access, self.needs.partition(",")[0])

    def calls(self, n_samples: int) -> int:
        """Model calls beyond the answer itself; comparisons of meanings are not counted."""
        terms = (term.split()[0] for term in self.cost.split(" + "))
        return sum(n_samples if term == "n" else int(term) for term in terms)

    def core(self) -> Callable[..., Any]:
        """The numeric core."""
        module, _, attribute = (self.function or f"{self.name}:score").partition(":")
        found: Callable[..., Any] = getattr(
            importlib.import_module(f"suffice.confidence.{module}"), attribute
        )
        return found


def available() -> tuple[str, ...]:
    """The names, those that need least first."""
    return tuple(_BY_NAME)


def get(name: str) -> SignalInfo:
    """The signal of that name.

    Raises
    ------
    UnknownName
        If there is none.
    """
    if name not in _BY_NAME:
        raise UnknownName("signal", name, available())
    return _BY_NAME[name]


_I = SignalInfo
_SIGNALS: Final = (
    _I("verbalised", "text", "2", "the number stated, over its scale", "Tian 2023; Xiong 2024"),
    _I(
        "verbalised_top_k",
        "text",
        "1",
        "probability stated for the best guess",
        "Tian 2023",
        "verbalised:top_k",
    ),
    _I("p_true_text", "text", "1", "share of True among replies", "Kadavath 2022", "p_true:from_replies"),
    _I("forced_reasoning", "text", "2", "2 sigmoid(-wrong - 0.3 unsure steps)", "Miao 2024"),
    _I("self_consistency", "text", "n", "v1 / n", "Wang 2023"),
    _I("self_consistency_margin", "text", "n", "(v1 - v2) / n", "after Wang 2023", "self_consistency:margin"),
    _I("vote_entropy", "text", "n", "H(votes)", "after Wang 2023", "self_consistency:vote_entropy"),
    _I("rephrasing", "text", "1 + n", "share of the commonest answer", "Gao 2024; Ding 2024"),
    _I(
        "rephrasing_between",
        "text",
        "1 + n",
        "agreement across paraphrases",
        "Gao 2024",
        "rephrasing:between",
    ),
    _I(
        "rephrasing_within", "text", "1 + n", "agreement within a paraphrase", "Gao 2024", "rephrasing:within"
    ),
    _I("lexical_similarity", "text", "n", "mean ROUGE-L F1 of pairs", "Fomicheva 2020"),
    _I("num_semantic_sets", "text, meanings", "n", "number of meanings", "Lin 2024"),
    _I(
        "semantic_entropy", "text, meanings", "n", "-sum f ln f", "Farquhar 2024", "semantic_entropy:discrete"
    ),
    _I("eigenvalue", "text, texts", "n", "sum max(0, 1 - lambda)", "Lin 2024"),
    _I("degree_matrix", "text, texts", "n", "trace(n I - D) / n^2", "Lin 2024"),
    _I("eccentricity", "text, texts", "n", "norm of centred eigenvectors", "Lin 2024"),
    _I("ensemble_vote", "text", "n models", "weight of the heaviest answer", "Lakshminarayanan 2017"),
    _I("sequence_log_likelihood", "logprobs", "0", "sum lp", "Malinin & Gales 2021"),
    _I("normalised_probability", "logprobs", "0", "exp(mean lp)", "Malinin & Gales 2021"),
    _I("perplexity", "logprobs", "0", "exp(-mean lp)", "Jelinek 1977"),
    _I("min_token_probability", "logprobs", "0", "exp(min lp)", "Manakul 2023"),
    _I("token_quantiles", "logprobs", "0", "a quantile of lp", "Gupta 2024"),
    _I("token_sar", "logprobs, texts", "0", "sum -lp R / sum R", "Duan 2024"),
    _I(
        "naive_entropy", "logprobs", "n", "mean of -mean lp", "Malinin & Gales 2021", "semantic_entropy:naive"
    ),
    _I(
        "semantic_entropy_rao",
        "logprobs, meanings",
        "n",
        "-sum P ln P",
        "Farquhar 2024",
        "semantic_entropy:rao",
    ),
    _I(
        "semantic_entropy_kuhn",
        "logprobs, meanings",
        "n",
        "-mean ln of the cluster's sum p",
        "Kuhn 2023",
        "semantic_entropy:kuhn",
    ),
    _I("sentence_sar", "logprobs, texts", "n", "-mean ln(p + sum p g / t)", "Duan 2024"),
    _I("cocoa", "logprobs, texts", "n", "-mean lp x (1 - mean similarity)", "Vashurin 2025"),
    _I("semantic_density", "logprobs, texts", "n", "sum p k / sum p", "Qiu 2024"),
    _I("rank_alternatives", "logprobs", "n", "highest mean lp", "Brown 2020"),
    _I("label_probability", "top-k", "0", "softmax over the labels", "Zhao 2021; Tian 2023"),
    _I("p_true", "top-k", "1", "p(True)", "Kadavath 2022", "p_true:from_logprobs"),
    _I("token_entropy", "top-k", "0", "mean H over the k returned", "Malinin & Gales 2021"),
    _I("probability_margin", "top-k", "0", "mean p1 - p2", "Ramirez 2024"),
    _I("targ_margin", "top-k", "0", "mean exp(-(l1 - l2) / beta)", "TARG 2025", "probability_margin:targ"),
    _I("softmax_response", "weights", "0", "max p", "Hendrycks & Gimpel 2017"),
    _I("predictive_entropy", "weights", "0", "-sum p ln p", "Shannon 1948"),
    _I("mc_dropout", "weights", "n passes", "H(mean p) - mean H(p)", "Gal 2016"),
    _I("deep_ensemble", "weights", "n members", "H(mean p)", "Lakshminarayanan 2017"),
)
_BY_NAME: Final = {info.name: info for info in _SIGNALS}
