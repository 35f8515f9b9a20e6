"""Gates on recorded strategies: what to read, what to predict, and an honest comparison.

Everything that is chosen, the gate and its price included, is chosen by cross-validation on the training
queries; test queries are only judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np

from suffice import gating, routers
from suffice.confidence.probability_margin import targ
from suffice.confidence.token_entropy import score as token_entropy
from suffice.errors import ConfigError, DataError
from suffice.evaluation.fitting import fitted, scores_of
from suffice.gating import Gate, Pay, Strategies, Walked
from suffice.gating.stepwise import Stepwise
from suffice.metrics import auroc, percentile_interval, resampled_means
from suffice.outcomes import Outcomes, Runs
from suffice.protocols import Embedder
from suffice.routers.crossfit import folds
from suffice.types import FloatArray

PRICES: Final = (0.0, 0.002, 0.004, *np.linspace(0.006, 0.03, 13).round(6).tolist(), 0.04, 0.06, 0.1)
"""Tried for a look-up, in quality."""
LM_SHARE: Final = 0.05
"""What a model call counts beside a look-up, where calls are the aim."""
KNOWN_CALLS: Final[Mapping[str, tuple[float, float]]] = {
    "none": (0.0, 1.0),
    "single": (1.0, 1.0),
    "multi": (3.33, 3.33),
}
"""Look-ups and model calls of strategies of these names where a file does not say."""
DEFAULT_GATES: Final = ("always", "popularity", "classifier", "utility", "prefix_margin", "stepwise")
"""Beside the fixed strategies, which are compared in any case."""
PREFIX_TOKENS: Final = 20
"""Of a closed-book answer, which stand for a draft."""
_N_FOLDS: Final = 5


class GateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One gate at one price, on the test queries."""

    gate: str
    retrieval_price: float | None
    """Quality per look-up that it was fitted for."""
    in_accuracy: float
    """Mean quality of what was answered."""
    in_accuracy_ci: tuple[float, float]
    retrieval_calls: float
    lm_calls: float
    share: dict[str, float]
    """Of queries, by the strategy whose answer was given."""
    auroc_needs_retrieval: float | None
    """Of the gate's view of whether the closed-book answer is wrong; None without a view."""


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison."""

    n_train: int
    n_test: int
    assumed: dict[str, str]
    """What the files did not say."""
    gates: dict[str, GateFigures]
    """Each at the price that cross-validation chose for it."""
    baselines: dict[str, GateFigures]
    recommended: GateFigures
    frontier: list[GateFigures]
    """The recommended gate at every price."""
    skipped: dict[str, str]


class Recordings(msgspec.Struct, frozen=True, kw_only=True):
    """A file's strategies, its tasks, and what had to be assumed."""

    table: Strategies
    tasks: tuple[str | None, ...]
    assumed: dict[str, str]

    def select(self, rows: Any) -> Recordings:
        """Some queries."""
        index = np.arange(self.table.n_queries)[rows]
        return Recordings(
            table=self.table.select(index),
            tasks=tuple(self.tasks[row] for row in index),
            assumed=self.assumed,
        )


def read_recordings(
    path: Path, *, where: Mapping[str, Any] | None = None, signals: Sequence[str] = ()
) -> Recordings:
    """Queries that every strategy was run on.

    Parameters
    ----------
    signals : columns with a number for an answer

    Raises
    ------
    DataError
        If there is no column `strategy`, or none of a signal; if a strategy's calls are neither recorded nor
        known by its name; if no query is left.
    """
    runs = Runs.read(path)
    runs = runs.where(**where) if where else runs
    if "strategy" not in runs.columns:
        raise DataError("a gate chooses between strategies", file=str(path), column="strategy")
    for name in signals:
        runs.column(name)  # refuses what is not there
    outcomes = runs.to_outcomes(arm="strategy", responses="response" in runs.columns)
    place = {query.id: row for row, query in enumerate(outcomes.queries)}
    at = np.array([place[one] for one in runs.column("query_id")], np.intp)
    arm = np.array([outcomes.arms.index(one) for one in runs.column("strategy")], np.intp)

    def placed(values: Sequence[float | None]) -> FloatArray:
        found = np.full(outcomes.quality.shape, np.nan)
        found[at, arm] = [np.nan if one is None else float(one) for one in values]
        return found

    def spread(name: str) -> FloatArray:
        return placed(runs.column(name) if name in runs.columns else [None] * len(at))

    calls, assumed = _calls(
        outcomes.arms, spread("retrieval_calls"), spread("lm_calls"), "lm_calls" in runs.columns
    )
    complete = np.flatnonzero(~np.isnan(outcomes.quality).any(axis=1))
    if not len(complete):
        raise DataError(f"no query was run with every one of {', '.join(outcomes.arms)}", file=str(path))
    kept = outcomes.select(rows=complete)
    table = Strategies.of(
        kept.queries,
        kept.arms,
        kept.quality,
        calls[0][complete],
        calls[1][complete],
        responses=kept.responses,
        readings={name: spread(name)[complete] for name in signals}
        | {name: placed(values)[complete] for name, values in _prefixes(runs).items()},
    )
    return Recordings(table=table, tasks=tuple(query.task for query in kept.queries), assumed=assumed)


