"""`suffice calibrate`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from suffice import calibration
from suffice.cli import calibrate as calibrate_command
from suffice.cli import train as train_command
from suffice.errors import ConfigError, DataError, UnknownModel, UnknownName
from suffice.evaluation.calibrating import spread, threshold_for
from suffice.plans.confidence import AnswerConfidence


def write(path: Path, n: int, seed: int, start: int = 0) -> Path:
    """The small one is right with the square of what it states, the large one where there is to prove."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(start, start + n):
        words = " ".join(rng.choice(["sum", "proof", "integral", "digit", "root"], 4))
        for model in ("small", "large"):
            sure = float(rng.beta(3, 1.5))
            known = sure**2 if model == "small" else 0.2 + 0.2 * words.count("proof")
            right = float(rng.random() < known)
            query = {"query_id": f"q{i}", "query": f"{words} {i}", "sure": sure}
            lines.append(query | {"model": model, "score": right, "cost_usd": 0.001})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("calibrate")
    found = {
        "train": write(folder / "train.jsonl", 150, 1),
        "data": write(folder / "data.jsonl", 600, 2, start=150),
        "router": folder / "router",
    }
    assert run("train", "ridge", "--data", found["train"], "--out", found["router"]).exit_code == 0
    return found


def run(*arguments: object) -> Any:
    app = typer.Typer()
    train_command.register(app)
    calibrate_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_column_is_calibrated_and_kept_with_its_spread(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "calibrator.json"
    column = ("calibrate", "--data", files["data"], "--score", "sure", "--model", "small")
    done = run(*column, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["n"] == 600 and found["after"]["nll"] < found["before"]["nll"] - 0.01
    assert found["after"]["ece"] < found["before"]["ece"]
    kept = calibration.from_json(out.read_bytes())
    assert kept.name == found["calibrator"] and 0.7 < kept.predict([0.9])[0] < 0.9
    read = AnswerConfidence.read("normalised_probability", out)
    assert len(read.reference.shares) == len(read.reference.edges) + 1 == 10
    assert sum(read.reference.shares) == pytest.approx(1)
    shown = run(*column, "--method", "platt,temperature").stdout
    assert "on rows left out" in shown and "600 answers" in shown


def test_a_routers_threshold_for_a_share(files: dict[str, Path]) -> None:
    pair = ("--router", files["router"], "--share", 0.3, "--strong", "large", "--weak", "small")
    done = run("calibrate", "--data", files["data"], *pair, "--json")
    found = json.loads(done.stdout)
    assert found["n"] == 1200 and found["strong_share"] == pytest.approx(0.3, abs=0.05)
    shown = run("calibrate", "--data", files["data"], *pair).stdout
    assert "policy: {name: threshold, threshold: " in shown and "30 %" in shown


def test_the_evidence_of_known_answers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    rows = [(0.9, 1.0), (0.4, 0.0), (None, 1.0), (0.8, 1.0), (0.3, 0.0)]
    path.write_text(
        "".join(
            json.dumps({"query_id": str(i), "query": "?", "score": right, "confidence": {"perplexity": sure}})
            + "\n"
            for i, (sure, right) in enumerate(rows)
        )
    )
    column = ("--score", "confidence.perplexity", "--method", "platt")
    done = run("calibrate", "--data", path, *column, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n"] == 4
    for wrong, said in (
        ("confidence", "give confidence.KEY, one of perplexity"),
        ("confidence.entropy", "'entropy'; there are: perplexity"),
    ):
        assert said in str(run("calibrate", "--data", path, "--score", wrong).exception)


def test_refusals(files: dict[str, Path], tmp_path: Path) -> None:
    data, router = ("calibrate", "--data", files["data"]), ("--router", files["router"])
    assert run(*data).exit_code == 2
    assert run(*data, "--score", "sure", *router).exit_code == 2
    assert run(*data, "--score", "sure", "--share", 0.3).exit_code == 2
    for arguments, error in (
        ((*data, "--score", "cost_usd", "--model", "nobody"), DataError),
        ((*data, "--score", "query"), DataError),
        ((*data, "--score", "sure", "--method", "magic"), UnknownName),
        ((*data, *router, "--model", "nobody"), UnknownModel),
        ((*data, "--score", "sure", "--out", tmp_path / "no" / "x.json"), ConfigError),
        ((*data, "--score", "sure", "--out", tmp_path), ConfigError),
        (("calibrate", "--data", files["train"], *router), DataError),
    ):
        assert isinstance(run(*arguments).exception, error), arguments
    said = str(run(*data, "--score", "sure", "--model", "nobody").exception)
    assert "no row is of the model 'nobody'; there are small, large" in said


@pytest.mark.parametrize(("share", "strong"), [(0.0, []), (0.25, [3]), (0.5, [1, 3]), (1.0, [0, 1, 2, 3])])
def test_the_share_is_reached_exactly_where_gains_differ(share: float, strong: list[int]) -> None:
    gain = np.array([-0.2, 0.3, 0.1, 0.9])
    assert np.flatnonzero(gain >= threshold_for(share, gain)).tolist() == strong
    tied = np.array([0.5, 0.5, 0.1, np.nan])
    assert threshold_for(0.5, tied) == 0.5
    assert threshold_for(0.25, tied) == 0.75


def test_spread_of_repeated_confidences() -> None:
    assert spread(np.full(5, 0.3)) == ([], [1.0])
    edges, shares = spread(np.linspace(0, 1, 1001))
    assert len(edges) == 9 and np.allclose(shares, 0.1, atol=0.002)
