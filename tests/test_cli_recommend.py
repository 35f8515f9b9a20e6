"""`suffice recommend`, and what `suffice evaluate` can be asked for besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from suffice.cli import evaluate as evaluate_command
from suffice.cli import recommend as recommend_command
from suffice.errors import DataError, UnknownName
from suffice.outcomes import Outcomes
from suffice.types import Query


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 120
    quality = (rng.random((n, 3)) < np.array([0.3, 0.6, 0.8])).astype(float)
    queries = [Query(text=f"question {i}", task=f"task {i % 2}") for i in range(n)]
    path = tmp_path / "my data.jsonl"
    outcomes = Outcomes.from_arrays(
        queries, ("small", "medium", "large"), quality, cost_usd=np.tile([0.0001, 0.001, 0.01], (n, 1))
    )
    outcomes.write(path)
    return path


def run(*arguments: object) -> Any:
    app = typer.Typer()
    evaluate_command.register(app)
    recommend_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--jobs", 1)])


class TestRecommend:
    def test_says_why_and_how(self, data: Path) -> None:
        found = run("recommend", "--data", data, "--routers", "random,strongest")
        assert found.exit_code == 0, found.output
        said = " ".join(found.stdout.split())
        for words in (
            "strongest has the highest cross-validated AIQ",
            "suffice train strongest",
            "value_usd",
        ):
            assert words in said
        assert f"--data '{data}'" in found.stdout
        assert "router: {name: strongest, path: router}" in found.stdout

    def test_json_alone(self, data: Path) -> None:
        found = run(
            "recommend", "--data", data, "--routers", "random", "--models", "small,large",
            "--where", "task=task 0,task 1", "--json",
        )  # fmt: skip
        facts = json.loads(found.stdout)
        assert facts["router"] == "random"
        assert facts["models"] == ["small", "large"]
        assert "--models small,large --where 'task=task 0,task 1'" in facts["command"]
        assert set(facts["options"]) == {"random"}
        assert facts["why"]

    def test_unknown_names(self, data: Path) -> None:
        assert isinstance(run("recommend", "--data", data, "--routers", "none").exception, UnknownName)
        wrong = run("recommend", "--data", data, "--routers", "random", "--embedders", "none")
        assert isinstance(wrong.exception, UnknownName)


class TestEvaluateModes:
    def test_all_of_them(self, data: Path, tmp_path: Path) -> None:
        found = run(
            "evaluate", "--data", data, "--routers", "strongest", "--leave-out", "task",
            "--new-model", "medium", "--labels", 10, "--curve", "0.5,1", "--robustness",
            "--html", tmp_path / "a.html", "--json", tmp_path / "a.json",
        )  # fmt: skip
        assert found.exit_code == 0, found.output
        for words in ("Tasks (", "Each task left out", "New models", "by training size", "after rewording"):
            assert words in found.stdout
        details = json.loads((tmp_path / "a.json").read_text())["details"]
        assert details["new_models"]["n_labels"] == 10
        assert len(details["learning_curve"]["strongest"]) == 2

    def test_tasks_can_be_hidden(self, data: Path) -> None:
        found = run("evaluate", "--data", data, "--routers", "strongest", "--no-tasks")
        assert "Tasks (" not in found.stdout

    def test_another_column_to_leave_out(self, data: Path) -> None:
        found = run("evaluate", "--data", data, "--routers", "strongest", "--leave-out", "query_id")
        assert isinstance(found.exception, DataError)  # every group is a single query
        assert "nothing to leave out" in str(found.exception)
        wrong = run("evaluate", "--data", data, "--routers", "strongest", "--leave-out", "absent")
        assert isinstance(wrong.exception, DataError)

    def test_misuse(self, data: Path) -> None:
        assert run("evaluate", "--data", data, "--curve", "a,b").exit_code == 2
        assert run("evaluate", "--data", data, "--labels", "0").exit_code == 2
        wrong = run("evaluate", "--data", data, "--routers", "strongest", "--embedder", "none")
        assert isinstance(wrong.exception, UnknownName)
