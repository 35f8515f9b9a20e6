"""The section `collect` of distill.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from suffice.distillation.flywheel.project import Count, Settings


class Collecting(Settings, frozen=True, kw_only=True):
    """Where training records come from."""

    source: Literal["ask", "records", "outcomes"] = "ask"
    file: str | None = None
    """Of `ask`: query_id, query and, where known, task, split, reference, user; of `outcomes`: the long
    format with responses."""
    limit: Count | None = None
    """At most so many queries, drawn by seed."""
    redact: bool | None = None
    """Take out what looks like personal data before anything is written; None: of records, not of files."""

    # of `ask`
    samples: Count = 1
    max_tokens: Count = 1024
    logprobs: Annotated[int, Meta(ge=0, le=20)] = 0
    """So many likeliest tokens are kept for each place; 0: none are asked for."""
    keep_reasoning: bool = True
    """Keep what a teacher thinks aloud (<think>) beside its answer; else it is dropped."""
    concurrency: Count = 8
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    retries: Annotated[int, Meta(ge=0)] = 3
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further fields of the requests, such as temperature; null takes one out."""
    shards: Count = 1
    """Parts that an executor may run on different machines; each has a journal of its own."""

    # of `records`
    store: str | None = None
    """Its URL; None: that of the panel's file."""
    tenant: str | None = None
    days: Annotated[float, Meta(gt=0)] | None = None
    """Only records of so many last days."""
    models: tuple[str, ...] = ()
    """Whose answers are taken; none: the teacher's."""
    keyless: bool = False
    """Records of callers without a key too: they are yours alone."""
    retention_days: Annotated[float, Meta(gt=0)] = 90.0
    """From the record on; after that a row is not collected again, and the next run goes without it."""

    # of `outcomes`
    may_train_on_output: bool | None = None
    """The teacher's terms, where it is not in the panel."""