def _prefixes(runs: Runs) -> dict[str, list[float | None]]:
    """`prefix_margin` and `prefix_entropy` of answers whose alternatives were kept; empty without any."""
    if "logprobs" not in runs.columns:
        return {}
    found: dict[str, list[float | None]] = {"prefix_margin": [], "prefix_entropy": []}
    for tokens in runs.column("logprobs"):
        top = [[other["logprob"] for other in token.get("top") or ()] for token in (tokens or ())]
        head = top[:PREFIX_TOKENS] or None
        found["prefix_margin"].append(targ(head).confidence)
        found["prefix_entropy"].append(token_entropy(head).confidence)
    return found


def _calls(
    arms: Sequence[str], retrievals: FloatArray, lm_calls: FloatArray, has_lm: bool
) -> tuple[tuple[FloatArray, FloatArray], dict[str, str]]:
    """Filled where unknown, with what was filled in words."""
    assumed = {}
    for column, name in enumerate(arms):
        known = KNOWN_CALLS.get(name)
        for what, values, fill in (
            ("retrieval_calls", retrievals, None if known is None else known[0]),
            ("lm_calls", lm_calls, None if known is None else known[1]),
        ):
            gaps = np.isnan(values[:, column])
            if not gaps.any():
                continue
            if what == "lm_calls" and not has_lm and fill is not None and fill > 1:
                values[:, column] = retrievals[:, column]
                assumed[f"{what} of {name}"] = "as many as look-ups"
            elif fill is None:
                raise DataError(
                    f"{what} of {name!r} is not recorded; only {', '.join(KNOWN_CALLS)} are known without",
                    column=what,
                )
            else:
                values[gaps, column] = fill
                assumed[f"{what} of {name}"] = f"{fill:g} for {int(gaps.sum())} of {len(gaps)}"
    return (retrievals, lm_calls), assumed


