"""A linear or small neural head on text features: what a student of few words is, at inference.

numpy alone, a tenth of a millisecond for a short text. Trained by `suffice distill`; see
`distillation/trainers/head.py`.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from suffice import embedders
from suffice.errors import ArtefactError, ConfigError, DataError
from suffice.protocols import Embedder, has_features
from suffice.routers import network
from suffice.routers.artefact import Arrays
from suffice.routers.sparse import SparseMatrix
from suffice.routers.tfidf import Vocabulary
from suffice.types import FloatArray, Kind, SparseFeatures

ARRAYS: Final = "head.npz"
_LEAST: Final = 1e-12

Float32 = NDArray[np.float32]


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """What a head reads."""

    embedder: str = "hashed"
    params: dict[str, Any] = {}
    """Of the embedder's constructor."""
    features: Kind | None = "both"
    """Which sparse features, weighed by how rare they are; None: the embedder's dense vectors."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One choice that a head makes."""

    labels: tuple[str, ...]
    field: str | None = None
    """Of an extraction; then a label is the value as JSON."""
    hidden: int = 0
    """Units of each of two layers between features and labels; 0: a linear head."""
    temperature: float = 1.0


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A head but its arrays; stands in the card's `facts`."""

    reads: Reads
    parts: tuple[Part, ...]
    dimensions: int
    """Of what it reads."""
    sha256: str = ""
    """Of `head.npz`."""


class Featuriser:
    """Texts to what a head reads."""

    def __init__(self, reads: Reads, vocabulary: Vocabulary | None = None) -> None:
        """
        Parameters
        ----------
        vocabulary : None until it is learnt, and for dense vectors

        Raises
        ------
        ConfigError
            If there is no such embedder, or it has no sparse features where those are read.
        """
        self.reads, self.vocabulary = reads, vocabulary
        self.embedder: Embedder = embedders.create(reads.embedder, **reads.params)
        if reads.features is not None and not has_features(self.embedder):
            raise ConfigError(
                f"the embedder {reads.embedder!r} has no sparse features: take hashed, or features: null"
            )

    def learn(self, texts: Sequence[str], *, min_rows: int) -> Self:
        """The vocabulary, from training texts."""
        if self.reads.features is not None:
            self.vocabulary = Vocabulary.learn(self._sparse(texts), min_rows=min_rows)
        return self

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions if self.vocabulary is None else len(self.vocabulary.columns)

    def matrix(self, texts: Sequence[str]) -> SparseMatrix:
        """(n, d): sparse, or dense vectors as a matrix without gaps."""
        if self.vocabulary is not None:
            return SparseMatrix(self.vocabulary.weigh(self._sparse(texts)))
        found = np.ascontiguousarray(self.embedder.embed(texts), np.float32)
        n, d = found.shape
        rows = SparseFeatures(
            indptr=np.arange(n + 1, dtype=np.int64) * d,
            indices=np.tile(np.arange(d, dtype=np.int32), n),
            values=found.ravel(),
            n_columns=d,
        )
        return SparseMatrix(rows)

    def _sparse(self, texts: Sequence[str]) -> SparseFeatures:
        assert self.reads.features is not None and has_features(self.embedder)
        return self.embedder.features(texts, self.reads.features)


