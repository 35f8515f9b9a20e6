"""One training of one router, and everything that is asked of it: the unit of work of a comparison."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from suffice import embedders
from suffice.errors import ConfigError, DataError, MissingDependency
from suffice.evaluation.effort import Effort, effort_of, peak_memory_mb
from suffice.evaluation.fitting import fitted, scores_of
from suffice.evaluation.remembered import Remembered
from suffice.evaluation.rewording import reworded
from suffice.outcomes import Outcomes
from suffice.protocols import CostModel, Embedder, Router
from suffice.types import BoolArray, FloatArray, IntArray

EmbedderGiven = Embedder | str | None
"""Itself, by name (made where it is used: one that holds a session cannot travel), or the default."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What to train on, and what to ask."""

    router: str
    params: Mapping[str, Any] = {}
    embedder: str = ""
    """Key of the bench's embedders."""
    seed: int = 0
    train: str = "train"
    """Key of the bench's tables."""
    train_rows: IntArray | None = None
    """None: all."""
    asked: str = "test"
    asked_rows: IntArray | None = None
    new_model: str | None = None
    """Left out of training, then added with labels."""
    n_labels: int = 0
    """Training queries whose scores of the new model are given away."""
    n_draws: int = 1
    """Of labels, each for a copy of the router."""
    is_lenient: bool = False
    """A crash is a failure of this trial alone: under "all", one bad plug-in does not end the rest."""
    measures_effort: bool = False
    rewords: bool = False
    step: str = ""
    """In words, for the progress bar."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial."""

    scores: FloatArray
    """(n_asked, K) in the order of the table's arms; an arm that was left out is NaN."""
    fit_s: float
    added: tuple[FloatArray, ...] = ()
    """Scores after the new model was added, by draw of labels."""
    effort: Effort | None = None
    reworded: dict[str, FloatArray] = {}
    """Scores of the reworded queries, by kind of rewording."""
    seen: BoolArray | None = None
    """(n_asked,): queries that stand in what the router was trained on before it came here."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why a trial could not be; exceptions themselves do not travel between processes."""

    kind: str
    message: str

    def raised(self) -> Exception:
        """As an exception again."""
        return DataError(self.message) if self.kind == "DataError" else ConfigError(self.message)


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What trials work on."""

    tables: dict[str, Outcomes]
    embedders: dict[str, EmbedderGiven]
    cost_model: CostModel | None = None
    """For the time of a decision."""

    def remembering(self) -> Bench:
        """The same, with embedders that work out every text once."""
        wrapped: dict[str, EmbedderGiven] = {
            key: Remembered(made(one)) for key, one in self.embedders.items()
        }
        return msgspec.structs.replace(self, embedders=wrapped)


def made(given: EmbedderGiven) -> Embedder:
    """The embedder that is meant."""
    if given is None or isinstance(given, str):
        return embedders.create(given or "hashed")
    return given


def run(trial: Trial, bench: Bench) -> Tried | Failed:
    """Train and ask; what the data or the installation do not allow is returned, not raised."""
    try:
        return attempt(trial, bench)
    except (MissingDependency, ConfigError, DataError) as error:
        return Failed(kind=type(error).__name__, message=str(error))
    except Exception as error:
        if not trial.is_lenient:
            raise
        return Failed(kind=type(error).__name__, message=f"it crashed: {type(error).__name__}: {error}")


def attempt(trial: Trial, bench: Bench) -> Tried:
    """As `run`, but raises.

    Raises
    ------
    MissingDependency, ConfigError, DataError
        If the installation, the parameters or the data do not allow it.
    """
    train = bench.tables[trial.train].select(rows=trial.train_rows)
    asked = bench.tables[trial.asked].select(rows=trial.asked_rows)
    kept = train.select(arms=[arm for arm in train.arms if arm != trial.new_model])
    embedder = made(bench.embedders[trial.embedder])
    before = peak_memory_mb(reset=True)
    router, fit_s = fitted(trial.router, kept, trial.params, embedder=embedder, seed=trial.seed)
    after = peak_memory_mb()
    scores = np.full((asked.n_queries, train.n_arms), np.nan)
    scores[:, [train.arms.index(arm) for arm in kept.arms]] = scores_of(router, asked.queries, kept.arms)
    memory_mb = None if before is None or after is None else max(0.0, after - before)
    return Tried(
        scores=scores,
        fit_s=fit_s,
        added=_added(router, trial, train, asked) if trial.n_labels else (),
        effort=_effort(router, bench, embedder, asked, memory_mb) if trial.measures_effort else None,
        reworded=_reworded(router, asked, trial.seed) if trial.rewords else {},
        seen=_seen(router, asked),
    )


def _added(router: Router, trial: Trial, train: Outcomes, asked: Outcomes) -> tuple[FloatArray, ...]:
    """Scores of copies that were given the new model with a few labels each."""
    assert trial.new_model is not None
    if not hasattr(router, "add_model"):
        raise ConfigError(f"the router {trial.router!r} takes up no new model")
    found = []
    for draw in range(trial.n_draws):
        rows = label_rows(train, trial.new_model, trial.n_labels, draw)
        grown = copy.deepcopy(router)
        grown.add_model(trial.new_model, train.select(rows=rows))
        found.append(scores_of(grown, asked.queries, train.arms))
    return tuple(found)


def label_rows(train: Outcomes, model: str, n_labels: int, seed: int) -> IntArray:
    """The training queries whose scores of a new model are given away."""
    known = np.flatnonzero(~np.isnan(train.quality[:, train.arms.index(model)]))
    return np.sort(np.random.default_rng(seed).permutation(known)[:n_labels])


def _effort(
    router: Router, bench: Bench, embedder: Embedder, asked: Outcomes, memory_mb: float | None
) -> Effort:
    if not isinstance(embedder, Remembered):
        return effort_of(router, bench.cost_model, asked.queries, memory_mb)
    with embedder.paused():
        return effort_of(router, bench.cost_model, asked.queries, memory_mb)


def _reworded(router: Router, asked: Outcomes, seed: int) -> dict[str, FloatArray]:
    found = {}
    for kind, texts in reworded(asked.texts, seed=seed).items():
        queries = [
            msgspec.structs.replace(query, text=text)
            for query, text in zip(asked.queries, texts, strict=True)
        ]
        found[kind] = scores_of(router, queries, asked.arms)
    return found


def _seen(router: Router, asked: Outcomes) -> BoolArray | None:
    if not hasattr(router, "seen"):
        return None
    return np.asarray(router.seen(asked.texts), dtype=bool)
