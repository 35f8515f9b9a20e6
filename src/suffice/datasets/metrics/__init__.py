"""Named metrics: how good a response is, in [0, 1], by its text alone.

A metric is a class whose instances have `score(response, reference) -> float`; a package adds its own
by the entry point `suffice.task_metrics`, a user by `path/to/file.py:ClassName`.
"""

from __future__ import annotations

from suffice.datasets.metrics.base import Metric, golds
from suffice.registry import Registry

__all__ = ["JUDGED", "Metric", "available", "create", "golds", "registry"]

JUDGED = "judge"
"""The metric of answers that no program can check: a judge model rates them."""

_HERE = "suffice.datasets.metrics"
registry = Registry(
    "metric",
    "suffice.task_metrics",
    {
        "em": f"{_HERE}.squad:ExactMatch",
        "f1": f"{_HERE}.squad:F1",
        "choice": f"{_HERE}.choice:MultipleChoice",
        "gsm8k": f"{_HERE}.gsm8k:Gsm8k",
        "math": f"{_HERE}.maths:Math",
        "code": f"{_HERE}.code:Code",
        **{
            name: f"{_HERE}.checks:{cls}"
            for name, cls in {
                "number": "Number",
                "exact": "Exact",
                "verbatim": "Verbatim",
                "words": "Words",
                "python": "Python",
                "contains": "Contains",
                "label": "Label",
                "json": "Json",
                "regex": "Regex",
            }.items()
        },
    },
)


def available() -> tuple[str, ...]:
    """Names of all metrics, "judge" among them."""
    return (*registry.available(), JUDGED)


def create(name: str) -> Metric:
    """A metric by name, or from `path/to/file.py:ClassName`.

    Raises
    ------
    UnknownName
        If nothing has that name.
    ConfigError
        If the class cannot be made without parameters, or has no `score`.
    """
    from suffice.errors import ConfigError

    made = registry.create(name, {})
    if not callable(getattr(made, "score", None)):
        raise ConfigError(f"the metric {name!r} has no method score(response, reference)")
    metric: Metric = made
    return metric
