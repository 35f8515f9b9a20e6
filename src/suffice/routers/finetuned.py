"""What the routers that fine-tune a transformer share: from recorded outcomes or battles to scores.

A tenth of the training texts is held out: training stops by it, and goes back to its best step; it also
says how far the result is to be followed. With fewer than 20 different texts nothing is trained.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from suffice.errors import ArtefactError, ConfigError, DataError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.artefact import Arrays
from suffice.routers.base import BaseRouter, arm_means
from suffice.routers.draws import text_draws
from suffice.routers.encoder import Encoder
from suffice.routers.frozen import above_frozen
from suffice.routers.heads import GradedHead, Head
from suffice.routers.losses import Loss
from suffice.routers.pairs import PairHead
from suffice.routers.preferring import known_battles
from suffice.routers.pytorch import EXTRA, library, seeded
from suffice.routers.tuning import Progress, Rows, Schedule, tune
from suffice.types import FloatArray, Query

_LEAST_TEXTS: Final = 20
_SAMPLE: Final = 512
"""Training texts from which means are taken."""
_ENCODER: Final = "encoder."
_HEAD: Final = "head."
_HEAD_RATE: Final = 1e-3


@dataclass(frozen=True)
class Lesson:
    """Texts in an order of their own, that of their draws, so that the order given does not matter."""

    texts: tuple[str, ...]
    tokens: list[list[int]]
    train: Rows
    held_out: Rows


class FineTuned(BaseRouter):
    """A transformer, a head on it, and the training of both."""

    extra = EXTRA
    not_in_all: ClassVar[str | None] = (
        "it fine-tunes a transformer, which must be on this machine and takes minutes: name it"
    )
    batches_by_length: ClassVar[bool] = True

    on_progress: Callable[[Progress], None] | None = None
    """Called on the way of `fit`; set it on the router."""

    epochs: float
    max_steps: int
    batch: int
    learning_rate: float | None
    max_length: int
    held_out: float
    patience: int
    max_rows: int | None
    loss: str = "cross_entropy"
    loss_strength: float | None = None
    temperature_scaling: bool = False
    seed: int

    encoder_: Encoder
    head_: Head
    course_: dict[str, Any]
    """How training went."""

    @abstractmethod
    def _open(self) -> Encoder:
        """The pretrained model, ready to be trained."""

    @abstractmethod
    def _graded(self, n_arms: int) -> Head:
        """An untrained head for quality."""

    def _taught(self, head: Any, quality: FloatArray, lesson: Lesson) -> None:
        """Give the head its targets (n, K), arms by name."""
        head.teach(quality, self.encoder_.device)

    @property
    @abstractmethod
    def _base(self) -> tuple[str, float]:
        """The pretrained model's name, and its step size by default."""

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self.encoder_.tokens(texts)

    def _fit(self, outcomes: Outcomes) -> None:
        self._check_params()
        texts, quality = self._ordered(outcomes)
        with self._begun():
            self.head_ = self._graded(quality.shape[1])
            lesson = self._lesson(texts)
            self._taught(self.head_, quality, lesson)
            self._train(lesson)

    def adapt(self, outcomes: Outcomes) -> Self:
        """Go on learning, from outcomes of one domain alone: scores are then for that domain.

        Weights go on from where they are; means, slopes and temperature are the domain's. Models added
        later are forgotten, as by `fit`.

        Parameters
        ----------
        outcomes : of the arms that it was trained on, 20 different queries or more

        Raises
        ------
        DataError
            If the arms are others, or the queries too few.
        ConfigError
            If it was trained on preferences.
        """
        self._check_fitted()
        if not isinstance(self.head_, GradedHead):
            raise ConfigError(f"{self.name} was trained on preferences, not on outcomes: train it again")
        if set(outcomes.arms) != set(self.arms_):
            raise DataError(f"outcomes of {', '.join(outcomes.arms)} for a router of {', '.join(self.arms_)}")
        texts, quality = self._ordered(outcomes)
        if len(set(texts)) < _LEAST_TEXTS:
            raise DataError(f"{len(set(texts))} different queries with scores: {_LEAST_TEXTS} are needed")
        weights = {name: one.detach().clone() for name, one in self.head_.module.state_dict().items()}
        with seeded(self.seed):
            self.encoder_.freeze(getattr(self, "frozen_layers", 0))  # which is not saved
            lesson = self._lesson(texts)
            self._taught(self.head_, quality, lesson)
            self.head_.module.load_state_dict(weights)
            self._train(lesson)
        return self._fitted(outcomes.arms, len(outcomes.quality), arm_means(outcomes.quality))

    def _ordered(self, outcomes: Outcomes) -> tuple[list[str], FloatArray]:
        """Texts and quality, arms by name, rows by their draws; notes how the arms were given."""
        arms = np.argsort(np.array(outcomes.arms, dtype=object), kind="stable")
        quality = np.asarray(outcomes.quality, np.float64)[:, arms]
        texts = outcomes.texts
        rows = np.flatnonzero(~np.isnan(quality).all(axis=1))
        columns = np.nan_to_num(quality[rows], nan=-1).T
        rows = rows[np.lexsort((*columns, text_draws([texts[row] for row in rows], self.seed)))]
        rows = rows[: self.max_rows]
        self.columns_ = np.argsort(arms)
        return [texts[row] for row in rows], quality[rows]

    def fit_preferences(self, preferences: Preferences) -> Self:
        """Learn who wins, loses or ties on a query; scores are then expected win rates.

        Raises
        ------
        DataError
            If no pair has a known preference between two models.
        """
        self._check_params()
        battles = known_battles(preferences)
        every = sorted(set(battles.query))
        draws = text_draws(every, self.seed)
        texts = {every[i]: place for place, i in enumerate(np.argsort(draws, kind="stable")[: self.max_rows])}
        kept = [i for i, text in enumerate(battles.query) if text in texts]
        kept.sort(
            key=lambda i: (texts[battles.query[i]], battles.model_a[i], battles.model_b[i], battles.pref_b[i])
        )
        battles = battles.select(kept)
        arms = battles.models
        self.columns_ = np.arange(len(arms))
        with self._begun():
            self.head_ = PairHead(self.encoder_.width, len(arms))
            self.head_.teach(battles, texts, self.encoder_.device)
            self._train(self._lesson(list(texts)))
        self.arms_, self.added_ = arms, ()  # which scoring asks for
        sample = [Query(text=text) for text in list(texts)[:_SAMPLE]]
        return self._fitted(arms, len(texts), self.scores(sample).mean(axis=0))

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """With the pretrained model at hand, and random numbers that follow from the seed."""
        library("torch", f"the router {self.name!r}")
        with seeded(self.seed):
            self.encoder_ = self._open()
            yield

    def _lesson(self, texts: Sequence[str]) -> Lesson:
        draws = text_draws(texts, self.seed + 1)  # other than those that order the rows
        distinct = np.unique(draws)
        n_held = round(self.held_out * len(distinct)) if len(distinct) >= _LEAST_TEXTS else 0
        is_held = draws < distinct[n_held] if n_held else np.zeros(len(texts), np.bool_)
        tokens = self._tokens(texts)
        return Lesson(tuple(texts), tokens, np.flatnonzero(~is_held), np.flatnonzero(is_held))

    def _train(self, lesson: Lesson) -> None:
        import torch

        head = self.head_
        encoder, read = above_frozen(self.encoder_, lesson.tokens)
        if not len(lesson.held_out):
            self.course_ = {"steps": 0}
        else:

            def loss(rows: Rows) -> Any:
                return head.loss(encoder.states([read[row] for row in rows]), rows)

            def look() -> float:
                with torch.no_grad():
                    states = encoder.all_states([read[row] for row in lesson.held_out])
                    return float(head.loss(states, lesson.held_out))

            lengths = [len(row) for row in read] if self.batches_by_length else []
            steps = 0
            for head.criterion in Loss(self.loss, self.loss_strength).stages:
                best = tune(
                    encoder.model,
                    head.module,
                    loss,
                    look,
                    lengths,
                    lesson.train,
                    self._schedule(),
                    self.on_progress,
                )
                steps += best.step
            self.course_ = {"steps": steps, "held_out_loss": best.held_out_loss}
        self._settle()
        if isinstance(head, GradedHead):
            head.is_tempered = self.temperature_scaling
        sample = lesson.train[:_SAMPLE] if len(lesson.held_out) else lesson.train[:0]
        states = [encoder.all_states([read[row] for row in rows]) for rows in (lesson.held_out, sample)]
        head.calibrate(states[0], lesson.held_out, states[1])

    def _schedule(self) -> Schedule:
        rate = self._base[1] if self.learning_rate is None else self.learning_rate
        return Schedule(
            epochs=self.epochs,
            max_steps=self.max_steps,
            batch=self.batch,
            rate=rate,
            head_rate=max(rate, _HEAD_RATE),
            patience=self.patience,
            seed=self.seed,
        )

    def _settle(self) -> None:
        """Weights as they will be saved."""
        self.encoder_.round()

    def _scores(self, queries: Sequence[Query]) -> FloatArray:
        tokens = self._tokens([query.text for query in queries])
        found = np.empty((len(tokens), len(self.columns_)))
        for places, states in self.encoder_.blocks(tokens):
            found[places] = self.head_.scores(states)
        return found[:, self.columns_]

    def _evidence(self, query: Query) -> tuple[str, ...]:
        steps = self.course_["steps"]
        trained = f"{self._base[0]} fine-tuned on {self.n_train_} queries, {steps} steps"
        loss = self.course_.get("held_out_loss")
        return (trained if loss is None else f"{trained}, loss {loss:.4f} held out", self.head_.summary())

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, facts = self._encoder_state()
        packed = {_ENCODER + name: array for name, array in arrays.items()}
        packed |= {_HEAD + name: array for name, array in self.head_.arrays().items()}
        return packed, {
            "encoder": facts,
            "head": {"kind": self.head_.kind, **self.head_.facts()},
            "course": self.course_,
        }

    def _encoder_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return self.encoder_.state()

    def _restored(self, arrays: Arrays, facts: Mapping[str, Any]) -> Encoder:
        return Encoder.restore(arrays, facts)

    def _restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        self._check_params()
        self.encoder_ = self._restored(arrays.under(_ENCODER), facts["encoder"])
        n_arms, found = len(self.arms_), dict(facts["head"])
        kind = found["kind"]
        head = PairHead(self.encoder_.width, n_arms) if kind == PairHead.kind else self._graded(n_arms)
        if head.kind != kind:
            raise ArtefactError(f"its head is {kind!r}, not {head.kind!r}")
        head.recall(arrays.under(_HEAD), found)
        head.module.to(self.encoder_.device)
        self.head_, self.course_ = head, {"steps": int(facts["course"]["steps"]), **facts["course"]}
        order = np.argsort(np.array(self.arms_, dtype=object), kind="stable")
        self.columns_ = np.argsort(order)

    def _check_params(self) -> None:
        Loss(self.loss, self.loss_strength)
        fits = (
            self.epochs > 0
            and min(self.max_steps, self.batch, self.patience) >= 1
            and (self.learning_rate is None or self.learning_rate > 0)
            and self.max_length >= 8
            and 0 < self.held_out < 1
            and (self.max_rows is None or self.max_rows >= 1)
        )
        if not fits:
            raise ConfigError(
                f"{self.name} with epochs {self.epochs}, max_steps {self.max_steps}, batch {self.batch}, "
                f"learning_rate {self.learning_rate}, max_length {self.max_length}, held_out "
                f"{self.held_out}, patience {self.patience}, max_rows {self.max_rows}; held_out "
                "between 0 and 1, max_length from 8, epochs and learning_rate above 0 and the others from 1 "
                "are needed"
            )
