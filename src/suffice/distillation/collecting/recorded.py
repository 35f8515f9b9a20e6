"""Rows from a gateway's records: with consent, redacted, and with a date after which they may not be kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec

from suffice.distillation.collecting.forgetting import subject_digest
from suffice.distillation.collecting.settings import Collecting
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import Row, Sample
from suffice.errors import ConfigError
from suffice.store import SqliteStore
from suffice.types import Query, Record

DAY_S: Final = 86_400.0


def from_records(
    store: SqliteStore,
    models: Collection[str],
    *,
    now: float,
    retention_days: float,
    days: float | None = None,
    tenant: str | None = None,
    keyless: bool = False,
    forgotten: Collection[str] = (),
) -> Iterator[Row]:
    """Answered requests whose keys consented, oldest first, one row each.

    Only what one candidate answered in words is taken: an answer with tool calls or made from several is no
    example of what the teacher says to the query. What a cascade passed on to it is one, and says by whom.

    Parameters
    ----------
    models : candidates whose answers are taken
    now : Unix seconds
    retention_days : from the record on; older ones are left out, and every row says when it expires
    days : only of so many last days
    forgotten : digests of users (`subject_digest`) of whom nothing may be taken
    """
    after = now - min(retention_days, days or retention_days) * DAY_S
    for record, value in store.consents().records(tenant=tenant, after=after, keyless=keyless):
        if record.candidate not in models or (
            record.user is not None and subject_digest(record.user) in forgotten
        ):
            continue
        row = _row(record, value, record.created_at + retention_days * DAY_S)
        if row is not None:
            yield row


@contextmanager
def opened_store(project: Project, url: str | None = None) -> Iterator[SqliteStore]:
    """The records that a project reads: of a URL, or of its panel's file.

    Raises
    ------
    ConfigError
        If the store keeps no consents.
    """
    from suffice import config
    from suffice.store import open_store

    found = url or config.load(project.config_path).store
    if found.startswith("sqlite:///") and not found.startswith(("sqlite:////", "sqlite:///:")):
        found = f"sqlite:///{project.path(found.removeprefix('sqlite:///')).resolve()}"
    with closing(open_store(found)) as store:
        if not isinstance(store, SqliteStore):
            raise ConfigError("training data comes from records in SQLite only")
        yield store


def forget_records(project: Project, user: str, *, tenant: str | None = None) -> int:
    """Erase a user's words from the records that the project reads; how many records there were."""
    settings = project.settings("collect", Collecting)
    with opened_store(project, settings.store) as store:
        return store.consents().forget(user, tenant=tenant)


def _row(record: Record, feedback: float | None, expires_at: float) -> Row | None:
    answered = [attempt for attempt in record.attempts if attempt.error is None]
    is_cascade = record.decision.plan == "cascade"
    if is_cascade:
        answered = [attempt for attempt in answered if not attempt.role]  # what was read is no answer
    if (len(answered) > 1 and not is_cascade) or not record.answer or record.query is None:
        return None
    cost = answered[-1].cost_usd if is_cascade and answered else record.cost_usd
    messages = _messages(record.query)
    if not messages:
        return None
    query = Query.from_messages(messages)
    is_plain = len(messages) == 1 and isinstance(messages[0].get("content"), str)
    sample = Sample(
        text=record.answer,
        finish=record.finish_reason,
        cost_usd=cost,
        latency_s=record.latency_s,
        prompt_tokens=record.usage.prompt_tokens,
        completion_tokens=record.usage.completion_tokens,
    )
    meta: dict[str, Any] = {
        "source": "records",
        "tenant": record.tenant,
        "key": record.key_id or "",
        "created_at": record.created_at,
    }
    if len(answered) > 1:  # a student that was not sure enough: what is most worth learning
        meta["passed_on_by"] = [attempt.candidate for attempt in answered[:-1]]
    return Row(
        id=record.id,
        query=query.text,
        messages=() if is_plain else tuple(messages),
        subject=record.user,
        expires_at=expires_at,
        teacher=record.candidate or "",
        samples=(sample,),
        meta=meta if feedback is None else meta | {"feedback": feedback},
    )


def _messages(text: str) -> list[dict[str, object]]:
    try:
        return msgspec.json.decode(text, type=list[dict[str, object]])
    except msgspec.DecodeError:
        return []
