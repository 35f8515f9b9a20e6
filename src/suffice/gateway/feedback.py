"""POST /v1/feedback: a word on an earlier answer, confirmed once it is on disk."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from suffice.errors import InvalidRequest, NotFound
from suffice.gateway.call import Call
from suffice.gateway.decode import read_object
from suffice.types import DEEDS, Feedback

if TYPE_CHECKING:
    from suffice.gateway.app import Gateway

_MAX_BYTES: Final = 65_536
_MAX_COMMENT: Final = 10_000
_SETTLE_S: Final = 0.2
"""A record may still be on its way to disk in another worker: it is looked for once more after this."""


async def give(gateway: Gateway, call: Call) -> None:
    """`{"id": RECORD, "value": 0..1, "name"?: .., "comment"?: ..}`."""
    feedback = read_feedback(await call.body(_MAX_BYTES), call.caller.tenant, time.time())
    is_first = await _is_first_score(gateway, feedback)
    try:
        await gateway.engine.add_feedback(feedback)
    except NotFound:
        await asyncio.sleep(_SETTLE_S)
        await gateway.engine.add_feedback(feedback)
    if is_first:
        record = await asyncio.to_thread(gateway.engine.store.record, feedback.record_id, feedback.tenant)
        if record is not None and record.confidence is not None:
            gateway.metrics.heard(record.confidence, feedback.value)
        if record is not None:
            gateway.metrics.judged(record, feedback.value)
    await call.json(
        {"object": "feedback", "id": feedback.record_id, "name": feedback.name, "value": feedback.value}
    )


async def _is_first_score(gateway: Gateway, feedback: Feedback) -> bool:
    """Whether this tells for the first time how right a confidence and a score were."""
    if feedback.name != "score":
        return False
    known = await asyncio.to_thread(gateway.engine.store.feedback, feedback.record_id, feedback.tenant)
    return all(one.name != "score" for one in known)


def read_feedback(body: bytes, tenant: str, now: float) -> Feedback:
    """
    Raises
    ------
    InvalidRequest
        With the field at fault as `param`.
    """
    fields = read_object(body)
    for name in fields:
        if name not in {"id", "value", "name", "comment"}:
            raise InvalidRequest(
                f"feedback has no field {name[:80]!r}; it has id, value, name, comment", param=name
            )
    value, called = fields.get("value"), fields.get("name")
    is_answer = isinstance(value, bool) and called not in (
        "thumb",
        *DEEDS,
    )  # there true and false are 1 and 0
    if not isinstance(value, int | float) or is_answer:
        raise InvalidRequest("`value` must be a number, in [0, 1] for a score", param="value")
    return Feedback(
        record_id=_text(fields, "id", 200),
        tenant=tenant,
        created_at=now,
        name=_text(fields, "name", 100) if called is not None else "score",
        value=float(value),
        comment=_text(fields, "comment", _MAX_COMMENT) if fields.get("comment") is not None else None,
    )


def _text(fields: dict[str, Any], name: str, limit: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise InvalidRequest(f"`{name}` must be text of 1 to {limit} characters", param=name)
    return value
