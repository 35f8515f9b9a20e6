"""`Preferences`: which of two answers a judge liked better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suffice.errors import DataError
from suffice.types import FloatArray

if TYPE_CHECKING:
    from suffice.outcomes.table import Outcomes


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

    @classmethod
    def from_outcomes(
        cls, outcomes: Outcomes, pairs: Sequence[tuple[str, str]] | None = None, *, judge: str = "golden"
    ) -> Preferences:
        """Golden labels as preferences: of two models the one of higher measured quality wins.

        Quality q_a and q_b becomes pref_b = (1 + q_b - q_a) / 2, so that right beats wrong with
        certainty and equals tie. Pairs with an unknown quality are left out.

        Parameters
        ----------
        pairs : (model_a, model_b) to compare; None takes all of them
        judge : what stands in the column `judge`

        References
        ----------
        Ong et al. (2024), RouteLLM, arXiv 2406.18665, section 4.1: data augmentation by golden labels.
        """
        chosen = list(combinations(outcomes.arms, 2)) if pairs is None else list(pairs)
        column = {arm: outcomes.quality[:, k] for k, arm in enumerate(outcomes.arms)}
        rows: list[tuple[str, str, str, str, float]] = []
        for a, b in chosen:
            pref_b = (1 + column[b] - column[a]) / 2
            rows += [
                (outcomes.ids[i], outcomes.texts[i], a, b, float(pref_b[i]))
                for i in np.flatnonzero(~np.isnan(pref_b)).tolist()
            ]
        ids, texts, first, second, prefs = zip(*rows, strict=True) if rows else ((),) * 5
        return cls.from_columns(ids, texts, first, second, prefs, judge=(judge,) * len(rows))

    def select(self, rows: Sequence[int] | NDArray[Any] | slice) -> Preferences:
        """Some rows (indices, a mask or a slice), in the order given; a row may be taken twice."""
        index = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)].tolist()
        query_id, query, model_a, model_b, judge, annotator = (
            [column[i] for i in index]
            for column in (
                self.query_id,
                self.query,
                self.model_a,
                self.model_b,
                self.judge,
                self.annotator,
            )
        )
        return Preferences.from_columns(
            query_id, query, model_a, model_b, self.pref_b[index], judge=judge, annotator=annotator
        )

    def concat(self, *others: Preferences) -> Preferences:
        """These rows and then the others': battles augmented by judges' or golden labels."""
        parts = (self, *others)

        def joined(name: str) -> list[Any]:
            return [value for part in parts for value in getattr(part, name)]

        return Preferences.from_columns(
            joined("query_id"),
            joined("query"),
            joined("model_a"),
            joined("model_b"),
            np.concatenate([part.pref_b for part in parts]),
            judge=joined("judge"),
            annotator=joined("annotator"),
        )

    def write(self, path: str | PathLike[str]) -> None:
        """Parquet, JSONL or CSV by extension; text formats also as .gz."""
        import pyarrow as pa

        from suffice.outcomes.reading import save

        texts = ("query_id", "query", "model_a", "model_b", "judge", "annotator")
        columns = {name: pa.array(getattr(self, name), pa.large_string()) for name in texts}
        columns["pref_b"] = pa.array(self.pref_b, pa.float64(), mask=np.isnan(self.pref_b))
        save(pa.table(columns), path)
