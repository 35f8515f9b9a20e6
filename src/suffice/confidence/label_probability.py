"""Which label, and how sure: "fraud: 92 %".

Needs: logprobs of the label tokens where there are any, else text only. Costs: nothing beyond the answer with
logprobs (top-k must reach every label); n calls of a few tokens without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from suffice.confidence.base import Reading, Unavailable, share


def from_logprobs(logprobs: Mapping[str, float]) -> dict[str, float] | Unavailable:
    """Softmax over the labels of their log-probabilities.

    Parameters
    ----------
    logprobs : label -> log-probability of its first token, or of all its tokens where labels share the first;
        -inf, or left out, for a label beyond the top k

    References
    ----------
    Zhao et al. (2021), Calibrate Before Use (label probabilities renormalised over the labels).

    Examples
    --------
    >>> from_logprobs({"fraud": np.log(0.46), "fine": np.log(0.04)})["fraud"].__round__(6)
    0.92
    """
    values = np.array(list(logprobs.values()), dtype=np.float64)
    if not len(values) or np.isnan(values).any() or np.isneginf(values).all():
        return Unavailable("no label has a log-probability")
    weights = np.exp(values - values.max())
    return dict(zip(logprobs, (weights / weights.sum()).tolist(), strict=True))


def from_samples(
    samples: Sequence[str | None], labels: Sequence[str] | None = None
) -> dict[str, float] | Unavailable:
    """Share of each label among the samples that name one.

    Parameters
    ----------
    samples : a label each, None where none was named
    labels : those allowed; a sample with another one is left out. All that were seen by default

    References
    ----------
    Tian et al. (2023), Just Ask for Calibration ("Label prob.": sample frequency).

    Examples
    --------
    >>> from_samples(["fraud", "fraud", "fine", None], labels=["fraud", "fine", "unclear"])["unclear"]
    0.0
    """
    named = Counter(
        sample for sample in samples if sample is not None and (labels is None or sample in labels)
    )
    if not named:
        return Unavailable("no sample names a label")
    total = named.total()
    return {label: named[label] / total for label in (labels or named)}


def score(distribution: Mapping[str, float] | Unavailable, *, label: str | None = None) -> Reading:
    """Value and confidence: the probability of the likeliest label, or of the one given.

    Parameters
    ----------
    distribution : of `from_logprobs` or `from_samples`

    Examples
    --------
    >>> float(score({"fraud": 0.92, "fine": 0.08}))
    0.92
    """
    if isinstance(distribution, Unavailable):
        return distribution
    if label is None:
        return share(max(distribution.values()))
    return (
        share(distribution[label]) if label in distribution else Unavailable(f"no probability of {label!r}")
    )
