"""Numeric cores of the confidence signals: arrays in, numbers out. One method, one module.

`base` has the conventions, `signals` the list with what each needs and costs, `combined.Combined` makes one
of all.
"""

import importlib
from types import ModuleType

from suffice.confidence.base import Reading, Signal, Unavailable

__all__ = [
    "Reading",
    "Signal",
    "Unavailable",
    "base",
    "cocoa",
    "combined",
    "deep_ensemble",
    "degree_matrix",
    "eccentricity",
    "eigenvalue",
    "ensemble_vote",
    "forced_reasoning",
    "label_probability",
    "lexical_similarity",
    "mc_dropout",
    "meaning_clusters",
    "min_token_probability",
    "normalised_probability",
    "num_semantic_sets",
    "p_true",
    "perplexity",
    "predictive_entropy",
    "probability_margin",
    "rank_alternatives",
    "rephrasing",
    "self_consistency",
    "semantic_density",
    "semantic_entropy",
    "sentence_sar",
    "sequence_log_likelihood",
    "signals",
    "softmax_response",
    "token_entropy",
    "token_quantiles",
    "token_sar",
    "verbalised",
]


def __getattr__(name: str) -> ModuleType:
    """The methods are imported when asked for: a gateway that reads one does not load thirty."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
