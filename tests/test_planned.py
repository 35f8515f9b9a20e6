"""`suffice evaluate --plans`: what plans bring and ask on recorded answers, and that they see no test row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from suffice.cascades import Recorded, create, play
from suffice.cli import build
from suffice.embedders import HashedNgrams
from suffice.errors import UnknownName
from suffice.evaluation import evaluate
from suffice.evaluation.cascading import Scored
from suffice.evaluation.planned import PlanData, PlanWish, known_plans
from suffice.evaluation.planned.arms import elected, sampled, votes
from suffice.evaluation.planned.chains import Halves
from suffice.evaluation.planned.data import Sample
from suffice.evaluation.planned.ways import spent_by
from suffice.outcomes import Outcomes, Runs
from suffice.reports import page, table

MODELS = (("small", 0.9, 0.001), ("middle", 0.6, 0.005), ("large", 0.3, 0.02))


def rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Three models, a confidence column, two verifications and four samples of the small one's answers."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for i in range(n):
        query = {"query_id": f"{seed}-{i}", "query": f"what is {seed} times {i}", "latency_s": 1.0}
        query |= {"prompt_tokens": 10, "completion_tokens": 2}
        hard = rng.random()
        for model, skill, cost in MODELS:
            right = bool(rng.random() > skill * hard)
            said = f"Answer: {seed * i if right else rng.integers(1000)}"
            sure = round(0.6 * right + 0.4 * rng.random(), 3)
            answer = {"model": model, "score": float(right), "cost_usd": cost, "response": said, "sure": sure}
            found.append(query | answer | {"strategy": "answer", "sample": 0})
        for k in range(4):
            right = bool(rng.random() > 0.9 * hard)
            said = f"Answer: {seed * i if right else rng.integers(1000)}"
            sample = {"model": "small", "score": float(right), "cost_usd": 0.001, "response": said}
            found.append(query | sample | {"strategy": "sample", "sample": k, "latency_s": 1.0 + k})
        for k in range(2):
            verdict = {"model": "small", "cost_usd": 0.0001, "response": "correct", "sample": k}
            found.append(query | verdict | {"strategy": "verify"})
    return found


def write(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in found))
    return path


def read(path: Path, **options: Any) -> tuple[Outcomes, PlanData]:
    return PlanData.read(Runs.read(path), **options)


PLANS = ("frugalgpt", "automix_bayes", "automix_pomdp", "best_of", "mixture")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("planned")
    return write(folder / "train.jsonl", rows(90, 2)), write(folder / "test.jsonl", rows(40, 3))


def test_plans_and_routers_in_one_table_chart_and_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    out, html = tmp_path / "figures.json", tmp_path / "page.html"
    args = ["--train", files[0], "--test", files[1], "--routers", "knn", "--plans", ",".join(PLANS)]
    args += ["--signal", "sure", "--jobs", "1", "--json", out, "--html", html]
    done = CliRunner().invoke(build(), ["evaluate", *map(str, args)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert set(found["plans"]) == set(PLANS) and set(found["routers"]) == {"knn"}
    for name, plan in found["plans"].items():
        assert plan["aiq_ci"][0] <= plan["aiq"] <= plan["aiq_ci"][1]
        assert plan["over_router"]["against"] == "knn"
        use = plan["at_value"]
        assert use["n_answers"] >= 1 and use["cost_usd_per_1k"] >= use["beside_usd_per_1k"]
        assert use["n_tokens"] == pytest.approx(12 * (use["n_answers"] + use["n_beside"]))
        assert plan["signals"] == ([] if name in ("best_of", "mixture") else ["sure"])
        assert f"plan {name}" in done.output and name in html.read_text()


def test_a_plan_sees_no_score_of_a_test_query(files: tuple[Path, Path]) -> None:
    train, data = read(files[0])
    test, rest = read(files[1])
    wrong = Outcomes.from_arrays(
        test.queries, test.arms, 1 - test.quality, cost_usd=test.cost_usd, responses=test.responses
    )
    names = known_plans(["frugalgpt", "automix_bayes", "best_of", "mixture", "cascade_routing"])
    costs = []
    for judged in (test, wrong):
        wish = PlanWish(names=names, train=data, test=rest)
        found = evaluate(train, judged, ["knn"], plans=wish, n_resamples=20)
        assert not found.skipped
        costs.append({name: [p.cost_usd_per_1k for p in plan.curve] for name, plan in found.plans.items()})
    assert costs[0] == costs[1]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    bare = [
        {name: value for name, value in row.items() if name not in ("response", "sure")}
        for row in rows(40, 1)
        if row["strategy"] == "answer"
    ]
    outcomes, data = read(write(tmp_path / "bare.jsonl", bare))
    train, test = outcomes.split(0.5)
    wish = PlanWish(names=known_plans(["all"]), train=data, test=data)
    found = evaluate(train, test, ["knn"], plans=wish, n_resamples=20)
    assert not found.plans
    assert "`response`" in found.skipped["confidence"] and "--signal" in found.skipped["frugalgpt"]
    assert "`sample`" in found.skipped["best_of"] and "`response`" in found.skipped["mixture"]
    assert table(found).routers and "<svg" in page(found)
    free = Outcomes.from_arrays(outcomes.queries, outcomes.arms, outcomes.quality)
    train, test = free.split(0.5)
    found = evaluate(train, test, ["knn"], plans=wish, n_resamples=20)
    assert all("--prices" in found.skipped[name] for name in wish.names)


def test_names() -> None:
    assert known_plans(["automix", "cascade-routing", "automix_threshold"]) == (
        "automix_threshold",
        "cascade_routing",
    )
    with pytest.raises(UnknownName, match="frugalgpt"):
        known_plans(["magic"])


def test_a_cascade_pays_what_it_asked_and_nothing_else(files: tuple[Path, Path]) -> None:
    outcomes, data = read(files[0])
    data = data.of(outcomes.select(arms=("small", "large")))
    cascade = create("automix_threshold", arms=("small", "large")).fit(data.recorded, value_usd=0.05)
    played = play(cascade, data.recorded)
    spent = spent_by(cascade, played, data)
    reads = bool(cascade.reads(0))
    n_small, n_large = played.asked[:, 0], played.asked[:, 1]
    np.testing.assert_array_equal(spent.n_answers, played.n_calls)
    np.testing.assert_array_equal(spent.n_beside, 2.0 * n_small * reads)
    np.testing.assert_allclose(spent.beside_usd, 0.0002 * n_small * reads)
    np.testing.assert_allclose(played.cost_usd, 0.001 * n_small + 0.02 * n_large + spent.beside_usd)
    np.testing.assert_allclose(spent.n_tokens, 12 * (spent.n_answers + spent.n_beside))


def test_votes() -> None:
    assert elected(["x", "y", "y"], [0, 1, 2]) == 1
    assert elected(["x", "y", "z"], [0, 1, 2]) == 0, "of equals the aggregator's own"
    assert elected(["", "y", ""], [0, 1, 2]) == 1, "who says nothing has no vote"
    assert elected(["", "", ""], [2, 0, 1]) == 2
    table = Outcomes.from_arrays(
        ["q"],
        ["a", "b", "c"],
        np.array([[0.0, 1.0, 1.0]]),
        cost_usd=np.array([[1.0, 2.0, 4.0]]),
        latency_s=np.array([[3.0, 1.0, 2.0]]),
        responses=np.array([["Answer: 1", "Answer: 2", "Answer: 2"]], dtype=object),
    )
    data = PlanData(recorded=Recorded.of(table), n_tokens=np.array([[1.0, 2.0, 4.0]]))
    found = votes(data, [("a", "b", "c"), ("a", "b")])
    assert found.names == ("a + b + c", "a + b")
    assert found.quality.tolist() == [[1.0, 0.0]] and found.cost_usd.tolist() == [[7.0, 3.0]]
    assert found.latency_s.tolist() == [[3.0, 3.0]], "side by side: the slowest"


def test_the_commonest_of_samples() -> None:
    drawn = [
        [Sample("x", 0.0, 1.0, 5.0, 0.1), Sample("y", 1.0, 1.0, 5.0, 0.4), Sample("y", 1.0, 1.0, 5.0, 0.2)]
    ]
    found = sampled("m", drawn)
    assert found.names == ("m x 3",)
    one = [float(part[0, 0]) for part in found[1:]]
    assert one == [1.0, 3.0, 3.0, 15.0, 0.4]


def test_a_chain_keeps_the_corners_that_matter() -> None:
    cost = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 40.0])
    quality = np.array([0.1, 0.5, 0.6, 0.7, 0.71, 0.725])  # without the fifth hardly anything is lost
    table = Outcomes.from_arrays(
        ["q"], list("abcdef"), quality[None, :], cost_usd=cost[None, :], responses=None
    )
    data = PlanData(recorded=Recorded.of(table), n_tokens=np.ones((1, 6)))
    scored = Scored(quality[None, :], cost[None, :])
    halves = Halves(data, data, scored, scored, 1.0, "knn", HashedNgrams())
    assert halves.chain == ("a", "b", "c", "d", "f")
