"""`Preferences`: which of two answers a judge liked better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from suffice.errors import DataError
from suffice.types import FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Preferences:
    """One row per judged pair; all fields have the same length."""

    query_id: tuple[str, ...]
    query: tuple[str, ...]
    model_a: tuple[str, ...]
    model_b: tuple[str, ...]
    pref_b: FloatArray
    """In [0, 1]: 1 prefers b, 0 prefers a; NaN is unknown."""
    judge: tuple[str | None, ...]
    annotator: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.query_id)

    @property
    def models(self) -> tuple[str, ...]:
        """All models, sorted."""
        return tuple(sorted({*self.model_a, *self.model_b}))

    @classmethod
    def read(cls, path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Preferences:
        """Parquet, JSONL or CSV with the columns of this class; `judge` and `annotator` may be missing.

        Raises
        ------
        DataError
            With file, row and column, for anything that cannot be read.
        """
        from suffice.outcomes.reading import load

        needed = ("query_id", "model_a", "model_b")
        fields = (*needed, "query", "pref_b", "judge", "annotator")
        table = load(path, required=("query", "pref_b"), filled=needed, keep=fields)

        def texts(name: str) -> list[Any]:
            is_known = name in table.column_names
            return table.column(name).to_pylist() if is_known else [None] * table.num_rows

        return cls.from_columns(
            texts("query_id"),
            [text or "" for text in texts("query")],
            texts("model_a"),
            texts("model_b"),
            table.column("pref_b").to_numpy().astype(np.float64),
            judge=texts("judge"),
            annotator=texts("annotator"),
        )

    @classmethod
    def from_columns(
        cls,
        query_id: Sequence[str],
        query: Sequence[str],
        model_a: Sequence[str],
        model_b: Sequence[str],
        pref_b: ArrayLike,
        *,
        judge: Sequence[str | None] | None = None,
        annotator: Sequence[str | None] | None = None,
    ) -> Preferences:
        """Checked and frozen.

        Raises
        ------
        DataError
            If the lengths differ or a preference leaves [0, 1].
        """
        preference = np.array(pref_b, dtype=np.float64)
        n = len(query_id)
        nobody = (None,) * n
        columns = (query, model_a, model_b, judge or nobody, annotator or nobody)
        if preference.shape != (n,) or any(len(column) != n for column in columns):
            raise DataError(f"the columns of preferences differ in length; expected {n} each")
        bad = np.flatnonzero((preference < 0) | (preference > 1))
        if len(bad):
            raise DataError(f"{preference[bad[0]]} is outside [0, 1]", row=int(bad[0]) + 1, column="pref_b")
        preference.flags.writeable = False
        return cls(
            tuple(query_id),
            tuple(query),
            tuple(model_a),
            tuple(model_b),
            preference,
            tuple(judge or nobody),
            tuple(annotator or nobody),
        )

    def write(self, path: str | PathLike[str]) -> None:
        """Parquet, JSONL or CSV by extension; text formats also as .gz."""
        import pyarrow as pa

        from suffice.outcomes.reading import save

        texts = ("query_id", "query", "model_a", "model_b", "judge", "annotator")
        columns = {name: pa.array(getattr(self, name), pa.large_string()) for name in texts}
        columns["pref_b"] = pa.array(self.pref_b, pa.float64(), mask=np.isnan(self.pref_b))
        save(pa.table(columns), path)
