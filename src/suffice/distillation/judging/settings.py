"""The section `judge` of distill.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from suffice.distillation.flywheel.project import Count, Settings, Share


class Judging(Settings, frozen=True, kw_only=True):
    """How answers are judged."""

    model: str | None = None
    """A model of the panel; None: verifiers and agreement alone."""
    mode: Literal["rate", "pair"] = "rate"
    """rate: each answer by itself, twice; pair: two different answers of the teacher, in both orders."""
    pattern: str | None = None
    """A regular expression that every answer must match as a whole."""
    pass_at: Share = 0.5
    """A rating from here on is a yes."""
    gold: Annotated[int, Meta(ge=0)] = 200
    """So many rows with a reference measure the judge."""
    decoys: Annotated[int, Meta(ge=0)] = 20
    """So many answers of other rows are slipped in: a judge that says yes to them tells nothing."""
    force: bool = False
    """Go on with a judge that was found useless."""
    max_tokens: Count = 512
    temperature: Annotated[float, Meta(ge=0)] = 0.7
    """Of the two samples of a rating."""
    concurrency: Count = 8
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    retries: Annotated[int, Meta(ge=0)] = 3
    shards: Count = 1
