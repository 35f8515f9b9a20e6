"""`suffice evaluate` and `suffice train` on small files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from suffice import routers
from suffice.cli import evaluate as evaluate_command
from suffice.cli import showing
from suffice.cli import train as train_command
from suffice.cli.data import json_value, write_atomically
from suffice.errors import ConfigError, DataError
from suffice.evaluation import Comparison
from suffice.outcomes import Outcomes
from suffice.reports import Grid
from suffice.types import Query

MODELS = ("small", "medium <b>", "large")


def outcomes(n: int = 80, *, costs: bool = True, start: int = 0) -> Outcomes:
    rng = np.random.default_rng(start)
    quality = (rng.random((n, 3)) < np.array([0.3, 0.6, 0.8])).astype(float)
    queries = [Query(text=f"question {start + i} about {'sums' if i % 2 else 'poems'}") for i in range(n)]
    cost = np.tile([0.0001, 0.001, 0.01], (n, 1)) if costs else None
    return Outcomes.from_arrays(queries, MODELS, quality, cost_usd=cost)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    outcomes().write(path)
    return path


def run(*arguments: object) -> Any:
    app = typer.Typer()
    evaluate_command.register(app)
    train_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class TestEvaluate:
    def test_split_table_json_and_page(self, data: Path, tmp_path: Path) -> None:
        figures, html = tmp_path / "figures.json", tmp_path / "page.html"
        found = run(
            "evaluate", "--data", data, "--routers", "random,strongest", "--json", figures, "--html", html
        )
        assert found.exit_code == 0, found.output
        for words in ("random", "strongest", "Best single", "Zero router", "Oracle", "AIQ", "value_usd"):
            assert words in found.stdout
        comparison = msgspec.json.decode(figures.read_bytes(), type=Comparison)
        assert set(comparison.routers) == {"random", "strongest"}
        assert comparison.n_train + comparison.n_test == 80
        assert html.read_text("utf-8").startswith("<!doctype html>")

    def test_train_and_test_files(self, tmp_path: Path) -> None:
        outcomes(60).write(tmp_path / "a.csv")
        outcomes(50, start=100).write(tmp_path / "b.parquet")
        found = run(
            "evaluate", "--train", tmp_path / "a.csv", "--test", tmp_path / "b.parquet",
            "--routers", "random", "--pair", "large,small", "--json", tmp_path / "c.json",
        )  # fmt: skip
        assert found.exit_code == 0, found.output
        assert "APGR" in found.stdout
        figures = json.loads((tmp_path / "c.json").read_bytes())
        assert (figures["n_train"], figures["n_test"]) == (60, 50)
        assert set(figures["routers"]["random"]["pair"]) == {"apgr", "cpt50", "cpt80"}

    def test_models_from_a_file_seeds_and_where(self, tmp_path: Path) -> None:
        path = tmp_path / "data.csv"
        rows = ["query_id,query,model,score,cost_usd,contaminated"]
        for i in range(60):
            rows += [f"{i},text {i},{m},{(i * k) % 2},{0.001 * k},{str(i < 10).lower()}" for m, k in _TWO]
        path.write_text("\n".join(rows))
        names = tmp_path / "models.txt"
        names.write_text("# the pair\nlarge\n\nsmall\n")
        found = run(
            "evaluate", "--data", path, "--models", f"@{names}", "--seeds", 2, "--routers", "random",
            "--where", "contaminated=false", "--json", tmp_path / "c.json",
        )  # fmt: skip
        assert found.exit_code == 0, found.output
        figures = json.loads((tmp_path / "c.json").read_bytes())
        assert figures["models"] == ["large", "small"]
        assert figures["n_train"] + figures["n_test"] == 50
        assert [part["seed"] for part in figures["details"]["seeds"]] == [0, 1]
        assert "2 splits" in found.stdout

    def test_prices(self, tmp_path: Path) -> None:
        base = outcomes(60, costs=False)
        tokens = np.full(base.quality.shape, 100.0)
        path, prices = tmp_path / "data.parquet", tmp_path / "prices.csv"
        Outcomes.from_arrays(
            base.queries, MODELS, base.quality, prompt_tokens=tokens, completion_tokens=tokens
        ).write(path)
        prices.write_text("model,usd_per_mtok_in,usd_per_mtok_out\nsmall,1,1\nlarge,10,20\nmedium <b>,2,2\n")
        found = run(
            "evaluate",
            "--data",
            path,
            "--routers",
            "random",
            "--prices",
            prices,
            "--json",
            tmp_path / "c.json",
        )
        assert found.exit_code == 0, found.output
        assert json.loads((tmp_path / "c.json").read_bytes())["cost_range_usd_per_1k"] == pytest.approx(
            [0.2, 3]
        )

    def test_warns_of_leaks(self, data: Path) -> None:
        found = run("evaluate", "--train", data, "--test", data, "--routers", "random")
        assert "80 test queries stand in the training data too" in found.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--train", "a.csv"],
            ["--data", "a.csv", "--test", "b.csv"],
            [],
            ["--data", "a.csv", "--split", "1.5"],
            ["--data", "a.csv", "--seeds", "0"],
        ],
    )
    def test_misuse_ends_with_2(self, arguments: list[str]) -> None:
        assert run("evaluate", *arguments).exit_code == 2

    def test_misused_options(self, data: Path) -> None:
        for extra in (["--pair", "large"], ["--models", "@nowhere.txt"], ["--where", "x"]):
            assert run("evaluate", "--data", data, *extra).exit_code == 2

    def test_errors_are_ours(self, data: Path) -> None:
        assert isinstance(run("evaluate", "--data", "nowhere.csv").exception, DataError)
        assert isinstance(run("evaluate", "--data", data, "--models", "huge").exception, DataError)
        assert "is a directory" in str(run("evaluate", "--data", data.parent).exception)

    def test_one_model_leaves_nothing_to_route(self, data: Path, tmp_path: Path) -> None:
        judged = run("evaluate", "--data", data, "--models", "small", "--routers", "random")
        trained = run("train", "random", "--data", data, "--models", "small", "--out", tmp_path / "r")
        for found in (judged, trained):
            assert found.exit_code == 0, found.exception
            assert found.stderr.count("one model leaves nothing to route") == 1

    def test_options_are_named_as_flags(self, tmp_path: Path) -> None:
        path = tmp_path / "twice.csv"
        path.write_text("query_id,query,model,score\n1,a,m,1\n1,a,m,0\n")
        assert "`--aggregate mean`" in str(run("evaluate", "--data", path).exception)
        path.write_text("query_id,query,model,score\n1,a,m,1\n")
        said = "too few: 1 query cannot be split into 2 parts; give more data"
        assert said in str(run("evaluate", "--data", path).exception)

    @pytest.mark.parametrize("option", ["--json", "--html"])
    def test_no_directory_is_made(self, data: Path, tmp_path: Path, option: str) -> None:
        found = run("evaluate", "--data", data, option, tmp_path / "none" / "f")
        assert isinstance(found.exception, ConfigError)
        assert "does not exist" in str(found.exception)
        assert not (tmp_path / "none").exists()

    def test_nothing_is_left_of_a_broken_write(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("before")
        with pytest.raises(UnicodeEncodeError):
            write_atomically(tmp_path / "a.json", "\ud800")
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
        assert (tmp_path / "a.json").read_text() == "before"


_TWO = (("large", 1), ("small", 2))


class TestTrain:
    def test_trains_saves_and_loads(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "router"
        found = run("train", "knn", "--data", data, "--set", "k=7", "--out", out)
        assert found.exit_code == 0, found.output
        assert "80 queries, 3 arms" in found.stdout
        assert "AIQ" in found.stdout
        router = routers.load(out)
        assert router.arms == MODELS
        assert router.k == 7  # type: ignore[attr-defined]
        assert routers.read_manifest(out).trained_at is not None
        queries = [Query(text="question about sums")]
        assert routers.load_cost_model(out).costs(queries) == pytest.approx(np.array([[0.0001, 0.001, 0.01]]))
        assert np.isnan(routers.load_latency_model(out).latencies(queries)).all()

    def test_json_alone(self, data: Path, tmp_path: Path) -> None:
        found = run(
            "train", "random", "--data", data, "--models", "small,large", "--out", tmp_path / "r", "--json"
        )
        facts = json.loads(found.stdout)
        assert facts["arms"] == ["small", "large"]
        assert facts["cross_validation"]["apgr"] is not None

    def test_writes_over_a_router_and_nothing_else(self, data: Path, tmp_path: Path) -> None:
        out = tmp_path / "router"
        assert run("train", "random", "--data", data, "--out", out).exit_code == 0
        assert run("train", "fixed", "--data", data, "--out", out).exit_code == 0
        assert routers.read_manifest(out).router == "fixed"
        other = tmp_path / "photos"
        other.mkdir()
        (other / "cat.png").write_bytes(b"")
        assert isinstance(run("train", "fixed", "--data", data, "--out", other).exception, ConfigError)
        assert isinstance(run("train", "fixed", "--data", data, "--out", data).exception, ConfigError)

    def test_unknown_router_is_told_before_the_reading(self, tmp_path: Path) -> None:
        found = run("train", "kn", "--data", tmp_path / "none.csv", "--out", tmp_path / "x")
        assert str(found.exception).startswith("no router is called 'kn'; known: ")

    def test_unknown_parameter(self, data: Path, tmp_path: Path) -> None:
        found = run("train", "fixed", "--data", data, "--set", "colour=red", "--out", tmp_path / "r")
        assert isinstance(found.exception, ConfigError)
        assert not (tmp_path / "r").exists()

    def test_values_are_json_or_text(self) -> None:
        assert [json_value(text) for text in ("7", "true", "[1, 2]", "words")] == [7, True, [1, 2], "words"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("kk=3", "router 'knn': unknown parameter 'kk'; known: k, pull, "),
        ("embedder=foo", "router 'knn': unknown parameter 'embedder'; known: k, "),
        ("name=foo", "router 'knn': unknown parameter 'name'; known: k, "),
        ("k=abc", "router 'knn': k is 'abc', expected int | None; known: k, "),
        ("k=1.5", "router 'knn': k is 1.5, expected int | None; known: k, "),
        ("k=true", "router 'knn': k is True, expected int | None; known: k, "),
    ],
)
def test_a_wrong_parameter_is_one_sentence(data: Path, tmp_path: Path, setting: str, said: str) -> None:
    found = run("train", "knn", "--data", data, "--out", tmp_path / "r", "--set", setting)
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception).startswith(said)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_wide_tables_are_split_and_nothing_is_cut(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = ("router", *(f"figure {n}" for n in range(14)))
    row = ("by_length.py:ByLength", *(f"{n}.12345" for n in range(14)))
    monkeypatch.setattr(showing, "console", Console(width=width, force_terminal=True, color_system=None))
    showing.print_grid(Grid(title="Figures", head=head, rows=(row,)))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert all(printed.count(f" {cell}") == 1 for cell in row[1:])
    assert max(map(len, printed.splitlines())) <= width


def test_places_that_cannot_be_written_are_told_before_the_work(data: Path, tmp_path: Path) -> None:
    for place, said in ((tmp_path, "is a directory"), (tmp_path / "no" / "x.json", "does not exist")):
        found = run("evaluate", "--data", data, "--routers", "random", "--json", place)
        assert said in str(found.exception)
        assert not found.output


def test_preferences_are_told_from_outcomes(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("query_id,query,model_a,model_b,pref_b\n1,hi,a,b,0.5\n")
    found = run("train", "elo", "--data", pairs, "--out", tmp_path / "r")
    assert "--preferences FILE" in str(found.exception)
