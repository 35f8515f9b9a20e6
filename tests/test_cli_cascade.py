"""`suffice cascade fit|evaluate` from a file of recorded answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from suffice.cascades.routing import CascadeRouting
from suffice.cli import build
from suffice.evaluation.cascading import Areas, Curve, report
from suffice.evaluation.recording import recorded_of
from suffice.outcomes import Runs


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, what is printed, and what is said of it (or the error that became of it)."""
    found = CliRunner().invoke(build(), [str(argument) for argument in arguments])
    return found.exit_code, found.stdout, found.stderr + str(found.exception or "")


def rows(n: int, seed: int) -> list[dict[str, object]]:
    """Two models; the small one's answers are verified twice, and every answer has a confidence."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, object]] = []
    for i in range(n):
        query = {"query_id": f"{seed}-{i}", "query": f"what is {seed} times {i}"}
        hard = rng.random()
        for model, skill, cost in (("small", 0.9, 0.001), ("large", 0.4, 0.02)):
            right = bool(rng.random() > skill * hard)
            answer = {
                "strategy": "answer",
                "model": model,
                "score": float(right),
                "cost_usd": cost,
                "response": f"Answer: {seed * i if right else rng.integers(1000)}",
                "sure": round(0.6 * right + 0.4 * rng.random(), 3),
                "sample": 0,
            }
            found.append(query | answer)
        for sample in range(2):
            said = "correct" if found[-2]["score"] and rng.random() < 0.9 else "incorrect"
            verdict = {"strategy": "verify", "model": "small", "cost_usd": 0.0001, "sample": sample}
            found.append(query | verdict | {"response": said})
    return found


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "fit.jsonl", tmp_path / "test.jsonl"
    for seed, path in enumerate(paths, start=2):
        path.write_text("\n".join(json.dumps(row) for row in rows(120, seed)))
    return paths


@pytest.mark.parametrize(
    "method",
    [
        ("automix",),
        ("threshold", "--signal", "sure"),
        ("frugalgpt",),
        ("frugalgpt", "--signal", "sure"),
        ("cascade-routing", "--signal", "sure", "--router", "knn", "--set", "n_trials=200"),
    ],
    ids=" ".join,
)
def test_fit_and_evaluate(method: tuple[str, ...], files: tuple[Path, Path], tmp_path: Path) -> None:
    fit, test = files
    out = tmp_path / "cascade"
    args = ("--data", fit, "--method", *method, "--value-usd", "0.05", "--out", out, "--json")
    code, text, errors = run("cascade", "fit", *args)
    assert code == 0, errors
    fitted = json.loads(text)["on_fitted_rows"]
    assert fitted["n_queries"] == 120 and 0 < fitted["quality"] <= fitted["oracle_quality"]
    code, text, errors = run("cascade", "evaluate", "--data", test, "--cascade", out, "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert found["cascade"] == fitted["cascade"] and 1 <= found["n_calls"] <= 2
    assert sum(found["answered_by"].values()) == pytest.approx(1)
    assert found["quality_ci"][0] <= found["quality"] <= found["quality_ci"][1]
    code, text, errors = run("cascade", "evaluate", "--data", test, "--cascade", out)
    assert code == 0 and "alone" in text and "flatter" not in errors
    _, _, errors = run("cascade", "evaluate", "--data", fit, "--cascade", out)
    assert "120 queries were fitted to: the figures flatter" in errors
    others = test.with_name("others.jsonl")
    others.write_text(test.read_text().replace("small", "tiny"))
    code, _, errors = run("cascade", "evaluate", "--data", others, "--cascade", out)
    assert code == 1 and "no answers of 'small', which the cascade" in errors


def test_misuse(files: tuple[Path, Path], tmp_path: Path) -> None:
    fit, _ = files
    base = ("cascade", "fit", "--data", fit, "--out", tmp_path / "cascade")
    assert run(*base, "--method", "frugalgpt")[0] == 2
    code, _, errors = run(*base, "--method", "magic", "--value-usd", "1")
    assert code == 1 and "magic" in errors and "frugalgpt" in errors
    code, _, errors = run(*base, "--method", "threshold", "--value-usd", "1")
    assert code == 1 and "signal" in errors
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    code, _, errors = run(*base[:-1], full, "--method", "frugalgpt", "--value-usd", "1")
    assert code == 1 and "new directory" in errors
    assert run("cascade", "evaluate", "--data", fit, "--cascade", tmp_path / "none")[0] == 1


def test_recorded_calls_about_answers_become_readings(files: tuple[Path, Path]) -> None:
    recorded = recorded_of(Runs.read(files[0]), columns=["sure"])
    assert recorded.arms in (("large", "small"), ("small", "large"))
    small = recorded.arms.index("small")
    assert set(recorded.readings) == {"sure", "verification"}
    np.testing.assert_allclose(recorded.reading_cost_usd["verification"][:, small], 0.0002)
    assert np.isnan(recorded.readings["verification"][:, 1 - small]).all()
    assert not np.isnan(recorded.readings["sure"]).any()


def test_areas_and_report_count_what_was_paid(files: tuple[Path, Path]) -> None:
    recorded = recorded_of(Runs.read(files[0]), columns=["sure"])
    areas = Areas(recorded, n_resamples=50)
    singles = Curve(recorded.quality.T, recorded.cost_usd.T)
    same = areas.over(singles, singles, "itself")
    assert (same.gain, *same.ci) == (0, 0, 0)
    cascade = CascadeRouting(signals=("sure",), n_trials=100).fit(recorded, value_usd=0.05)
    better = Curve.of(cascade.sweep(recorded, [0.0, 10.0, 100.0, np.inf]))
    assert areas.over(better, singles, "zero router").gain > 0
    at = areas.over_at(better, singles, float(recorded.cost_usd.mean()), "zero router")
    assert at.gain > 0 and at.ci[0] <= at.gain <= at.ci[1]
    found = report(cascade, recorded, None, None)
    asked = found.cost_usd_per_1k / 1000
    assert recorded.cost_usd.mean(axis=0).min() <= asked <= recorded.cost_usd.sum(axis=1).max()


def test_a_router_may_read_the_answers(files: tuple[Path, Path], tmp_path: Path) -> None:
    fit, test = files
    out = tmp_path / "cascade"
    asked = ("--value-usd", 0.05, "--reader", "ridge", "--out", out, "--data", fit)
    code, _, said = run("cascade", "fit", "--method", "automix", *asked)
    assert (code, "no reader" in said) == (2, True)
    code, _, said = run("cascade", "fit", "--method", "frugalgpt", *asked)
    assert code == 0, said
    assert (out / "reader").is_dir()
    code, printed, said = run("cascade", "evaluate", "--data", test, "--cascade", out, "--json")
    assert code == 0, said
    assert json.loads(printed)["cascade"] == "frugalgpt"
