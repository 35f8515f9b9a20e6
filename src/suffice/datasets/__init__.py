"""Benchmark sets and the recorded panel: queries, answers, grades.

A set is a class with `info`, `item` and `from_long` (`TaskSet`); a package adds its own by the entry
point `suffice.datasets`, a user by `path/to/file.py:ClassName`.
"""

from __future__ import annotations

from suffice.datasets.base import Info, TaskSet
from suffice.datasets.items import Item, read_items, write_items
from suffice.errors import ConfigError
from suffice.registry import Registry

__all__ = ["Info", "Item", "TaskSet", "available", "create", "read_items", "registry", "write_items"]

_HERE = "suffice.datasets"
registry = Registry(
    "dataset",
    "suffice.datasets",
    {
        "natural_qa": f"{_HERE}.open_sets:NaturalQa",
        "trivia_qa": f"{_HERE}.open_sets:TriviaQa",
        "mmlu": f"{_HERE}.choice_sets:Mmlu",
        "gpqa": f"{_HERE}.choice_sets:Gpqa",
        "mbpp": f"{_HERE}.code_sets:Mbpp",
        "human_eval": f"{_HERE}.code_sets:HumanEval",
        "gsm8k": f"{_HERE}.math_sets:Gsm8k",
        "commonsense_qa": f"{_HERE}.choice_sets:CommonsenseQa",
        "math": f"{_HERE}.math_sets:Math",
        "openbook_qa": f"{_HERE}.choice_sets:OpenbookQa",
        "arc_challenge": f"{_HERE}.choice_sets:ArcChallenge",
    },
)


def available() -> tuple[str, ...]:
    """Names of all sets."""
    return registry.available()


def create(name: str) -> TaskSet:
    """A set by name, or from `path/to/file.py:ClassName`.

    Raises
    ------
    UnknownName
        If nothing has that name.
    ConfigError
        If the class has no `info` or no `item`.
    """
    made = registry.create(name, {})
    if not isinstance(getattr(made, "info", None), Info) or not callable(getattr(made, "item", None)):
        raise ConfigError(f"the dataset {name!r} lacks `info` (suffice.datasets.Info) or `item(row, number)`")
    found: TaskSet = made
    return found
