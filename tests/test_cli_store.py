"""The commands over the store, on a real SQLite file."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fakes import FakeModel
from store_parts import record
from suffice.cli import build
from suffice.cli.store import since
from suffice.engine import Request
from suffice.errors import ConfigError, NotFound, ProviderUnavailable, SufficeError
from suffice.store import open_store
from suffice.types import Query
from test_engine import make_engine


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), arguments)


def rows(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A store with two answers and one failure in the working directory; the ids, oldest first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    engine = make_engine(FakeModel("small"), FakeModel("large"), retries=0)
    broken = make_engine(FakeModel("broken", ProviderUnavailable("down")), retries=0)
    engine.store.close()
    broken.store.close()
    engine.store = broken.store = open_store("sqlite:///suffice.db")

    async def ask() -> list[str]:
        ids = [
            (await engine.answer(Request(query=Query(text="hi", user="ann"), model=model))).record_id
            for model in ("small", "auto")
        ]
        with pytest.raises(SufficeError) as caught:
            await broken.answer(Request(query=Query(text="hi")))
        await engine.store.drain()
        return [*ids, caught.value.record_id or ""]

    ids = asyncio.run(ask())
    engine.store.close()
    return ids


def test_records_are_listed_newest_first(filled: list[str]) -> None:
    assert [row["id"] for row in rows("records")] == filled[::-1]
    assert len(rows("records", "--limit", "1")) == 1
    assert rows("records", "--tenant", "another") == []
    shown = run("records").stdout
    assert all(record_id in shown for record_id in filled)
    assert "502" in shown


def test_one_record_shows_everything(filled: list[str]) -> None:
    assert run("feedback", filled[1], "0.5", "--comment", "so so").exit_code == 0
    found = rows("records", "--id", filled[1])
    assert found["record"]["decision"]["scores"] == [0.2, pytest.approx(0.3)]
    assert [word["value"] for word in found["feedback"]] == [0.5]
    shown = run("records", "--id", filled[1]).stdout
    assert "so so" in shown
    failed = run("records", "--id", filled[2]).stdout
    assert "down" in failed


def test_unknown_ids_are_said_so(filled: list[str]) -> None:
    assert isinstance(run("records", "--id", "sfc-nope").exception, NotFound)
    assert isinstance(run("feedback", "sfc-nope", "1").exception, NotFound)
    assert isinstance(run("feedback", filled[0], "7").exception, SufficeError)
    assert isinstance(run("keys", "revoke", "key_nope").exception, NotFound)


def test_feedback_finds_the_tenant_of_a_record(filled: list[str]) -> None:
    store = open_store("sqlite:///suffice.db")
    store.append(record(id="sfc-acme", tenant="acme"))
    store.close()
    assert isinstance(run("feedback", "sfc-acme", "1", "--tenant", "another").exception, NotFound)
    assert run("feedback", "sfc-acme", "1").exit_code == 0
    assert [word["tenant"] for word in rows("records", "--id", "sfc-acme")["feedback"]] == ["acme"]


def test_spend_adds_up(filled: list[str]) -> None:
    by_candidate = {row["group"]: row for row in rows("spend")}
    assert sum(row["n_requests"] for row in by_candidate.values()) == 3
    assert sum(row["n_failed"] for row in by_candidate.values()) == 1
    assert {row["group"] for row in rows("spend", "--by", "user")} >= {"ann"}
    assert "all" in run("spend").stdout
    assert run("spend", "--by", "colour").exit_code == 2


def test_tables_fit_80_columns(filled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    key = rows("keys", "create", "--tenant", "a-rather-long-tenant", "--name", "some rather long name")["key"]
    assert key["id"] in run("keys", "list").stdout
    shown = run("records").stdout
    assert all(record_id in shown for record_id in filled)
    assert "nobody" in shown and "small" in shown
    spent = run("spend")
    assert "saved" in spent.stdout and "tokens out" in spent.stdout
    assert "nobody" in spent.stdout
    assert max(map(len, (shown + spent.stdout).splitlines())) <= 80


def test_keys_live_from_making_to_revoking(filled: list[str]) -> None:
    made = rows("keys", "create", "--tenant", "acme", "--name", "first")
    assert made["secret"].startswith(made["key"]["prefix"])
    content = Path("suffice.db").read_bytes()
    assert made["secret"].encode() not in content, "only the hash is kept"
    assert [key["tenant"] for key in rows("keys", "list")] == ["acme"]
    assert made["secret"] not in run("keys", "list").output
    assert run("keys", "revoke", made["key"]["id"]).exit_code == 0
    assert rows("keys", "list")[0]["revoked_at"] is not None


def test_without_a_store_the_sentence_says_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["records"], ["spend"], ["feedback", "x", "1"], ["keys", "list"]):
        error = run(*command).exception
        assert isinstance(error, ConfigError)
        assert "suffice up" in str(error)
    assert not Path("suffice.db").exists()


def test_the_configured_store_is_read_without_its_keys(filled: list[str]) -> None:
    Path("suffice.db").rename("other.db")
    Path("suffice.yaml").write_text(
        "models: [{name: a, provider: openai, api_key: '${NOT_SET}'}]\nstore: sqlite:///other.db\n"
    )
    assert len(rows("records")) == 3


def test_one_is_no_plural() -> None:
    from suffice.cli.records import _retrieval
    from suffice.types import Retrieval

    for n, said in ((1, "single, 1 look-up, 1 passage"), (2, "single, 2 look-ups, 2 passages")):
        told = record(retrieval=Retrieval(strategy="single", n_lookups=n, n_passages=n))
        assert _retrieval(told) == said


def test_all_others_are_told_apart_from_all() -> None:
    from suffice.cli.cache import _table
    from suffice.store.cache_log import Size

    rest = Size("", "acme", "small", 1, 0, 10, 0.0)
    for sizes, said in (([rest], ["(all)"]), ([rest._replace(stage="x"), rest], ["x", "(all others)"])):
        assert list(_table(sizes).columns[0].cells) == said


def test_since() -> None:
    assert since(None, 5.0) is None
    assert since("30m", 3600.0) == 1800.0
    assert since("1970-01-02", 0.0) == 86400.0
    with pytest.raises(ConfigError, match="7d"):
        since("yesterday", 0.0)
    with pytest.raises(ConfigError, match="--before"):
        since("yesterday", 0.0, option="--before")


def test_a_corrupt_store_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "suffice.db"
    path.write_bytes(b"not a database at all" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "suffice", "records", "--store", f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("select 1 from sqlite_master")


def test_up_says_what_is_wrong_before_it_listens(tmp_path: Path) -> None:
    (tmp_path / "suffice.yaml").write_text("models:\n  - {name: a, provider: nobody}\n")
    done = subprocess.run(
        [sys.executable, "-m", "suffice", "up", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr
