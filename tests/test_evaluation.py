"""The comparison on small tables whose answers are known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffice import policies
from suffice.errors import ConfigError, DataError, UnknownName
from suffice.evaluation import VALUES_USD, Comparison, entrants, evaluate, evaluate_seeds
from suffice.evaluation.baselines import baselines
from suffice.evaluation.selection import select_models, select_pair
from suffice.evaluation.significance import Resampled
from suffice.evaluation.sweep import choices, sweep
from suffice.evaluation.task_means import task_mean_scores
from suffice.evaluation.truth import Truth
from suffice.metrics import aiq, apgr
from suffice.outcomes import Outcomes
from suffice.protocols import PolicyContext
from suffice.types import Price, Query

MODELS = ("small", "medium", "large")
COSTS = (0.001, 0.004, 0.02)

PLUGIN = '''
import numpy as np
from suffice.types import Explanation


class Base:
    def fit(self, outcomes):
        self.arms = outcomes.arms
        return self

    def explain(self, query):
        return Explanation(summary="")


class Perfect(Base):
    """Reads the truth out of the text."""

    def scores(self, queries):
        return np.array([[float(x) for x in query.text.split("|")[1].split(",")] for query in queries])


class Backwards(Perfect):
    """The arms in another order."""

    def fit(self, outcomes):
        self.arms = outcomes.arms[::-1]
        return self

    def scores(self, queries):
        return super().scores(queries)[:, ::-1]


class Absent(Base):
    def fit(self, outcomes):
        import no_such_library_anywhere
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return str(path)


def table(n: int, *, start: int = 0, seed: int = 0, costs: bool = True) -> Outcomes:
    """Rights and wrongs by chance, larger models better; the text says them; costs the same throughout."""
    rng = np.random.default_rng(seed)
    quality = (rng.random((n, 3)) < np.array([0.4, 0.6, 0.8])).astype(float)
    queries = [
        Query(text=f"q{start + i}|{','.join(str(x) for x in row)}", task=f"task {i % 2}")
        for i, row in enumerate(quality)
    ]
    cost = np.tile(COSTS, (n, 1)) if costs else None
    return Outcomes.from_arrays(queries, MODELS, quality, cost_usd=cost)


def encoded(comparison: Comparison) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(comparison))
    return found


class TestJson:
    def test_keys_are_those_of_the_design(self) -> None:
        found = encoded(evaluate(table(60), table(50, start=100, seed=1), ["random"]))
        details = found.pop("details")
        assert set(found) == {
            "models", "n_train", "n_test", "cost_range_usd_per_1k",
            "baselines", "routers", "recommended", "skipped",
        }  # fmt: skip
        assert set(found["baselines"]) == {"random", "best_single", "zero_router", "oracle"}
        assert set(found["baselines"]["best_single"]) == {"model", "quality", "cost_usd_per_1k"}
        assert set(found["baselines"]["zero_router"]) == {"aiq", "curve"}
        assert set(found["baselines"]["oracle"]) == {"quality", "cost_usd_per_1k"}
        assert set(found["routers"]["random"]) == {
            "aiq", "aiq_ci", "max_quality", "cost_share_at_best_single", "cost_share_at_95pct",
            "curve", "pair", "fit_s", "decision_us",
        }  # fmt: skip
        assert set(found["routers"]["random"]["curve"][0]) == {"value_usd", "cost_usd_per_1k", "quality"}
        assert set(found["recommended"]) == {
            "router", "value_usd", "aiq", "aiq_ci", "quality", "cost_usd_per_1k",
            "cost_share_at_best_single", "cost_share_at_95pct",
        }  # fmt: skip
        assert {single["model"] for single in details["singles"]} == set(MODELS)

    def test_reads_back(self) -> None:
        comparison = evaluate(table(40), table(40, start=100, seed=1), ["random"])
        assert msgspec.json.decode(msgspec.json.encode(comparison), type=Comparison) == comparison

    def test_curve_is_one_run_per_value(self) -> None:
        found = encoded(evaluate(table(40), table(40, start=100), ["random"]))
        values = [point["value_usd"] for point in found["routers"]["random"]["curve"]]
        assert len(values) == 202
        assert (values[0], values[1], values[200], values[201]) == (0.0, 1e-6, 1.0, None)
        assert np.allclose(np.diff(np.log(values[1:201])), np.log(1e6) / 199)


class TestKnownAnswers:
    def test_perfect_router_is_the_oracle(self, plugin: str) -> None:
        test = table(200, start=500, seed=3)
        found = evaluate(table(100), test, [f"{plugin}:Perfect"])
        result = found.routers[f"{plugin}:Perfect"]
        oracle = found.baselines.oracle
        assert oracle.quality == pytest.approx(test.quality.max(axis=1).mean())
        assert result.max_quality == pytest.approx(oracle.quality)
        best = result.curve[-1]
        assert best.value_usd is None
        assert best.quality == pytest.approx(oracle.quality)
        assert best.cost_usd_per_1k == pytest.approx(oracle.cost_usd_per_1k)

    def test_oracle_by_a_loop(self) -> None:
        test = table(50, seed=8)
        truth = Truth(models=MODELS, quality=test.quality, cost_usd=test.cost_usd)
        paid = [
            min(c for q, c in zip(row, costs, strict=True) if q == max(row))
            for row, costs in zip(test.quality.tolist(), test.cost_usd.tolist(), strict=True)
        ]
        assert baselines(truth).oracle.cost_usd_per_1k == pytest.approx(1000 * np.mean(paid))

    def test_constant_router_is_the_zero_router(self) -> None:
        data = table(120)
        twin = Outcomes.from_arrays(
            [f"another {i}" for i in range(120)], MODELS, data.quality, cost_usd=data.cost_usd
        )
        found = evaluate(data, twin, ["strongest"])
        result = found.routers["strongest"]
        singles = {(s.quality, s.cost_usd_per_1k) for s in found.details.singles}
        assert all(
            any(np.allclose((p.quality, p.cost_usd_per_1k), single) for single in singles)
            for p in result.curve
        )
        assert result.aiq == pytest.approx(found.baselines.zero_router.aiq)
        assert result.cost_share_at_best_single == pytest.approx(1.0)

    def test_baselines_by_hand(self) -> None:
        quality = [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
        truth = Truth(models=MODELS, quality=np.array(quality), cost_usd=np.tile([1.0, 2.0, 5.0], (4, 1)))
        found = baselines(truth)
        assert found.best_single.model == "medium"  # as good as large, and cheaper
        assert found.best_single.cost_usd_per_1k == 2000
        assert found.oracle.quality == 0.75
        assert found.oracle.cost_usd_per_1k == pytest.approx(1000 * (1 + 2 + 1 + 2) / 4)
        assert found.random.quality == pytest.approx(7 / 12)
        assert [corner.model for corner in found.zero_router.curve] == ["small", "medium"]
        assert found.zero_router.aiq == pytest.approx((0.25 + 0.75) / 2)
        assert truth.cost_range() == (1.0, 2.0)

    def test_order_of_a_routers_arms_does_not_matter(self, plugin: str) -> None:
        train, test = table(60), table(60, start=100, seed=2)
        found = evaluate(train, test, [f"{plugin}:Perfect", f"{plugin}:Backwards"], pair=("large", "small"))
        one, other = found.routers.values()
        assert (one.curve, one.pair) == (other.curve, other.pair)

    def test_pair_metrics_of_a_perfect_router(self, plugin: str) -> None:
        test = table(300, start=500, seed=4)
        name = f"{plugin}:Perfect"
        found = evaluate(table(50), test, [name], pair=("large", "small"))
        gain = test.quality[:, 2] - test.quality[:, 0]
        pair = found.routers[name].pair
        assert pair is not None
        assert pair.cpt50 == pytest.approx(0.5 * gain.sum() / (gain > 0).sum() * (gain > 0).mean())
        assert pair.apgr == pytest.approx(apgr(gain, test.quality[:, 2], test.quality[:, 0]))
        assert pair.cpt80 == pytest.approx(1.6 * pair.cpt50)

    def test_chance_has_apgr_one_half(self) -> None:
        found = evaluate(table(50), table(3000, start=500, seed=4), ["random"], pair=("large", "small"))
        pair = found.routers["random"].pair
        assert pair is not None
        assert pair.apgr == pytest.approx(0.5, abs=0.06)

    def test_task_means(self) -> None:
        train = Outcomes.from_arrays(
            [Query(text=str(i), task="ab"[i % 2]) for i in range(4)],
            ("x", "y"),
            [[1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 1.0]],
        )
        test = Outcomes.from_arrays(
            [Query(text="n", task="b"), Query(text="m", task="new"), Query(text="o")],
            ("x", "y"),
            np.ones((3, 2)),
        )
        scores = task_mean_scores(train, test)
        assert scores is not None
        assert scores.tolist() == [[0.0, 1.0], [0.375, 0.5], [0.375, 0.5]]
        assert task_mean_scores(test.select(rows=[0]), test) is None


class TestSweep:
    @given(st.integers(0, 10_000))
    @settings(max_examples=40, deadline=None)
    def test_chooses_as_the_utility_policy(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        scores = rng.integers(0, 4, (6, 3)) / 4
        costs = rng.integers(1, 4, (6, 3)) / 100
        scores[rng.random(scores.shape) < 0.1] = np.nan
        costs[rng.random(costs.shape) < 0.1] = np.nan
        values = np.array([0.0, 0.01, 0.04, 0.3, np.inf])
        found = choices(scores, costs, values, ("b", "c", "a"))
        context = PolicyContext(arms=("b", "c", "a"))
        for value, row in zip(values, found, strict=True):
            policy = policies.create("utility", value_usd=float(value))
            ranking = policy.choose(scores, costs, np.full_like(costs, np.nan), context).ranking
            assert row.tolist() == ranking[:, 0].tolist()

    def test_decides_by_predicted_pays_true_cost(self) -> None:
        truth = Truth(models=("a", "b"), quality=np.array([[0.0, 1.0]]), cost_usd=np.array([[3.0, 7.0]]))
        found = sweep(truth, np.array([[0.5, 0.5]]), np.array([[2.0, 1.0]]))  # b is thought the cheaper
        assert set(found.cost_usd.tolist()) == {7.0}
        assert set(found.quality.tolist()) == {1.0}

    def test_interval_holds_the_aiq_and_narrows(self) -> None:
        widths = []
        for n in (60, 960):
            data = table(n, seed=5)
            truth = Truth(models=MODELS, quality=data.quality, cost_usd=data.cost_usd)
            curve = sweep(truth, np.tile([0.4, 0.6, 0.8], (n, 1)), data.cost_usd)
            span = truth.cost_range()
            resampled = Resampled(truth, n_resamples=200, seed=0)
            interval = resampled.aiq_interval(resampled.draw(curve))
            assert span is not None
            assert interval is not None
            assert interval[0] <= aiq(curve.cost_usd, curve.quality, *span) <= interval[1]
            widths.append(interval[1] - interval[0])
        assert widths[1] < 0.5 * widths[0]

    def test_values(self) -> None:
        assert VALUES_USD[0] == 0
        assert np.isinf(VALUES_USD[-1])


class TestSelection:
    def data(self) -> Outcomes:
        quality = np.ones((100, 3))
        quality[:6, 1] = np.nan
        quality[:5, 2] = np.nan
        cost = np.ones((100, 3))
        cost[:50, 0] = np.nan
        return Outcomes.from_arrays([str(i) for i in range(100)], MODELS, quality, cost_usd=cost)

    def test_needs_score_and_cost_on_95_percent(self) -> None:
        models, left_out = select_models(self.data(), None)
        assert models == ("large",)
        assert set(left_out) == {"small", "medium"}
        assert "cost on 50.0%" in left_out["small"]
        assert "score on 94.0%" in left_out["medium"]

    def test_without_any_cost_scores_decide(self) -> None:
        data = self.data()
        bare = Outcomes.from_arrays(data.queries, data.arms, data.quality)
        assert select_models(bare, None)[0] == ("small", "large")

    def test_the_users_choice(self) -> None:
        data = self.data()
        assert select_models(data, ["medium", "small"]) == (("medium", "small"), {})
        with pytest.raises(DataError, match="not in the data; known: "):
            select_models(data, ["huge"])
        with pytest.raises(ConfigError, match="each once"):
            select_models(data, ["small", "small"])

    def test_costs_must_be_known_for_all_or_none(self) -> None:
        quality, cost = np.ones((10, 2)), np.tile([np.nan, 1.0], (10, 1))
        data = Outcomes.from_arrays([str(i) for i in range(10)], ("a", "b"), quality, cost_usd=cost)
        with pytest.raises(ConfigError, match="prices"):
            select_models(data, ["a", "b"])
        assert select_models(data, ["a"])[0] == ("a",)

    def test_incomplete_test_rows_are_left_out_and_counted(self) -> None:
        test = table(50, start=100, seed=1)
        quality = test.quality.copy()
        quality[3, 1] = np.nan
        gaps = Outcomes.from_arrays(test.queries, test.arms, quality, cost_usd=test.cost_usd)
        found = evaluate(table(50), gaps, ["random"])
        assert (found.n_test, found.details.n_test_left_out) == (49, 1)

    def test_pair(self) -> None:
        data = table(50)
        assert select_pair(data, None) is None
        assert select_pair(data.select(arms=("small", "large")), None) == ("large", "small")
        with pytest.raises(DataError, match="not in the data; known: "):
            select_pair(data, ("huge", "small"))
        with pytest.raises(ConfigError):
            select_pair(data, ("small", "small"))


class TestHarness:
    def test_without_costs(self) -> None:
        train, test = table(80, costs=False), table(80, start=100, seed=1, costs=False)
        found = evaluate(train, test, ["random", "strongest"], pair=("large", "small"))
        assert found.cost_range_usd_per_1k is None
        assert found.baselines.oracle.cost_usd_per_1k is None
        assert found.baselines.zero_router.aiq is None
        for result in found.routers.values():
            assert (result.aiq, result.aiq_ci, result.cost_share_at_95pct) == (None, None, None)
            assert [point.value_usd for point in result.curve] == [None]
            assert result.pair is not None
        assert found.recommended.value_usd is None

    def test_recommendation_never_reads_the_test_data(self, plugin: str) -> None:
        train, test = table(120), table(80, start=300, seed=1)
        spoilt = Outcomes.from_arrays(test.queries, MODELS, 1 - test.quality, cost_usd=test.cost_usd)
        names = ["random", "strongest", f"{plugin}:Perfect"]
        one, other = (evaluate(train, held, names).recommended for held in (test, spoilt))
        assert one.router == other.router == f"{plugin}:Perfect"
        assert one.value_usd == other.value_usd
        assert one.quality != other.quality

    def test_missing_libraries_are_skipped_and_named(self, plugin: str) -> None:
        found = evaluate(table(40), table(40, start=100), ["random", f"{plugin}:Absent"])
        assert list(found.routers) == ["random"]
        assert "no_such_library_anywhere" in found.skipped[f"{plugin}:Absent"]
        with pytest.raises(ConfigError, match="no router could run"):
            evaluate(table(40), table(40, start=100), [f"{plugin}:Absent"])

    def test_seen_queries_are_counted(self) -> None:
        train = table(40)
        texts = [Query(text=train.queries[0].text.upper() + " "), Query(text="fresh"), Query(text="new")]
        test = Outcomes.from_arrays(
            texts, MODELS, np.tile([0.0, 0.5, 1.0], (3, 1)), cost_usd=np.tile(COSTS, (3, 1))
        )
        assert evaluate(train, test, ["random"]).details.n_test_seen == 1

    def test_prices_replace_costs(self) -> None:
        def priced(data: Outcomes) -> Outcomes:
            tokens = np.full(data.quality.shape, 1000.0)
            return Outcomes.from_arrays(
                data.queries, MODELS, data.quality, prompt_tokens=tokens, completion_tokens=tokens
            )

        prices = {
            name: Price(input_usd_per_mtok=1 + k, output_usd_per_mtok=2 + 2 * k)  # type: ignore[arg-type]
            for k, name in enumerate(MODELS)
        }
        found = evaluate(priced(table(40)), priced(table(40, start=100)), ["random"], prices=prices)
        assert found.cost_range_usd_per_1k is not None
        assert found.cost_range_usd_per_1k == pytest.approx((3.0, 9.0))

    def test_tells_its_steps(self) -> None:
        steps: list[str] = []
        planned: list[int] = []
        evaluate(
            table(40), table(40, start=100), ["random", "fixed"], on_plan=planned.append, on_step=steps.append
        )
        assert planned == [len(steps)] == [2 * (1 + 3)]
        assert {step.split(":")[0] for step in steps} == {"random", "fixed"}

    def test_all_and_unknown_routers(self) -> None:
        found = entrants(["all", "knn"])
        assert {"random", "knn", "ridge"} <= set(found.names)
        assert len(set(found.names)) == len(found.names)
        assert "knn" not in found.by_all
        assert "ridge" in found.by_all
        with pytest.raises(ConfigError, match="no router is named"):
            entrants([])
        with pytest.raises(UnknownName, match="no router is called 'kn'"):
            entrants(["knn", "kn"])

    def test_errors_travel_between_processes(self) -> None:
        for error in (UnknownName("router", "kn", ["knn"]), DataError("bad", file="a.csv", row=2)):
            again = copy.copy(error)  # as pickle does
            assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))

    def test_nothing_to_learn_from(self) -> None:
        quality = np.ones((4, 3))
        quality[[0, 1, 2, 3], [0, 1, 2, 0]] = np.nan
        gaps = Outcomes.from_arrays(list("abcd"), MODELS, quality)
        with pytest.raises(DataError, match="training queries is known for all 3"):
            evaluate(gaps, table(10, costs=False), ["random"], models=MODELS)
        with pytest.raises(DataError):
            evaluate(table(1), table(10, start=50), ["random"])

    def test_nothing_to_test_on(self) -> None:
        bare = Outcomes.from_arrays(["a"], MODELS, [[np.nan] * 3])
        with pytest.raises(DataError, match="--models"):
            evaluate(table(40), bare, ["random"])
        with pytest.raises(DataError, match="large"):
            evaluate(table(40), table(20, start=100).select(arms=("small", "medium")), ["random"])


class TestSeeds:
    def test_means_over_splits(self) -> None:
        data = table(200)
        found = evaluate_seeds(data, 0.5, ["random", "strongest"], n_seeds=3, n_resamples=50)
        parts = [
            evaluate(*data.split(0.5, seed=seed), ["random", "strongest"], seed=seed, n_resamples=50)
            for seed in range(3)
        ]
        for name, result in found.routers.items():
            values = [part.routers[name].aiq for part in parts]
            assert result.aiq == pytest.approx(np.mean([value for value in values if value is not None]))
            assert [seed.aiq[name] for seed in found.details.seeds] == values
        assert found.n_train + found.n_test == 200
        assert {corner.model for corner in found.baselines.zero_router.curve} <= set(MODELS)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found

    def test_one_seed_is_itself(self) -> None:
        data = table(80)
        found = evaluate_seeds(data, 0.5, ["random"], n_seeds=1, n_resamples=20)
        assert found.details.seeds == ()

    def test_at_least_one(self) -> None:
        with pytest.raises(ConfigError, match="at least 1"):
            evaluate_seeds(table(20), 0.5, ["random"], n_seeds=0)
