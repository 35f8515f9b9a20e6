"""The questions that are put to the tables; every value is bound, every query can be held to one tenant."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any, Final

from suffice.protocols import Spend
from suffice.store.base import Amount, decode, usd_text
from suffice.types import ApiKey, Feedback, Record

_GROUP: Final = {
    "candidate": "candidate",
    "tenant": "tenant",
    "key_id": "key_id",
    "user": "user_id",
    "day": "date(created_at, 'unixepoch')",
}
_KEY: Final = "id, tenant, prefix, created_at, is_admin, keep_content, revoked_at, name"


def one_record(connection: sqlite3.Connection, record_id: str, tenant: str | None) -> Record | None:
    found = connection.execute(
        "SELECT payload FROM records WHERE id = ? AND (? IS NULL OR tenant = ?)", (record_id, tenant, tenant)
    ).fetchone()
    return None if found is None else decode(found[0])


def newest_records(
    connection: sqlite3.Connection, tenant: str | None, since: float | None, limit: int
) -> list[Record]:
    found = connection.execute(
        "SELECT payload FROM records WHERE created_at >= ? AND (? IS NULL OR tenant = ?) "
        "ORDER BY created_at DESC, seq DESC LIMIT ?",
        (_start(since), tenant, tenant, max(limit, 0)),
    )
    return [decode(payload) for (payload,) in found]


def latest_feedback(connection: sqlite3.Connection, record_id: str, tenant: str | None) -> list[Feedback]:
    found = connection.execute(
        "SELECT record_id, tenant, created_at, name, value, comment FROM feedback "
        "WHERE seq IN (SELECT max(seq) FROM feedback WHERE record_id = ? GROUP BY name) "
        "AND (? IS NULL OR tenant = ?) ORDER BY seq",
        (record_id, tenant, tenant),
    )
    return [
        Feedback(record_id=record, tenant=of, created_at=at, name=name, value=value, comment=comment)
        for record, of, at, name, value, comment in found
    ]


def spend_by(connection: sqlite3.Connection, by: str, tenant: str | None, since: float | None) -> list[Spend]:
    """Dearest group first; days in their order. What nobody answered is not unpriced.

    Whole micro-dollars and the rest are summed apart: a sum of 64-bit pico-dollars would overflow at 9.2
    million USD.
    """
    group = _GROUP[by]
    found = connection.execute(
        f"SELECT {group}, count(*), sum(status >= 400), "
        "sum(cost_pico IS NULL AND coalesce(candidate, '') != ''), "
        f"{_sum('cost_pico')}, {_sum('baseline_pico')}, "
        f"{_sum('cost_pico', 'baseline_pico')}, {_sum('baseline_pico', 'cost_pico')}, "
        "coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) "
        "FROM records WHERE created_at >= ? AND (? IS NULL OR tenant = ?) GROUP BY 1 ORDER BY 1",
        (_start(since), tenant, tenant),
    )
    spends = [_spend(row) for row in found]
    if by != "day":
        spends.sort(key=lambda spend: Decimal(spend.cost_usd), reverse=True)
    return spends


def _sum(column: str, known: str | None = None) -> str:
    """Two columns: whole micro-dollars and the pico-dollars left, where `known` is known too."""
    value = column if known is None else f"CASE WHEN {known} IS NULL THEN NULL ELSE {column} END"
    return f"coalesce(sum(({value}) / 1000000), 0), coalesce(sum(({value}) % 1000000), 0)"


def _spend(row: tuple[Any, ...]) -> Spend:
    group, n_requests, n_failed, n_unpriced, *parts = row
    cost, baseline, both_cost, both_baseline = (
        micro * 1_000_000 + rest for micro, rest in zip(parts[0:8:2], parts[1:8:2], strict=True)
    )
    return Spend(
        group=group,
        n_requests=n_requests,
        n_failed=n_failed,
        n_unpriced=n_unpriced,
        cost_usd=usd_text(cost),
        baseline_usd=usd_text(baseline),
        saving_usd=usd_text(both_baseline - both_cost),
        prompt_tokens=parts[8],
        completion_tokens=parts[9],
    )


def key_of_digest(connection: sqlite3.Connection, digest: bytes) -> ApiKey | None:
    found = connection.execute(
        f"SELECT {_KEY} FROM keys WHERE digest = ? AND revoked_at IS NULL", (digest,)
    ).fetchone()
    return None if found is None else _key(found)


def all_keys(connection: sqlite3.Connection) -> list[ApiKey]:
    return [_key(row) for row in connection.execute(f"SELECT {_KEY} FROM keys ORDER BY created_at, id")]


def all_losses(connection: sqlite3.Connection) -> dict[str, Amount]:
    """Records that were lost, and their cost, by reason."""
    found = connection.execute(
        "SELECT reason, sum(n_records), sum(cost_pico / 1000000), sum(cost_pico % 1000000) "
        "FROM losses GROUP BY reason ORDER BY reason"
    )
    return {reason: Amount(n, micro * 1_000_000 + rest) for reason, n, micro, rest in found}


def _key(row: tuple[Any, ...]) -> ApiKey:
    key_id, tenant, prefix, created_at, is_admin, keep_content, revoked_at, name = row
    return ApiKey(
        id=key_id,
        tenant=tenant,
        prefix=prefix,
        created_at=created_at,
        is_admin=bool(is_admin),
        keep_content=bool(keep_content),
        revoked_at=revoked_at,
        name=name,
    )


def _start(since: float | None) -> float:
    return float("-inf") if since is None else since
