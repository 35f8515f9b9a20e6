"""g(query, answer) by a router that reads both as one text, such as a fine-tuned encoder.

References
----------
Chen et al. (2023), FrugalGPT, arXiv 2305.05176, section 3: a small encoder (DistilBERT there) reads query and
answer and is trained to say whether the answer is right. Here any router can be that reader: what it is
trained on are outcomes of one arm, whose queries are the texts of query and answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.calibration import Calibrator, choose_calibrator, from_json
from suffice.cascades.frugalgpt.scorer import CANDIDATES, filled, is_spoken
from suffice.errors import ArtefactError, DataError, NotFitted
from suffice.outcomes import Outcomes
from suffice.protocols import Router
from suffice.types import FloatArray, Query

READER: Final = "reader"
"""The directory of the reader, in that of the cascade."""
_ARM: Final = "right"
_TAIL: Final = 600
"""Characters of an answer that are read, from its end: encoders read a few hundred tokens of both."""


class TextScorer:
    """What `AnswerScorer` does, by a router that the caller hands in."""

    def __init__(self, reader: Router, *, n_folds: int = 3, seed: int = 0) -> None:
        self.reader, self.n_folds, self.seed = reader, n_folds, seed

    def fit(
        self, texts: Sequence[str], arms: Sequence[str], responses: NDArray[np.object_], quality: FloatArray
    ) -> Self:
        """As `AnswerScorer.fit`; the reader is trained once per fold and once on all.

        Raises
        ------
        DataError
            If no graded answer has a text.
        """
        self.arms_ = tuple(arms)
        rows = np.argwhere(~np.isnan(quality) & is_spoken(responses))
        if not len(rows):
            raise DataError("no graded answer has a text: a scorer of answers has nothing to learn from")
        read = [self._read(texts[row], arm, responses[row, arm]) for row, arm in rows]
        y = quality[tuple(rows.T)]
        fold_of_text = np.array([zlib.crc32(f"{self.seed} {text}".encode()) % self.n_folds for text in texts])
        fold, raw = fold_of_text[rows[:, 0]], np.full(len(y), float(y.mean()))
        for held in np.unique(fold):
            inside = fold != held
            if inside.any():
                self._train([read[row] for row in np.flatnonzero(inside)], y[inside])
                raw[~inside] = self._raw([read[row] for row in np.flatnonzero(~inside)])
        self._train(read, y)
        right = (y >= 0.5).astype(np.float64)
        self.calibrator_: Calibrator = choose_calibrator(raw, right, candidates=CANDIDATES, seed=self.seed)
        self.held_out_ = filled(quality.shape, rows, self.calibrator_.predict(raw))
        return self

    def scores(self, texts: Sequence[str], responses: NDArray[np.object_]) -> FloatArray:
        """(n, M) probabilities that the answers of all arms are right; 0 for one without text."""
        if not hasattr(self, "calibrator_"):
            raise NotFitted("the scorer of answers")
        rows = np.argwhere(is_spoken(responses))
        if not len(rows):
            return np.zeros(responses.shape)
        read = [self._read(texts[row], arm, responses[row, arm]) for row, arm in rows]
        return filled(responses.shape, rows, self.calibrator_.predict(self._raw(read)))

    def score(self, text: str, arm: int, answer: str) -> float:
        """Of one answer."""
        responses = np.full((1, len(self.arms_)), None, dtype=object)
        responses[0, arm] = answer
        return float(self.scores([text], responses)[0, arm])

    def save(self, directory: Path) -> dict[str, Any]:
        """Write the reader into the cascade's directory; the rest as JSON values."""
        self.reader.save(Path(directory) / READER)
        return {"kind": READER, "calibrator": self.calibrator_.to_json(), "arms": self.arms_}

    @classmethod
    def restored(cls, reader: Router | None, facts: Mapping[str, Any], seed: int) -> TextScorer:
        """What `save` gave, and the reader that was loaded.

        Raises
        ------
        ArtefactError
            If there is no reader, or it is none of answers.
        """
        if reader is None or reader.arms != (_ARM,):
            raise ArtefactError(f"the scorer needs the router in {READER!r}, loaded: pass it as `reader`")
        found = cls(reader, seed=seed)
        found.arms_, found.calibrator_ = tuple(facts["arms"]), from_json(facts["calibrator"])
        return found

    def _train(self, read: Sequence[str], y: FloatArray) -> None:
        self.reader.fit(Outcomes.from_arrays([Query(text=one) for one in read], (_ARM,), y[:, None]))

    def _raw(self, read: Sequence[str]) -> FloatArray:
        found = self.reader.scores([Query(text=one) for one in read])[:, 0]
        return np.clip(found, 0.0, 1.0)

    def _read(self, text: str, arm: int, answer: object) -> str:
        """Who says what to what; the answer first, so that a long query cannot push it out."""
        return f"{self.arms_[arm]} answers: {str(answer)[-_TAIL:]}\n\nQuestion: {text}"
