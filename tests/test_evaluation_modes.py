"""What is asked for beside the comparison: left-out tasks, new models, sizes, rewording, many processes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from suffice.embedders import HashedNgrams
from suffice.errors import ConfigError, DataError, UnknownName
from suffice.evaluation import Comparison, Extras, entrants, evaluate, evaluate_seeds, suggest
from suffice.evaluation.choosing import missing_of, why_not
from suffice.evaluation.ground import prepare
from suffice.evaluation.leave_out import Grouping
from suffice.evaluation.remembered import Remembered
from suffice.evaluation.rewording import KINDS, reworded
from suffice.evaluation.trials import Bench, Failed, Trial, Tried, run
from suffice.evaluation.workers import Workers
from suffice.metrics import aiq, upper_hull
from suffice.outcomes import Outcomes
from suffice.types import Query

MODELS = ("small", "medium", "large")
COSTS = (0.001, 0.004, 0.02)
SUBJECTS = ("add the numbers", "translate the poem", "debug this function")

PLUGIN = """
import numpy as np
from suffice.errors import DataError
from suffice.types import Explanation


class Base:
    def fit(self, outcomes):
        self.arms = outcomes.arms
        self.means = np.nanmean(outcomes.quality, axis=0)
        return self

    def scores(self, queries):
        return np.tile(self.means, (len(queries), 1))

    def explain(self, query):
        return Explanation(summary="")


class Refuses(Base):
    def fit(self, outcomes):
        raise DataError("two models are needed")


class Crashes(Base):
    def fit(self, outcomes):
        raise ZeroDivisionError("by design")


class Knows(Base):
    def seen(self, texts):
        return np.array([len(text) % 2 == 0 for text in texts])


class Cheats(Base):
    def scores(self, queries):
        return np.array([[float(x) for x in query.text.split("|")[1]] for query in queries])

    def seen(self, texts):
        return np.ones(len(texts), bool)


