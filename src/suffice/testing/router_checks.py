"""What every router must do, whoever wrote it: one list of checks, run over ours and over yours.

    from suffice.testing import check_router
    check_router("my_router.py:MyRouter")

Each check takes a maker of fresh routers and raises AssertionError where the router falls short.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from suffice import routers
from suffice.embedders import HashedNgrams
from suffice.errors import ArtefactError, ConfigError, DataError, NotFitted
from suffice.outcomes import Outcomes, Preferences
from suffice.protocols import Embedder
from suffice.testing.toy import ARMS, ODD, table
from suffice.types import FloatArray, Query


class Subject:
    """A router under test: its name, and how to make a fresh one."""

    def __init__(
        self, name: str, embedder: Embedder | None = None, params: Mapping[str, Any] | None = None
    ) -> None:
        self.name, self.embedder = name, embedder if embedder is not None else HashedNgrams()
        self.params = dict(params or {})

    def make(self, **params: Any) -> Any:
        return routers.create(self.name, self.embedder, **self.params | params)

    def fit(self, outcomes: Outcomes | None = None, **params: Any) -> Any:
        return self.make(**params).fit(TABLE if outcomes is None else outcomes)

    def load(self, directory: Path, embedder: Embedder | None = None) -> Any:
        """Loaded by its own class, so that a router given by path needs no entry point."""
        kind = routers.get(self.name)
        needed = getattr(kind, "needs_embedder", False)
        loaded = kind.load(directory, embedder=(embedder or self.embedder) if needed else None)
        if "model" in self.params and not isinstance(self.params["model"], str):
            loaded.model = self.params["model"]
        return loaded


class Check(Protocol):
    """One demand on a router."""

    __name__: str

    def __call__(self, subject: Subject) -> None: ...


TABLE: Final = table()
_SMALL: Final = TABLE.select(np.arange(30))


def in_range(scores: FloatArray, n: int, k: int) -> None:
    """Scores are float64 of shape (n, k), in [0, 1] or NaN."""
    assert scores.shape == (n, k), f"scores have shape {scores.shape}, expected {(n, k)}"
    assert scores.dtype == np.float64, f"scores are {scores.dtype}, expected float64"
    assert np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1))), "a score leaves [0, 1]"


def scores_lie_in_their_range(subject: Subject) -> None:
    router = subject.fit()
    assert router.arms == ARMS
    scores = router.scores(TABLE.queries)
    in_range(scores, 150, 3)
    assert not np.isnan(scores).any(), "an arm with data has no score"


def fitting_again_starts_afresh(subject: Subject) -> None:
    router = subject.fit()
    first = router.scores(TABLE.queries)
    router.fit(table(40, seed=5))
    np.testing.assert_array_equal(router.fit(TABLE).scores(TABLE.queries), first)
    np.testing.assert_array_equal(subject.fit().scores(TABLE.queries), first)


def scoring_is_pure(subject: Subject) -> None:
    router = subject.fit()
    quality = TABLE.quality.copy()
    first = router.scores(TABLE.queries)
    kept = first.copy()
    first[:] = 0.5  # what the caller does to the result is his affair
    np.testing.assert_array_equal(router.scores(TABLE.queries), kept)
    np.testing.assert_array_equal(TABLE.quality, quality)


def a_score_does_not_depend_on_its_neighbours(subject: Subject) -> None:
    router = subject.fit()
    together = router.scores(TABLE.queries[:20])
    np.testing.assert_allclose(router.scores(TABLE.queries[:20][::-1])[::-1], together, atol=1e-6)
    alone = np.vstack([router.scores([query]) for query in TABLE.queries[:20]])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def the_order_of_training_queries_does_not_matter(subject: Subject) -> None:
    turned = subject.fit(TABLE.select(np.arange(TABLE.n_queries)[::-1]))
    np.testing.assert_allclose(turned.scores(TABLE.queries), subject.fit().scores(TABLE.queries), atol=0.01)


def the_order_of_arms_does_not_matter(subject: Subject) -> None:
    turned = subject.fit(TABLE.select(arms=ARMS[::-1])).scores(TABLE.queries)
    np.testing.assert_allclose(turned[:, ::-1], subject.fit().scores(TABLE.queries), atol=1e-3)


def the_task_is_no_input(subject: Subject) -> None:
    router = subject.fit()
    text = TABLE.queries[0].text
    labelled = Query(text=text, task="code")
    np.testing.assert_array_equal(router.scores([Query(text=text)]), router.scores([labelled]))


def no_queries_have_no_scores(subject: Subject) -> None:
    in_range(subject.fit().scores([]), 0, 3)


def one_arm_is_enough(subject: Subject) -> None:
    in_range(subject.fit(TABLE.select(arms=["coder"])).scores(TABLE.queries), 150, 1)


def few_training_queries_are_enough(subject: Subject) -> None:
    for n in (1, 2, 3):
        in_range(subject.fit(TABLE.select(np.arange(n))).scores(TABLE.queries), 150, 3)


def unknown_outcomes_are_left_out(subject: Subject) -> None:
    scores = subject.fit(table(known=0.6)).scores(TABLE.queries)
    in_range(scores, 150, 3)
    assert not np.isnan(scores).any(), "an arm with some data has no score"


def an_arm_without_data_spoils_no_other(subject: Subject) -> None:
    quality = TABLE.quality.copy()
    quality[:, 1] = np.nan
    outcomes = Outcomes.from_arrays(TABLE.texts, ARMS, quality, cost_usd=TABLE.cost_usd)
    scores = subject.fit(outcomes).scores(TABLE.queries)
    in_range(scores, 150, 3)
    assert not np.isnan(scores[:, [0, 2]]).any(), "an arm with data has no score"


def nothing_to_learn_from_is_an_error(subject: Subject) -> None:
    for outcomes in (
        Outcomes.from_arrays(["a"], ["m"], [[np.nan]]),
        Outcomes.from_arrays([], ["m"], np.empty((0, 1))),
    ):
        _raises(DataError, functools.partial(subject.fit, outcomes))


def constant_quality_is_learnt(subject: Subject) -> None:
    for value in (0.0, 0.3, 1.0):
        same = Outcomes.from_arrays(TABLE.texts, ARMS, np.full((150, 3), value), cost_usd=TABLE.cost_usd)
        in_range(subject.fit(same).scores(TABLE.queries), 150, 3)


def odd_texts_are_scored(subject: Subject) -> None:
    in_range(subject.fit().scores([Query(text=text) for text in ODD]), len(ODD), 3)


def odd_texts_are_learnt_from(subject: Subject) -> None:
    quality = np.tile([1.0, 0.0, 0.5], (len(ODD), 1))
    odd = Outcomes.from_arrays(ODD, ARMS, quality, cost_usd=np.ones((len(ODD), 3)))
    in_range(subject.fit(odd).scores(_SMALL.queries), 30, 3)


def empty_and_equal_texts_are_learnt_from(subject: Subject) -> None:
    empty = Outcomes.from_arrays(["", " ", ""], ARMS, np.eye(3))
    in_range(subject.fit(empty).scores([Query(text="integral")]), 1, 3)
    same = Outcomes.from_arrays(["integral"] * 40, ARMS, TABLE.quality[:40])
    in_range(subject.fit(same).scores([Query(text="integral"), Query(text="poem")]), 2, 3)


def missing_costs_are_no_obstacle(subject: Subject) -> None:
    priceless = Outcomes.from_arrays(TABLE.texts, ARMS, TABLE.quality)
    in_range(subject.fit(priceless).scores(_SMALL.queries), 30, 3)


def saving_and_loading_change_nothing(subject: Subject) -> None:
    for outcomes in (TABLE, table(known=0.5), TABLE.select(np.arange(2))):
        router = subject.fit(outcomes)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "deep" / "router"
            router.save(place)
            loaded = subject.load(place)
        assert type(loaded) is type(router)
        assert loaded.arms == ARMS
        np.testing.assert_array_equal(loaded.scores(TABLE.queries), router.scores(TABLE.queries))
        assert loaded.explain(TABLE.queries[0]) == router.explain(TABLE.queries[0])


def another_embedder_is_refused(subject: Subject) -> None:
    if not getattr(routers.get(subject.name), "needs_embedder", False):
        return
    with tempfile.TemporaryDirectory() as folder:
        subject.fit(_SMALL).save(Path(folder))
        _raises(ArtefactError, lambda: subject.load(Path(folder), HashedNgrams(dimensions=32)))


def an_unfitted_router_says_so(subject: Subject) -> None:
    router = subject.make()
    with tempfile.TemporaryDirectory() as folder:
        for ask in (lambda: router.scores([]), lambda: router.arms, lambda: router.save(Path(folder))):
            _raises(NotFitted, ask)


def unknown_parameters_are_refused(subject: Subject) -> None:
    _raises(ConfigError, lambda: subject.make(colour="red"))


def explanations_name_every_arm(subject: Subject) -> None:
    explained = subject.fit().explain(TABLE.queries[0])
    assert all(arm in explained.summary for arm in ARMS)
    assert all(explained.evidence)


def preferences_are_learnt_from(subject: Subject) -> None:
    """For routers that can."""
    router = subject.make()
    if not hasattr(router, "fit_preferences"):
        return
    learnt = router.fit_preferences(Preferences.from_outcomes(TABLE))
    assert sorted(learnt.arms) == sorted(ARMS)
    in_range(learnt.scores(_SMALL.queries), 30, 3)
    none = Preferences.from_columns(["a"], ["text"], ["small"], ["large"], [np.nan])
    _raises(DataError, lambda: subject.make().fit_preferences(none))


def a_new_model_is_taken_up(subject: Subject) -> None:
    """For routers that can."""
    router = subject.fit(TABLE.select(arms=ARMS[:2]))
    if not hasattr(router, "add_model"):
        return
    router.add_model("allround", TABLE.select(np.arange(60)))
    assert router.arms == ARMS
    scores = router.scores(TABLE.queries)
    in_range(scores, 150, 3)
    assert not np.isnan(scores).any()
    with tempfile.TemporaryDirectory() as folder:
        router.save(Path(folder))
        np.testing.assert_array_equal(subject.load(Path(folder)).scores(TABLE.queries), scores)
    _raises(DataError, lambda: router.add_model("allround", TABLE))


ROUTER_CHECKS: Final[tuple[Check, ...]] = (
    scores_lie_in_their_range,
    fitting_again_starts_afresh,
    scoring_is_pure,
    a_score_does_not_depend_on_its_neighbours,
    the_order_of_training_queries_does_not_matter,
    the_order_of_arms_does_not_matter,
    the_task_is_no_input,
    no_queries_have_no_scores,
    one_arm_is_enough,
    few_training_queries_are_enough,
    unknown_outcomes_are_left_out,
    an_arm_without_data_spoils_no_other,
    nothing_to_learn_from_is_an_error,
    constant_quality_is_learnt,
    odd_texts_are_scored,
    odd_texts_are_learnt_from,
    empty_and_equal_texts_are_learnt_from,
    missing_costs_are_no_obstacle,
    saving_and_loading_change_nothing,
    another_embedder_is_refused,
    an_unfitted_router_says_so,
    unknown_parameters_are_refused,
    explanations_name_every_arm,
    preferences_are_learnt_from,
    a_new_model_is_taken_up,
)


def check_router(name: str, embedder: Embedder | None = None, **params: Any) -> None:
    """Run all checks over a router.

    Parameters
    ----------
    name : of a router, or path/to/file.py:ClassName
    embedder : for routers that take one; None is the default
    params : of its constructor

    Raises
    ------
    AssertionError
        Naming the first check that failed.
    """
    subject = Subject(name, embedder, params)
    for check in ROUTER_CHECKS:
        try:
            check(subject)
        except AssertionError as error:
            raise AssertionError(f"{name}: {check.__name__.replace('_', ' ')}: {error}") from error


def _raises(kind: type[Exception], act: Callable[[], Any]) -> None:
    try:
        act()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was expected")
