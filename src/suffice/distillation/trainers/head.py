"""`head`: features of the text and a linear or small neural head, in numpy; a second for thousands of rows.

Cox (1958), The regression analysis of binary sequences, one regression for each label on hashed TF-IDF
n-grams (or on dense vectors of an embedder); the penalty is the one that does best on validation rows, or,
without any, on a fifth of the training rows. An extraction is one such choice per field, where all its
values are few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import msgspec
import numpy as np
from msgspec import Meta

from suffice.distillation.flywheel.project import Settings
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.trainers.base import (
    CLASSIFY,
    Classes,
    Course,
    calibrated,
    classes_of,
    teachable,
    told,
)
from suffice.errors import ConfigError, DataError
from suffice.providers.head import Featuriser, Float32, Head, Part, Reads, scores, tempered
from suffice.providers.student_card import StudentCard, write_card
from suffice.routers import network
from suffice.routers.draws import text_draws
from suffice.routers.irls import LinearKernel, logistic_path
from suffice.routers.sparse import SparseMatrix
from suffice.types import FloatArray, IntArray, Kind

_HELD: Final = 5
"""One in so many training rows chooses the penalty where there are no validation rows."""
_MOST_VALUES: Final = 50
"""Of a field that a head can choose among."""
_LEAST_CHANCE: Final = 1e-3

Count = Annotated[int, Meta(ge=1)]


class HeadSettings(Settings, frozen=True, kw_only=True):
    """Of the section `train`."""

    embedder: str = "hashed"
    embedder_params: dict[str, Any] = msgspec.field(default_factory=dict)
    features: Kind | None = "both"
    """Sparse features of the embedder: words, characters or both; null: its dense vectors."""
    hidden: Annotated[int, Meta(ge=0)] = 0
    """Units of two hidden layers, over dense vectors only; 0: a linear head."""
    penalties: tuple[Annotated[float, Meta(gt=0)], ...] = (4.0, 2.0, 1.0, 0.5, 0.25, 0.125)
    """Descending, to choose from."""
    min_rows: Count = 2
    """n-grams that occur in fewer training rows are left out."""
    seed: int = 0


class HeadTrainer:
    """Implements `Trainer`."""

    extra: ClassVar[str | None] = None
    settings: ClassVar[type[Settings]] = HeadSettings
    name: ClassVar[str] = "head"
    aside: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: HeadSettings) -> None:
        if settings.hidden and settings.features is not None:
            raise ConfigError("hidden units need dense vectors: set `features: null`, or `hidden: 0`")
        if not settings.penalties or list(settings.penalties) != sorted(settings.penalties, reverse=True):
            raise ConfigError(f"penalties {settings.penalties}: some numbers in descending order are needed")
        self._settings = settings

    def train(self, course: Course) -> StudentCard:
        """`head.npz` and `student.json`."""
        own, task = self._settings, course.task
        if task.kind == CLASSIFY:
            choices: list[tuple[str | None, Classes, Classes]] = [(None, *teachable(course))]
        elif task.kind == "extract":
            choices = [*_fields(course)]
        else:
            raise ConfigError("a head chooses among labels: for generated texts take the trainer lora")
        texts = choices[0][1].texts
        reads = Reads(embedder=own.embedder, params=own.embedder_params, features=own.features)
        featuriser = Featuriser(reads).learn(texts, min_rows=own.min_rows)
        fitted = [self._part(featuriser, field, rows, held) for field, rows, held in choices]
        course.out.mkdir(parents=True, exist_ok=True)
        head = Head(featuriser, [(part, arrays) for part, arrays, _ in fitted])
        spec = head.save(course.out)
        facts = fitted[0][2] if len(fitted) == 1 else {
            str(part.field): found for part, _, found in fitted
        }  # fmt: skip
        card = StudentCard(
            kind="head",
            trainer=self.name,
            task=task.kind,
            labels=choices[0][1].labels if task.kind == CLASSIFY else (),
            instruction=task.instruction,
            n_train=len(texts),
            n_validation=len(choices[0][2].texts),
            temperature=fitted[0][0].temperature,
            settings=msgspec.to_builtins(own),
            facts={"head": msgspec.to_builtins(spec), **facts},
        )
        write_card(card, course.out)
        return card

    def _part(
        self, featuriser: Featuriser, field: str | None, rows: Classes, held: Classes
    ) -> tuple[Part, dict[str, Float32], dict[str, Any]]:
        """One choice, fitted; and what its card says of it."""
        own = self._settings
        x, y = featuriser.matrix(rows.texts), rows.y
        inner = _Inner.of(rows, own.seed) if not len(held.y) else None
        if inner is None:
            looks, look_y = featuriser.matrix(held.texts), held.y
        else:
            looks, look_y = x.select(inner.held), y[inner.held]
        fit = self._network if own.hidden else self._linear
        if inner is None:
            arrays, found, chosen = fit(x, y, len(rows.labels), looks, look_y)
        else:  # the choice and the temperature from a fifth, the weights from all
            first, found, chosen = fit(x.select(inner.rest), y[inner.rest], len(rows.labels), looks, look_y)
            arrays = first if own.hidden else self._weights(x, y, len(rows.labels), chosen)
        temperature = calibrated(found, look_y)
        facts = told(found, look_y, temperature) | {"penalty": chosen}
        part = Part(labels=rows.labels, field=field, hidden=own.hidden, temperature=temperature)
        return part, arrays, facts

    def _linear(
        self, x: SparseMatrix, y: IntArray, k: int, looks: SparseMatrix, look_y: IntArray
    ) -> tuple[dict[str, Float32], FloatArray, float]:
        """Weights, log-odds of the rows that chose, and the penalty they chose."""
        best: tuple[float, dict[str, Float32], FloatArray, float] | None = None
        for penalty, arrays in _path(x, y, k, self._settings.penalties):
            found = scores(arrays, looks)
            loss = _loss(found, look_y)
            if best is None or loss < best[0]:
                best = loss, arrays, found, penalty
        assert best is not None
        return best[1:]

    def _weights(self, x: SparseMatrix, y: IntArray, k: int, chosen: float) -> dict[str, Float32]:
        """With the chosen penalty, by way of the larger ones."""
        path = [penalty for penalty in self._settings.penalties if penalty >= chosen]
        return list(_path(x, y, k, path))[-1][1]

    def _network(
        self, x: SparseMatrix, y: IntArray, k: int, looks: SparseMatrix, look_y: IntArray
    ) -> tuple[dict[str, Float32], FloatArray, float]:
        own = self._settings
        dense, held = (one.rows.values.reshape(one.shape).astype(np.float64) for one in (x, looks))
        offsets = _offsets(y, k).astype(np.float64)
        start = network.initial(dense.shape[1], (own.hidden, own.hidden), k, own.seed)
        eye = np.eye(k)
        weights = network.train(
            start,
            [dense, eye[y], np.ones((len(y), k))],
            [held, eye[look_y], np.ones((len(look_y), k))],
            offsets,
            lr=1e-3,
            penalty=1e-5,
            batch=64,
            max_epochs=100,
            patience=10,
            seed=own.seed,
        )
        weights["b3"] = weights["b3"] + offsets
        arrays = {name: array.astype(np.float32) for name, array in weights.items()}
        return arrays, network.logits(arrays, held), 1e-5


def _path(
    x: SparseMatrix, y: IntArray, k: int, penalties: Sequence[float]
) -> list[tuple[float, dict[str, Float32]]]:
    targets = (np.arange(k)[:, None] == y).astype(np.float32)
    offsets = _offsets(y, k)
    found = []
    for penalty, weights in zip(
        penalties,
        logistic_path(LinearKernel(x), targets, np.ones_like(targets), offsets, penalties),
        strict=True,
    ):
        weights[:, -1] += offsets
        found.append((penalty, {"w": weights}))
    return found


def _offsets(y: IntArray, k: int) -> Float32:
    """(K,): log-odds of every label's share."""
    shares = np.clip(np.bincount(y, minlength=k) / max(len(y), 1), _LEAST_CHANCE, 1 - _LEAST_CHANCE)
    return np.asarray(np.log(shares / (1 - shares)), np.float32)