class Head:
    """One or several choices over the same features."""

    def __init__(self, featuriser: Featuriser, parts: Sequence[tuple[Part, Mapping[str, Float32]]]) -> None:
        """
        Parameters
        ----------
        parts : with the array `w` (K, d + 1), the intercept last; or those of `routers/network`
        """
        self.featuriser, self._parts = featuriser, tuple(parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for part, _ in self._parts)

    def log_probs(self, texts: Sequence[str]) -> list[FloatArray]:
        """For every part (n, K): calibrated log-probabilities of its labels."""
        x = self.featuriser.matrix(texts)
        return [tempered(scores(arrays, x), part.temperature) for part, arrays in self._parts]

    def answer(self, texts: Sequence[str]) -> tuple[list[str], FloatArray]:
        """What it says, and (n,) how sure it is that this is right, in [0, 1]."""
        if not texts:
            return [], np.empty(0)
        found = self.log_probs(texts)
        chosen = [one.argmax(axis=1) for one in found]
        sure = np.exp(sum((one.max(axis=1) for one in found), np.zeros(len(texts))))
        said = [
            [part.labels[place] for place in places] for part, places in zip(self.parts, chosen, strict=True)
        ]
        if self.parts[0].field is None:
            return said[0], sure
        names = [part.field for part in self.parts]
        return [_object(names, values) for values in zip(*said, strict=True)], sure

    def save(self, folder: Path) -> Spec:
        """Write the arrays; the spec is the caller's to keep."""
        arrays: dict[str, NDArray[Any]] = {
            f"{place}.{name}": array
            for place, (_, own) in enumerate(self._parts)
            for name, array in own.items()
        }
        if (vocabulary := self.featuriser.vocabulary) is not None:
            arrays |= {"columns": vocabulary.columns, "idf": vocabulary.idf}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        scratch = folder / f".part-{ARRAYS}"
        try:
            scratch.write_bytes(buffer.getvalue())
            os.replace(scratch, folder / ARRAYS)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", file=str(folder / ARRAYS)) from error
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        reads, dimensions = self.featuriser.reads, self.featuriser.dimensions
        return Spec(reads=reads, parts=self.parts, dimensions=dimensions, sha256=digest)

    @classmethod
    def load(cls, folder: Path, spec: Spec) -> Self:
        """
        Raises
        ------
        ArtefactError
            If the arrays are missing, damaged, or do not fit the spec.
        """
        arrays = Arrays(_read(folder / ARRAYS, spec.sha256))
        featuriser = Featuriser(spec.reads)
        if spec.reads.features is not None:
            columns = arrays.take("columns", "i", (spec.dimensions,)).astype(np.int32)
            featuriser.vocabulary = Vocabulary(columns, arrays.take("idf", "f", (spec.dimensions,)))
        if featuriser.dimensions != spec.dimensions:
            raise ArtefactError(
                f"{folder} reads {spec.dimensions} dimensions, {spec.reads.embedder!r} now gives "
                f"{featuriser.dimensions}: train it again"
            )
        return cls(featuriser, [(part, _arrays(arrays.under(f"{i}."), part, spec.dimensions))
                                for i, part in enumerate(spec.parts)])  # fmt: skip


def scores(arrays: Mapping[str, Float32], x: SparseMatrix) -> FloatArray:
    """(n, K): log-odds of every label, each against the rest; of a neural head, logits."""
    if "w" in arrays:
        return (x.times(arrays["w"][:, :-1]) + arrays["w"][:, -1:]).T.astype(np.float64)
    return network.logits(arrays, x.rows.values.reshape(x.shape)).astype(np.float64)


def tempered(logits: FloatArray, temperature: float) -> FloatArray:
    """(n, K): log-probabilities that sum to 1."""
    scaled = logits / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def _arrays(arrays: Arrays, part: Part, d: int) -> dict[str, Float32]:
    k = len(part.labels)
    if not part.hidden:
        return {"w": arrays.take("w", "f", (k, d + 1))}
    h = part.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "w1": (d, h), "b1": (h,), "w2": (h, h), "b2": (h,), "w3": (h, k), "b3": (k,)
    }  # fmt: skip
    return {name: arrays.take(name, "f", shape) for name, shape in shapes.items()}


def _read(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}): train it again") from error
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise ArtefactError(f"{path} is not the file that was saved: damaged; train it again")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} holds no plain arrays ({error}): train it again") from error


def _object(names: Sequence[str | None], values: Sequence[str]) -> str:
    pairs = {str(name): msgspec.Raw(value.encode()) for name, value in zip(names, values, strict=True)}
    return msgspec.json.encode(pairs).decode()