class Loud(Base):
    def scores(self, queries):
        cheap = np.array([query.text.endswith("!") for query in queries])
        return np.where(cheap[:, None], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
"""


def table(n: int = 150, *, start: int = 0, seed: int = 0) -> Outcomes:
    """The small model knows sums, the medium one poems, the large one everything."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    chances = np.array([[0.9, 0.3, 0.9], [0.2, 0.9, 0.9], [0.1, 0.2, 0.9]])[kind]
    quality = (rng.random((n, 3)) < chances).astype(float)
    queries = [Query(text=f"{SUBJECTS[k]} {start + i}", task=f"task {k}") for i, k in enumerate(kind)]
    return Outcomes.from_arrays(queries, MODELS, quality, cost_usd=np.tile(COSTS, (n, 1)))


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.fixture(scope="module")
def full() -> Comparison:
    extras = Extras(leave_out="task", new_models=("large",), n_labels=30, curve=(0.2, 1.0), robustness=True)
    test = table(start=1000, seed=1)
    return evaluate(table(), test, ["ridge", "strongest"], extras=extras, n_resamples=100)


def figures(comparison: Comparison) -> Any:
    """All but times and memory."""
    found = msgspec.to_builtins(comparison)
    for router in found["routers"].values():
        del router["fit_s"], router["decision_us"]
    del found["details"]["effort"]
    return found


class TestLeaveOut:
    def test_every_group_is_judged_by_routers_that_did_not_see_it(self, full: Comparison) -> None:
        found = full.details.leave_out
        assert found is not None
        assert set(found.groups) == {"task 0", "task 1", "task 2"}
        for group in found.groups.values():
            assert (group.n_train, group.n_test) == (100, 50)
            assert set(group.results) == {"ridge", "strongest"}
        assert set(found.never_worse) == {"ridge", "strongest"}
        for name, never_worse in found.never_worse.items():
            verdicts = {group.results[name].verdict for group in found.groups.values()}
            assert never_worse == ("worse" not in verdicts)

    def test_the_zero_router_of_training_is_judged_beside_that_of_the_group(self, full: Comparison) -> None:
        found = full.details.leave_out
        assert found is not None
        assert set(found.never_worse_than_trained) == {"ridge", "strongest"}
        for name, group in found.groups.items():
            k = int(name[-1])
            train = table().select(rows=np.flatnonzero(np.arange(150) % 3 != k))
            test = table(start=1000, seed=1).select(rows=np.flatnonzero(np.arange(150) % 3 == k))
            cost, quality = np.array(COSTS), test.quality.mean(axis=0)
            hull = upper_hull(cost, train.quality.mean(axis=0))
            mixed = [row for row in range(3) if cost[row] in hull.costs]
            span = np.sort(cost[[0, int(quality.argmax())]])
            gap = aiq(cost, quality, *span) - aiq(cost[mixed], quality[mixed], *span)
            for router, one in group.over_trained.items():
                assert one.against == "trained zero router"
                assert one.gain == pytest.approx(group.results[router].gain + gap, abs=1e-9)

    def test_rows(self) -> None:
        train = table(30)
        texts = [train.queries[0].text.upper(), *(f"new {i}" for i in range(25))]
        test = Outcomes.from_arrays(
            [Query(text=text, task="task 1") for text in texts],
            MODELS,
            np.tile([0.0, 0.5, 1.0], (26, 1)),
            cost_usd=np.tile(COSTS, (26, 1)),
        )
        grouping = Grouping("task", prepare(train, test, None, None, None))
        rows = grouping.train_rows("task 1")
        assert 0 not in rows  # its text stands in the group
        assert len(rows) == 19
        assert len(grouping.test_rows("task 1")) == 26

    def test_by_another_column(self) -> None:
        data, test = table(120), table(120, start=500, seed=2)
        groups = {name: "even" if int(name) % 2 == 0 else "odd" for name in data.ids}
        extras = Extras(leave_out="source", groups=groups)
        found = evaluate(data, test, ["strongest"], extras=extras, n_resamples=20).details.leave_out
        assert found is not None
        assert (found.by, set(found.groups)) == ("source", {"even", "odd"})

    def test_nothing_to_leave_out(self) -> None:
        extras = Extras(leave_out="x", groups={})
        with pytest.raises(DataError, match="nothing to leave out"):
            evaluate(table(40), table(40, start=99), ["strongest"], extras=extras)

    def test_pairs_without_costs_are_judged_by_apgr(self) -> None:
        def bare(data: Outcomes) -> Outcomes:
            kept = data.select(arms=("small", "large"))
            return Outcomes.from_arrays(kept.queries, kept.arms, kept.quality)

        train, test = bare(table()), bare(table(start=1000, seed=1))
        found = evaluate(train, test, ["ridge"], extras=Extras(leave_out="task"), n_resamples=50)
        assert found.details.leave_out is not None
        assert "apgr" in {one.results["ridge"].measure for one in found.details.leave_out.groups.values()}


class TestNewModel:
    def test_gain_kept(self, full: Comparison) -> None:
        found = full.details.new_models
        assert found is not None
        assert (found.n_labels, found.n_draws) == (30, 3)
        one = found.models["large"]["ridge"]
        assert one.aiq_full == full.routers["ridge"].aiq
        assert one.zero_router_aiq == full.baselines.zero_router.aiq
        kept = (one.aiq_added - one.zero_router_aiq) / (one.aiq_full - one.zero_router_aiq)
        assert one.gain_kept == pytest.approx(kept)

    def test_refuses(self) -> None:
        train, test = table(40), table(40, start=99)
        with pytest.raises(ConfigError, match="not among"):
            evaluate(train, test, ["strongest"], extras=Extras(new_models=("huge",)))
        two = train.select(arms=("small", "large"))
        with pytest.raises(ConfigError, match="three models"):
            evaluate(two, test, ["strongest"], extras=Extras(new_models=("small",)))

    def test_a_plugin_without_it_is_named(self, plugin: str) -> None:
        name = f"{plugin}:Knows"
        extras = Extras(new_models=("large",), n_labels=5)
        found = evaluate(table(60), table(60, start=99), [name], extras=extras, n_resamples=20)
        assert found.details.new_models is not None
        assert "takes up no new model" in found.details.new_models.skipped[f"{name}, large"]


class TestOtherModes:
    def test_learning_curve(self, full: Comparison) -> None:
        sizes = full.details.learning_curve["ridge"]
        assert [size.n_train for size in sizes] == [30, 150]
        assert sizes[-1].aiq == full.routers["ridge"].aiq
        with pytest.raises(ConfigError, match="shares above 0"):
            evaluate(table(40), table(40, start=99), ["strongest"], extras=Extras(curve=(2.0,)))

    def test_robustness(self, full: Comparison, plugin: str) -> None:
        assert full.details.robustness["strongest"] == dict.fromkeys([*KINDS, "all"], 1.0)
        name, test = f"{plugin}:Loud", table(60, start=99)
        loud = Outcomes.from_arrays(
            [Query(text=query.text + "!") for query in test.queries],
            MODELS,
            test.quality,
            cost_usd=test.cost_usd,
        )
        found = evaluate(table(60), loud, [name], extras=Extras(robustness=True), n_resamples=20)
        shares = found.details.robustness[name]
        assert (shares["lower case"], shares["typos"]) == (1.0, 1.0)
        assert shares["all"] == min(shares.values())

    def test_tasks(self, full: Comparison) -> None:
        assert set(full.details.tasks) == {"task 0", "task 1", "task 2"}
        for one in full.details.tasks.values():
            assert one.n_test == 50
            assert set(one.routers) == {"ridge", "strongest"}
        whole = np.mean([one.routers["ridge"].quality for one in full.details.tasks.values()])
        assert whole == pytest.approx(full.details.at_value["ridge"].quality)

    def test_effort_and_gains(self, full: Comparison) -> None:
        effort = full.details.effort["ridge"]
        assert 0 < effort.decision_us_p50 <= effort.decision_us_p95
        assert effort.artefact_kb is not None
        assert effort.artefact_kb > 1
        gains = full.details.gains["ridge"]
        assert gains.pareto_distance is not None
        assert gains.pareto_distance >= 0
        share = full.routers["ridge"].cost_share_at_best_single
        assert gains.cost_save == (None if share is None else pytest.approx(1 - share))

    def test_cheap_single_is_the_cheapest_that_is_good_enough(self, full: Comparison) -> None:
        cheap = full.details.cheap_single
        assert cheap is not None
        good = [s for s in full.details.singles if s.quality >= 0.95 * full.baselines.best_single.quality]
        assert cheap.model == min(good, key=lambda s: s.cost_usd_per_1k or 0.0).model

    def test_seen_queries_are_scored_apart(self, plugin: str) -> None:
        name, test = f"{plugin}:Knows", table(60, start=95)
        seen = evaluate(table(60), test, [name], n_resamples=20).details.seen[name]
        n = sum(len(text) % 2 == 0 for text in test.texts)
        assert (seen.n, seen.n_unseen) == (n, 60 - n)
        assert seen.aiq_unseen is not None

    def test_what_knows_the_training_queries_is_not_recommended(self, plugin: str) -> None:
        def told(data: Outcomes) -> Outcomes:
            words = ["".join(str(int(q)) for q in row) for row in data.quality]
            queries = [
                Query(text=f"{query.text} |{word}") for query, word in zip(data.queries, words, strict=True)
            ]
            return Outcomes.from_arrays(queries, MODELS, data.quality, cost_usd=data.cost_usd)

        name = f"{plugin}:Cheats"
        found = evaluate(told(table()), told(table(start=500, seed=1)), [name, "strongest"], n_resamples=20)
        assert (found.routers[name].aiq or 0) > (found.routers["strongest"].aiq or 0)
        assert found.recommended.router == "strongest"
        assert suggest(told(table()), [name, "strongest"], n_resamples=20).router == "strongest"

    def test_extras_stand_in_the_mean_over_seeds(self) -> None:
        extras = Extras(leave_out="task", curve=(1.0,))
        found = evaluate_seeds(table(), 0.5, ["strongest"], n_seeds=2, extras=extras, n_resamples=20)
        assert found.details.leave_out is not None
        assert set(found.details.learning_curve) == {"strongest"}
        assert len(found.details.seeds) == 2
        assert set(found.details.tasks) == {"task 0", "task 1", "task 2"}
        assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


class TestRewording:
    def test_depends_on_text_and_seed_alone(self) -> None:
        texts = ["What is the capital of France?", "Sort the list, please."]
        assert reworded(texts) == {kind: found[::-1] for kind, found in reworded(texts[::-1]).items()}
        assert reworded(texts)["typos"] != reworded(texts, seed=1)["typos"]

    def test_kinds(self) -> None:
        text = "What is the capital of France?"
        found = {kind: texts[0] for kind, texts in reworded([text]).items()}
        assert found["lower case"] == text.lower()
        assert found["punctuation"] == text[:-1]
        assert found["spaces"].split() == text.split()
        assert text in found["polite"]
        assert sorted(found["typos"]) == sorted(text)

    @pytest.mark.parametrize("text", ["", "?", "ab", "12 + 34", "字"])
    def test_short_texts(self, text: str) -> None:
        assert set(reworded([text])) == set(KINDS)


class TestProcesses:
    @pytest.mark.slow
    def test_figures_do_not_depend_on_them(self) -> None:
        train, test = table(90), table(60, start=500, seed=1)
        steps: list[str] = []
        names = ["ridge", "random"]
        alone = evaluate(train, test, names, n_resamples=30)
        beside = evaluate(train, test, names, n_resamples=30, jobs=2, on_step=steps.append, embedder="hashed")
        assert figures(alone) == figures(beside)
        assert len(steps) == 8

    @pytest.mark.slow
    def test_a_failure_ends_the_others(self, plugin: str) -> None:
        with pytest.raises(ZeroDivisionError):
            evaluate(table(60), table(60, start=99), [f"{plugin}:Crashes", "random"], jobs=2)

    def test_a_bench_travels(self) -> None:
        bench = Bench(tables={"train": table(9)}, embedders={"": "hashed"})
        assert pickle.loads(pickle.dumps(bench)).tables["train"].arms == MODELS

    def test_results_come_in_order(self) -> None:
        bench = Bench(tables={"train": table(30), "test": table(9, start=50)}, embedders={"": None})
        trials = [Trial(router=name) for name in ("random", "strongest", "random")]
        with Workers(bench) as workers:
            found = [one.scores for one in workers.run(trials) if isinstance(one, Tried)]
        assert np.array_equal(found[0], found[2])
        assert not np.array_equal(found[0], found[1])


class TestEntrants:
    def test_all_leaves_out_with_reasons(self) -> None:
        found = entrants(["all"])
        assert not set(found.skipped) & set(found.names)
        assert all(found.skipped.values())

    def test_named_ones_are_tried_whatever_is_known(self) -> None:
        skipped = next(iter(entrants(["all"]).skipped))
        assert skipped in entrants(["all", skipped]).names
        assert why_not("knn") is None

    def test_missing_packages_of_an_extra(self) -> None:
        assert missing_of("no such extra") == ()
        assert "pytest" not in missing_of("dev")

    def test_data_that_do_not_suit_a_router(self, plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
        refuses, crashes = f"{plugin}:Refuses", f"{plugin}:Crashes"
        with pytest.raises(DataError, match="two models are needed"):
            evaluate(table(40), table(40, start=99), [refuses, "random"], n_resamples=20)
        monkeypatch.setattr("suffice.routers.available", lambda: (refuses, crashes, "random"))
        found = evaluate(table(40), table(40, start=99), ["all"], n_resamples=20)
        assert set(found.routers) == {"random"}
        assert found.skipped[refuses] == "two models are needed"
        assert "ZeroDivisionError: by design" in found.skipped[crashes]

    def test_a_failed_trial_is_a_value(self, plugin: str) -> None:
        bench = Bench(tables={"train": table(9), "test": table(9)}, embedders={"": None})
        failed = run(Trial(router=f"{plugin}:Refuses"), bench)
        assert isinstance(failed, Failed)
        assert isinstance(failed.raised(), DataError)


class Counting(HashedNgrams):
    """Counts the texts it works on."""

    n_texts = 0

    def features(self, texts: Any, kind: Any = "words") -> Any:
        self.n_texts += len(texts)
        return super().features(texts, kind)


class TestRemembered:
    def test_same_vectors_and_features_each_text_once(self) -> None:
        plain, counting = HashedNgrams(), Counting()
        wrapped = Remembered(counting)
        texts = ["one two", "", "three", "one two"]
        wrapped.embed(texts)
        before = counting.n_texts
        for _ in range(2):
            np.testing.assert_array_equal(wrapped.embed(texts), plain.embed(texts))
            for kind in ("words", "characters", "both"):
                found, expected = wrapped.features(texts, kind), plain.features(texts, kind)
                np.testing.assert_array_equal(found.indptr, expected.indptr)
                np.testing.assert_array_equal(found.indices, expected.indices)
                np.testing.assert_array_equal(found.values, expected.values)
                assert found.n_columns == expected.n_columns
        assert counting.n_texts == before + 3 * 3  # three distinct texts, three kinds
        with wrapped.paused():
            wrapped.features(texts)
        assert counting.n_texts == before + 3 * 3 + 4

    def test_no_features_where_the_embedder_has_none(self) -> None:
        class Dense:
            name, dimensions = "dense", 2

            def embed(self, texts: Any) -> Any:
                return np.ones((len(texts), 2), np.float32)

        assert not hasattr(Remembered(Dense()), "features")


class TestSuggest:
    def test_the_better_router_its_value_and_what_ties(self) -> None:
        found = suggest(table(240), ["ridge", "random"], embedders=["hashed"], n_resamples=100)
        assert (found.router, found.embedder) == ("ridge", "hashed")
        assert found.value_usd is not None
        assert found.chosen.over_zero.verdict == "better"
        assert not found.options["random"].ties
        assert found.models == MODELS
        assert found.at_value.quality_share is not None

    def test_unusable_embedders(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(name: str) -> HashedNgrams:
            if name == "minilm":
                raise ConfigError("no model file")
            return HashedNgrams()

        monkeypatch.setattr("suffice.embedders.create", broken)
        found = suggest(table(60), ["strongest"], n_resamples=20)
        assert found.embedder is None
        assert found.skipped["minilm"] == "no model file"
        monkeypatch.undo()
        with pytest.raises(UnknownName):
            suggest(table(60), ["strongest"], embedders=["absent"])
