"""Programs that check an answer: its shape first, then against the reference."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from suffice.datasets import metrics
from suffice.datasets.grading import normalised_text
from suffice.distillation.flywheel.answers import label_of
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import Row
from suffice.errors import ConfigError, DataError
from suffice.plans.structured import mismatch

SCHEMA: Final = "schema"
_DEFAULTS: Final = {"classify": "exact", "extract": "json"}


class Verifier:
    """What can be said of an answer without a model."""

    def __init__(self, task: Task, pattern: str | None = None) -> None:
        """
        Parameters
        ----------
        pattern : that every answer must match as a whole

        Raises
        ------
        ConfigError, UnknownName
            If the pattern is none, or no metric has the name that the task gives.
        """
        self._task = task
        self.name = task.metric or _DEFAULTS.get(task.kind)
        if self.name == metrics.JUDGED:
            self.name = None
        is_named = self.name is not None and self.name != SCHEMA
        self._metric = metrics.create(self.name) if is_named and self.name is not None else None
        try:
            self._pattern = None if pattern is None else re.compile(pattern, re.DOTALL)
        except re.error as error:
            raise ConfigError(f"judge.pattern: {error}", key="judge.pattern") from error

    def score(self, text: str, row: Row) -> float | None:
        """In [0, 1]; None where nothing can be said.

        Raises
        ------
        DataError
            If the row's reference does not fit the metric.
        """
        if self._has_wrong_shape(text):
            return 0.0
        if self._metric is None or row.reference is None:
            return 1.0 if self.name == SCHEMA and self._task.json_schema is not None else None
        if self._task.kind == "classify" and self._task.labels and self.name == "exact":
            said, wanted = label_of(text, self._task), label_of(row.reference, self._task)
            return float(
                said is not None and normalised_text(said) == normalised_text(wanted or row.reference)
            )
        try:
            return float(self._metric.score(text, row.reference))
        except ValueError as error:
            raise DataError(f"row {row.id!r}, metric {self.name!r}: {error}") from error

    def _has_wrong_shape(self, text: str) -> bool:
        if self._pattern is not None and self._pattern.fullmatch(text.strip()) is None:
            return True
        if self._task.kind == "classify" and self._task.labels:
            return label_of(text, self._task) is None
        schema = self._task.json_schema
        return schema is not None and _departs(label_of(text, self._task), schema)


def _departs(text: str | None, schema: dict[str, Any]) -> bool:
    try:
        value = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return True
    return mismatch(value, schema, schema) is not None
