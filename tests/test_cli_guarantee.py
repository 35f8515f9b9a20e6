"""`suffice guarantee`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from suffice.calibration.guarantee import Certificate
from suffice.cli import guarantee as guarantee_command
from suffice.cli import train as train_command
from suffice.errors import ArtefactError, ConfigError, DataError, UnknownModel


def write(path: Path, n: int, seed: int, start: int = 0) -> Path:
    """Easy and hard questions; `sure` says how sure it is that small suffices."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(start, start + n):
        is_easy = rng.random() < 0.6
        word = "add" if is_easy else "integrate"
        sure = 0.97 if is_easy else 0.4
        query = {"query_id": f"q{i}", "query": f"{word} number {i}", "sure": sure}
        small, large = float(rng.random() < sure), float(rng.random() < 0.96)
        lines.append(query | {"model": "small", "score": small, "cost_usd": 0.001})
        lines.append(query | {"model": "large", "score": large, "cost_usd": 0.01})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("guarantee")
    found = {
        "train": write(folder / "train.jsonl", 400, 1),
        "calibration": write(folder / "calibration.jsonl", 1000, 2, start=400),
        "test": write(folder / "test.jsonl", 600, 3, start=1400),
        "router": folder / "router",
    }
    done = run("train", "ridge", "--data", found["train"], "--out", found["router"])
    assert done.exit_code == 0, done.output
    return found


def run(*arguments: object) -> Any:
    app = typer.Typer()
    train_command.register(app)
    guarantee_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ask(files: dict[str, Path], *more: object) -> Any:
    pair = ("--strong", "large", "--weak", "small")
    return run("guarantee", "--calibration", files["calibration"], "--test", files["test"], *pair, *more)


def test_json_from_a_column(files: dict[str, Path]) -> None:
    done = ask(files, "--score", "sure", "--epsilon", 0.05, "--json")
    found = json.loads(done.stdout)
    assert set(found) == {"certified", "threshold", "weak_share", "bound", "n", "rows_needed", "test"}
    assert found["certified"] and found["n"] == 1000 and found["bound"] <= 0.05 + 1e-4
    assert 0.4 < found["threshold"] <= 0.96 and found["weak_share"] == pytest.approx(0.6, abs=0.05)
    test = found["test"]
    assert set(test) == {"drop", "weak_share", "cost_saved"}
    assert test["drop"] < 0.05 and test["cost_saved"] == pytest.approx(0.9 * test["weak_share"])


def test_a_router_and_its_certificate(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "cert.json"
    done = ask(files, "--router", files["router"], "--epsilon", 0.05, "--out", out)
    assert done.exit_code == 0, done.output
    assert "a gain of" in done.stdout and "mean-drop at most 0.05" in done.stdout
    kept = Certificate.from_json(out.read_text())
    assert kept.certified and kept.date is not None and kept.weak_share > 0.4
    again = ask(files, "--router", files["router"], "--epsilon", 0.05, "--json")
    assert json.loads(again.stdout)["threshold"] == kept.threshold


def test_not_certified_says_how_many_rows(files: dict[str, Path]) -> None:
    done = ask(files, "--score", "sure", "--epsilon", 0.001)
    said = " ".join(done.stdout.split())
    assert done.exit_code == 0
    assert "not certified, send all to the strong model; you need about" in said
    found = json.loads(ask(files, "--score", "sure", "--epsilon", 0.001, "--json").stdout)
    assert found["threshold"] is None and found["bound"] is None and found["rows_needed"] > 1000
    assert found["test"] == {"drop": 0.0, "weak_share": 0.0, "cost_saved": 0.0}


@pytest.mark.parametrize("promise", ["regressions", "selective", "ratio"])
def test_other_promises(files: dict[str, Path], promise: str) -> None:
    found = json.loads(ask(files, "--score", "sure", "--promise", promise, "--epsilon", 0.1, "--json").stdout)
    assert found["certified"] and found["bound"] <= 0.1 + 1e-4


def test_rows_of_the_training_are_refused(files: dict[str, Path]) -> None:
    pair = ("--strong", "large", "--weak", "small", "--router", files["router"])
    done = run("guarantee", "--calibration", files["train"], *pair)
    assert isinstance(done.exception, DataError)
    assert "400 of 400 calibration queries" in str(done.exception)
    (files["router"] / "trained_on.npy").write_bytes(b"damaged")
    try:
        done = run("guarantee", "--calibration", files["calibration"], *pair)
        assert isinstance(done.exception, ArtefactError)
    finally:
        run("train", "ridge", "--data", files["train"], "--out", files["router"])


def test_a_test_file_that_was_calibrated_on_is_noted(files: dict[str, Path]) -> None:
    done = run(
        *("guarantee", "--calibration", files["test"], "--test", files["test"]),
        *("--strong", "large", "--weak", "small", "--score", "sure"),
    )
    assert "600 test queries stand in the calibration file" in " ".join(done.output.split())


def test_a_test_file_that_the_router_knows_is_noted(files: dict[str, Path]) -> None:
    done = run(
        *("guarantee", "--calibration", files["calibration"], "--test", files["train"]),
        *("--strong", "large", "--weak", "small", "--router", files["router"]),
    )
    assert "400 test queries were used to train the router" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (("--score", "sure", "--strong", "huge"), UnknownModel),
        (("--score", "sure", "--weak", "large"), DataError),
        (("--score", "absent"), DataError),
        (("--score", "query"), DataError),
        (("--score", "sure", "--grid", "0.5,0.5"), DataError),
        (("--score", "sure", "--epsilon", "2"), ConfigError),
        (("--router", "nowhere"), ArtefactError),
        (("--score", "sure", "--out", "no/such/folder/cert.json"), ConfigError),
    ],
)
def test_refuses(files: dict[str, Path], more: tuple[str, ...], error: type[Exception]) -> None:
    assert isinstance(ask(files, *more).exception, error)


@pytest.mark.parametrize(
    "more", [(), ("--score", "sure", "--router", "x"), ("--score", "sure", "--grid", "x")]
)
def test_misuse(files: dict[str, Path], more: tuple[str, ...]) -> None:
    assert ask(files, *more).exit_code == 2
