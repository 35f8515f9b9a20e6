"""Consent to train on records, and the right to be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suffice.errors import NotFound
from suffice.store import SqliteStore, new_key
from suffice.types import Decision, Feedback, Record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "s.db")
    yield made
    made.close()


def record(name: str, key: str | None, at: float, **fields: Any) -> Record:
    known: dict[str, Any] = {"query": f"[{name}]", "answer": "yes", "user": "anna", "tenant": "acme"}
    return Record(
        id=name, created_at=at, key_id=key, decision=Decision(plan="x", candidate="x", ranking=()),
        candidate="large", **known | fields,
    )  # fmt: skip


def fill(store: SqliteStore, *records: Record) -> None:
    for one in records:
        store.append(one)
    asyncio.run(store.drain())


def names(store: SqliteStore, **kwargs: Any) -> list[str]:
    return [one.id for one, _ in store.consents().records(**kwargs)]


def test_consent_is_per_key_and_for_later_records(store: SqliteStore) -> None:
    for name in ("one", "two"):
        _, key, digest = new_key("acme", name=name, keep_content=True, now=1.0)
        store.add_key(key, digest)
    one, two = (key.id for key in store.keys())
    fill(
        store,
        record("early", one, 5.0), record("later", one, 20.0), record("other", two, 20.0),
        record("keyless", None, 20.0), record("bare", one, 20.0, query=None),
        record("failed", one, 20.0, status=500), record("elsewhere", one, 21.0, tenant="b"),
    )  # fmt: skip
    assert names(store) == []
    store.consents().allow(one, 10.0)
    store.consents().allow(one, 2.0)  # an earlier consent is not made wider
    assert store.consents().since() == {one: 10.0}
    assert names(store) == ["later", "elsewhere"]
    assert names(store, tenant="acme") == ["later"]
    assert names(store, after=20.5) == ["elsewhere"]
    assert names(store, keyless=True) == ["later", "keyless", "elsewhere"]
    assert store.consents().withdraw(one) and not store.consents().withdraw(one)
    assert names(store) == []
    with pytest.raises(NotFound, match="no key"):
        store.consents().allow("key_none", 1.0)


def test_feedback_comes_along(store: SqliteStore) -> None:
    fill(store, record("a", None, 1.0), record("b", None, 2.0))
    for value in (0.2, 0.9):
        asyncio.run(store.add_feedback(Feedback(record_id="a", tenant="acme", created_at=3.0, value=value)))
    assert [value for _, value in store.consents().records(keyless=True)] == [0.9, None]


def test_many_pages(store: SqliteStore, monkeypatch: Any) -> None:
    monkeypatch.setattr("suffice.store.consents._PAGE", 3)
    fill(store, *(record(f"r{n}", None, float(n)) for n in range(10)))
    assert names(store, keyless=True) == [f"r{n}" for n in range(10)]


def test_a_user_is_forgotten(store: SqliteStore, tmp_path: Path) -> None:
    fill(store, record("a", None, 1.0, query="secret words"), record("b", None, 2.0, user="bert"))
    asyncio.run(
        store.add_feedback(
            Feedback(record_id="a", tenant="acme", created_at=3.0, value=1.0, comment="private")
        )
    )
    assert store.consents().forget("anna", tenant="other") == 0
    assert store.consents().forget("anna") == 1
    gone = store.record("a")
    assert gone is not None and (gone.query, gone.answer, gone.user) == (None, None, None)
    assert gone.candidate == "large"
    assert store.feedback("a")[0].comment is None and store.feedback("a")[0].value == 1.0
    assert [one.group for one in store.spend(by="user")] == ["", "bert"]
    assert names(store, keyless=True) == ["b"]
    store.close()
    assert b"secret words" not in (tmp_path / "s.db").read_bytes()