class Predictor:
    """Quality of every strategy from the query's words.

    A router on the targets and, where at least two tasks are recorded, a second one that guesses the task,
    whose means are mixed; the mean of both. Tasks are read in training alone.
    """

    def __init__(self, router: str = "ridge", *, embedder: Embedder | None = None, seed: int = 0) -> None:
        self.router, self.embedder, self.seed = router, embedder, seed

    def fit(self, recordings: Recordings, targets: FloatArray) -> Self:
        """Learn from (n, S) targets in [0, 1]."""
        queries, self.arms = recordings.table.queries, recordings.table.arms
        self.quality_ = self._fitted(self.router, Outcomes.from_arrays(queries, self.arms, targets))
        names = sorted({task for task in recordings.tasks if task})
        self.tasks_ = None
        if len(names) > 1:
            is_task = np.array([[task == name for name in names] for task in recordings.tasks], float)
            self.means_ = (is_task.T @ targets) / np.maximum(is_task.sum(axis=0), 1)[:, None]
            self.tasks_ = self._fitted("ridge", Outcomes.from_arrays(queries, names, is_task))
        return self

    def scores(self, queries: Sequence[Any]) -> FloatArray:
        """(n, S)."""
        found = scores_of(self.quality_, queries, self.arms)
        if self.tasks_ is None:
            return found
        chance = np.clip(self.tasks_.scores(queries), 1e-6, None)
        return np.asarray((found + chance / chance.sum(axis=1, keepdims=True) @ self.means_) / 2)

    def crossed(self, recordings: Recordings, targets: FloatArray, *, n_folds: int = _N_FOLDS) -> FloatArray:
        """(n, S): every query by a predictor that did not see it."""
        found = np.full(targets.shape, np.nan)
        for inside, held in folds(recordings.table.texts, n_folds, self.seed):
            part = Predictor(self.router, embedder=self.embedder, seed=self.seed)
            part.fit(recordings.select(inside), targets[inside])
            found[held] = part.scores([recordings.table.queries[row] for row in held])
        return found

    def save(self, directory: Path) -> None:
        """Routers, and the tasks' means as a router of constants would have them."""
        self.quality_.save(directory / "quality")
        if self.tasks_ is not None:
            self.tasks_.save(directory / "tasks")
            (directory / "means.json").write_bytes(msgspec.json.encode(self.means_.tolist()))

    @classmethod
    def load(cls, directory: Path, *, embedder: Embedder | None = None) -> Self:
        """What `save` wrote."""
        found = cls(embedder=embedder)
        found.quality_ = routers.load(directory / "quality", embedder=embedder)
        found.arms, found.tasks_ = tuple(found.quality_.arms), None
        if (directory / "tasks").is_dir():
            found.tasks_ = routers.load(directory / "tasks", embedder=embedder)
            found.means_ = np.array(msgspec.json.decode((directory / "means.json").read_bytes()), np.float64)
        return found

    def _fitted(self, router: str, outcomes: Outcomes) -> Any:
        return fitted(router, outcomes, embedder=self.embedder, seed=self.seed)[0]


class _Contender(msgspec.Struct, kw_only=True):
    """A gate with the scores it reads: out of fold on training queries, and on test queries."""

    name: str
    make: Callable[[], Any]
    train: FloatArray
    test: FloatArray


def compare(
    train: Recordings,
    test: Recordings,
    *,
    gates: Mapping[str, Mapping[str, Any]],
    router: str = "ridge",
    embedder: Embedder | None = None,
    prices: Sequence[float] = PRICES,
    lm_share: float = LM_SHARE,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> GateReport:
    """Fit on `train`, choose on `train`, judge on `test`.

    The recommended gate and price look up least, of those that by cross-validation are no worse than the best
    fixed strategy; of none is, the best.

    Parameters
    ----------
    gates : names and their parameters; what follows a "(" tells gates of one kind apart
    prices : of a look-up, in quality; a model call counts `lm_share` of one
    report : is told what is being done

    Raises
    ------
    ConfigError
        If no gate can be fitted.
    """
    pays = [Pay(price, lm_share * price) for price in prices]
    seen: dict[bytes, tuple[FloatArray, FloatArray]] = {}
    judged: dict[str, list[GateFigures]] = {}
    validated: dict[str, list[tuple[float, float]]] = {}
    skipped: dict[str, str] = {}
    for name, params in gates.items():
        report(f"{name}: fitting and choosing its price")
        try:
            one = _contender(name, params, train, test, seen, router, embedder, seed)
            validated[name] = _validated(one, train.table, pays, seed)
        except DataError as error:
            skipped[name] = str(error)
            continue
        fits = _fits(one, train.table, one.train, pays)
        judged[name] = [
            figures(name, gate, test.table, one.test, pay.retrieval)
            for gate, pay in zip(fits, pays, strict=True)
        ]
    if not judged:
        raise ConfigError(
            "no gate can be fitted: " + "; ".join(f"{name}: {why}" for name, why in skipped.items())
        )
    target = float(train.table.quality.mean(axis=0).max())
    best = {name: _chosen(points, target) for name, points in validated.items()}
    first = min(judged, key=lambda name: _rank(validated[name][best[name]], target))
    return GateReport(
        n_train=train.table.n_queries,
        n_test=test.table.n_queries,
        assumed=train.assumed | test.assumed,
        gates={name: rows[best[name]] for name, rows in judged.items()},
        baselines=baselines(test.table),
        recommended=judged[first][best[first]],
        frontier=judged[first],
        skipped=skipped,
    )


def figures(name: str, gate: Gate, table: Strategies, scores: FloatArray, price: float | None) -> GateFigures:
    """What a fitted gate does on recorded queries."""
    need = gate.needs_retrieval(table, scores)
    wrong = table.quality[:, 0] < 0.5
    area = None if np.isnan(need).any() or wrong.all() or not wrong.any() else auroc(_ranks(need), wrong)
    return _figures(name, gate.walk(table, scores), table, price, area)


def baselines(table: Strategies) -> dict[str, GateFigures]:
    """Every strategy for all queries ("never" looks up least), and the cheapest of each query's best."""
    n = table.n_queries
    found = {}
    for column, name in enumerate(table.arms):
        arm = np.full(n, column)
        title = "never" if column == 0 else name
        found[title] = _figures(title, _alone(table, arm), table, None, None)
    order = np.lexsort((table.lm_calls, table.retrieval_calls, -table.quality), axis=-1)
    found["oracle"] = _figures("oracle", _alone(table, order[:, 0]), table, None, None)
    return found


def _alone(table: Strategies, arm: Any) -> Walked:
    return Walked.of(table, arm, np.eye(len(table.arms), dtype=bool)[arm])


def _figures(
    name: str, walked: Walked, table: Strategies, price: float | None, area: float | None
) -> GateFigures:
    low, high = percentile_interval(resampled_means(walked.quality[:, None], 1000)[:, 0])
    shares = np.bincount(walked.arm, minlength=len(table.arms)) / len(walked.arm)
    return GateFigures(
        gate=name,
        retrieval_price=price,
        in_accuracy=float(walked.quality.mean()),
        in_accuracy_ci=(low, high),
        retrieval_calls=float(walked.retrieval_calls.mean()),
        lm_calls=float(walked.lm_calls.mean()),
        share=dict(zip(table.arms, shares.tolist(), strict=True)),
        auroc_needs_retrieval=area,
    )


def _contender(
    name: str,
    params: Mapping[str, Any],
    train: Recordings,
    test: Recordings,
    seen: dict[bytes, tuple[FloatArray, FloatArray]],
    router: str,
    embedder: Embedder | None,
    seed: int,
) -> _Contender:
    """Predictions are made once for all gates that want the same."""

    def make() -> Any:
        return gating.create(name.partition("(")[0], **params)

    targets = np.asarray(make().targets(train.table), np.float64)
    key = targets.tobytes()
    if key not in seen:
        predictor = Predictor(router, embedder=embedder, seed=seed)
        crossed = predictor.crossed(train, targets)
        seen[key] = crossed, predictor.fit(train, targets).scores(test.table.queries)
    return _Contender(name=name, make=make, train=seen[key][0], test=seen[key][1])


def _fits(one: _Contender, table: Strategies, scores: FloatArray, pays: Sequence[Pay]) -> list[Any]:
    """A gate for every price; what does not depend on the price is learnt once."""
    gate = one.make()
    if isinstance(gate, Stepwise):
        learner = gate.learner(table, scores)
        return [one.make().use(learner, pay) for pay in pays]
    return [one.make().fit(table, scores, pay) for pay in pays]


def _validated(
    one: _Contender, table: Strategies, pays: Sequence[Pay], seed: int
) -> list[tuple[float, float]]:
    """Accuracy and look-ups at every price, on queries that the gate was not fitted to."""
    quality = np.full((len(pays), table.n_queries), np.nan)
    calls = quality.copy()
    for inside, held in folds(table.texts, _N_FOLDS, seed + 1):
        rest = table.select(held)
        for place, gate in enumerate(_fits(one, table.select(inside), one.train[inside], pays)):
            walked = gate.walk(rest, one.train[held])
            quality[place, held], calls[place, held] = walked.quality, walked.retrieval_calls
    return list(zip(np.nanmean(quality, axis=1).tolist(), np.nanmean(calls, axis=1).tolist(), strict=True))


def _rank(point: tuple[float, float], target: float) -> tuple[float, float]:
    """Smaller is better: good enough and few look-ups, else high accuracy."""
    accuracy, calls = point
    return (0.0, calls) if accuracy >= target else (1.0, -accuracy)


def _chosen(points: Sequence[tuple[float, float]], target: float) -> int:
    return min(range(len(points)), key=lambda place: _rank(points[place], target))


def _ranks(values: FloatArray) -> FloatArray:
    """In [0, 1], equal values alike."""
    _, places = np.unique(values, return_inverse=True)
    return np.asarray(places / max(1, places.max()))