def _loss(logits: FloatArray, y: IntArray) -> float:
    """Mean surprise at the true label."""
    return float(-tempered(logits, 1.0)[np.arange(len(y)), y].mean())


@dataclass(frozen=True)
class _Inner:
    """Training rows, parted: by text, so that equal texts stand on one side."""

    rest: IntArray
    held: IntArray

    @classmethod
    def of(cls, rows: Classes, seed: int) -> _Inner:
        draws = text_draws(rows.texts, seed)
        is_held = draws % np.uint64(_HELD) == 0
        if not is_held.any() or is_held.all():  # a handful of rows
            everything = np.arange(len(draws))
            return cls(everything, everything)
        return cls(np.flatnonzero(~is_held), np.flatnonzero(is_held))


def _fields(course: Course) -> list[tuple[str, Classes, Classes]]:
    """Every field of an extraction as a choice among its values.

    Raises
    ------
    DataError
        If the labels are no JSON objects, or a field has too many values to choose among.
    """
    train, held = _objects(course.rows), _objects(course.validation)
    if not train:
        raise DataError("no training row has a JSON object as its label: a head cannot learn to extract")
    found = []
    for name in sorted({name for _, values in train for name in values}):
        counts = Counter(values.get(name, "null") for _, values in train)
        if len(counts) > _MOST_VALUES:
            raise DataError(
                f"the field {name!r} has {len(counts)} values in {len(train)} rows: a head chooses among at "
                f"most {_MOST_VALUES}; take the trainer lora"
            )
        labels = tuple(sorted(counts))
        parts = [
            classes_of([_labelled(row, values.get(name, "null")) for row, values in part], labels, course.say)
            for part in (train, held)
        ]
        found.append((name, parts[0], parts[1]))
    return found


def _objects(rows: Sequence[Row]) -> list[tuple[Row, Mapping[str, str]]]:
    """Rows whose label is a JSON object, with every value as JSON."""
    found: list[tuple[Row, Mapping[str, str]]] = []
    for row in rows:
        try:
            values = msgspec.json.decode(row.label or "", type=dict[str, Any])
        except (msgspec.DecodeError, ValueError):
            continue
        found.append((row, {name: msgspec.json.encode(value).decode() for name, value in values.items()}))
    return found


def _labelled(row: Row, label: str) -> Row:
    return msgspec.structs.replace(row, label=label)
