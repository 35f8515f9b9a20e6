"""Every signal by name: what it needs, what it costs, where it comes from."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from suffice.errors import UnknownName

Access = Literal["text", "logprobs", "top-k", "weights"]
"""From least to most; who has one has those before it, save that a bare classifier has no text."""


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """One signal."""

    name: str
    function: str
    """"module:attribute" under `suffice.confidence`."""
    access: Access
    value: str
    """The raw value, in short."""
    source: str
    fixed_calls: int = 0
    """Model calls beyond the answer itself, whatever n is."""
    calls_per_sample: int = 0
    compares: str = ""
    """What it compares by besides the model: nothing, or "meanings" (clusters), "texts" (similarities)."""
    members: Literal["", "passes", "members", "models"] = ""
    """What n counts where it does not count samples."""

    def calls(self, n_samples: int) -> int:
        """Model calls beyond the answer itself; comparisons of meanings are not counted."""
        return self.fixed_calls + self.calls_per_sample * n_samples

    def cost(self) -> str:
        """The calls as the table says it: "0", "1", "n", "1 + n"."""
        counted = f"n {self.members}".strip() if self.calls_per_sample else ""
        if self.fixed_calls and counted:
            return f"{self.fixed_calls} + {counted}"
        return counted or str(self.fixed_calls)

    def needs(self) -> str:
        """The access and what it compares by, as the table says it."""
        return f"{self.access}, {self.compares}" if self.compares else self.access

    def core(self) -> Callable[..., Any]:
        """The numeric core."""
        module, _, attribute = self.function.partition(":")
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
    _I(
        "verbalised",
        "verbalised:score",
        "text",
        "the number stated, over its scale",
        "Tian 2023; Xiong 2024",
        2,
    ),
    _I(
        "verbalised_top_k",
        "verbalised:top_k",
        "text",
        "probability stated for the best guess",
        "Tian 2023",
        1,
    ),
    _I("p_true_text", "p_true:from_replies", "text", "share of True among replies", "Kadavath 2022", 1),
    _I(
        "forced_reasoning",
        "forced_reasoning:score",
        "text",
        "2 sigmoid(-wrong - 0.3 unsure steps)",
        "Miao 2024",
        2,
    ),
    _I("self_consistency", "self_consistency:score", "text", "v1 / n", "Wang 2023", 0, 1),
    _I("self_consistency_margin", "self_consistency:margin", "text", "(v1 - v2) / n", "Wang 2023", 0, 1),
    _I("vote_entropy", "self_consistency:vote_entropy", "text", "H(votes)", "Wang 2023", 0, 1),
    _I(
        "rephrasing", "rephrasing:score", "text", "share of the commonest answer", "Gao 2024; Ding 2024", 1, 1
    ),
    _I("rephrasing_between", "rephrasing:between", "text", "agreement across paraphrases", "Gao 2024", 1, 1),
    _I("rephrasing_within", "rephrasing:within", "text", "agreement within a paraphrase", "Gao 2024", 1, 1),
    _I(
        "lexical_similarity",
        "lexical_similarity:score",
        "text",
        "mean ROUGE-L F1 of pairs",
        "Fomicheva 2020",
        0,
        1,
    ),
    _I(
        "num_semantic_sets",
        "num_semantic_sets:score",
        "text",
        "number of meanings",
        "Lin 2024",
        0,
        1,
        "meanings",
    ),
    _I(
        "semantic_entropy",
        "semantic_entropy:discrete",
        "text",
        "-sum f ln f",
        "Farquhar 2024",
        0,
        1,
        "meanings",
    ),
    _I("eigenvalue", "eigenvalue:score", "text", "sum max(0, 1 - lambda)", "Lin 2024", 0, 1, "texts"),
    _I("degree_matrix", "degree_matrix:score", "text", "trace(n I - D) / n^2", "Lin 2024", 0, 1, "texts"),
    _I(
        "eccentricity",
        "eccentricity:score",
        "text",
        "norm of centred eigenvectors",
        "Lin 2024",
        0,
        1,
        "texts",
    ),
    _I(
        "ensemble_vote",
        "ensemble_vote:score",
        "text",
        "weight of the heaviest answer",
        "Lakshminarayanan 2017",
        0,
        1,
        members="models",
    ),
    _I(
        "sequence_log_likelihood",
        "sequence_log_likelihood:score",
        "logprobs",
        "sum lp",
        "Malinin & Gales 2021",
    ),
    _I(
        "normalised_probability",
        "normalised_probability:score",
        "logprobs",
        "exp(mean lp)",
        "Malinin & Gales 2021",
    ),
    _I("perplexity", "perplexity:score", "logprobs", "exp(-mean lp)", "Jelinek 1977"),
    _I("min_token_probability", "min_token_probability:score", "logprobs", "exp(min lp)", "Manakul 2023"),
    _I("token_quantiles", "token_quantiles:score", "logprobs", "a quantile of lp", "Gupta 2024"),
    _I("token_sar", "token_sar:score", "logprobs", "sum -lp R / sum R", "Duan 2024", compares="texts"),
    _I(
        "naive_entropy",
        "semantic_entropy:naive",
        "logprobs",
        "mean of -mean lp",
        "Malinin & Gales 2021",
        0,
        1,
    ),
    _I(
        "semantic_entropy_rao",
        "semantic_entropy:rao",
        "logprobs",
        "-sum P ln P",
        "Farquhar 2024",
        0,
        1,
        "meanings",
    ),
    _I(
        "semantic_entropy_kuhn",
        "semantic_entropy:kuhn",
        "logprobs",
        "-mean ln of the cluster's sum p",
        "Kuhn 2023",
        0,
        1,
        "meanings",
    ),
    _I(
        "sentence_sar",
        "sentence_sar:score",
        "logprobs",
        "-mean ln(p + sum p g / t)",
        "Duan 2024",
        0,
        1,
        "texts",
    ),
    _I(
        "cocoa", "cocoa:score", "logprobs", "-mean lp x (1 - mean similarity)", "Vashurin 2025", 0, 1, "texts"
    ),
    _I(
        "semantic_density", "semantic_density:score", "logprobs", "sum p k / sum p", "Qiu 2024", 0, 1, "texts"
    ),
    _I("rank_alternatives", "rank_alternatives:score", "logprobs", "highest mean lp", "Brown 2020", 0, 1),
    _I(
        "label_probability",
        "label_probability:score",
        "top-k",
        "softmax over the labels",
        "Zhao 2021; Tian 2023",
    ),
    _I("p_true", "p_true:from_logprobs", "top-k", "p(True)", "Kadavath 2022", 1),
    _I("token_entropy", "token_entropy:score", "top-k", "mean H over the k returned", "Malinin & Gales 2021"),
    _I("probability_margin", "probability_margin:score", "top-k", "mean p1 - p2", "Ramirez 2024"),
    _I("targ_margin", "probability_margin:targ", "top-k", "mean exp(-(l1 - l2) / beta)", "TARG 2025"),
    _I("softmax_response", "softmax_response:score", "weights", "max p", "Hendrycks & Gimpel 2017"),
    _I("predictive_entropy", "predictive_entropy:score", "weights", "-sum p ln p", "Shannon 1948"),
    _I(
        "mc_dropout",
        "mc_dropout:score",
        "weights",
        "H(mean p) - mean H(p)",
        "Gal 2016",
        0,
        1,
        members="passes",
    ),
    _I(
        "deep_ensemble",
        "deep_ensemble:score",
        "weights",
        "H(mean p)",
        "Lakshminarayanan 2017",
        0,
        1,
        members="members",
    ),
)
_BY_NAME: Final = {info.name: info for info in _SIGNALS}
