"""The section `curate` of distill.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from suffice.distillation.flywheel.project import Count, Settings, Share


class Curating(Settings, frozen=True, kw_only=True):
    """What becomes of the rows."""

    labels: Literal["teacher", "gold"] = "teacher"
    """Whose word is learnt; gold: the reference, where there is one."""

    # duplicates
    normalised: bool = True
    """Queries that differ in digits, punctuation and symbols alone, and have the same label, are one."""
    near: Share = 0.8
    """Queries with this Jaccard similarity (of 8-byte n-grams) are one; the best is kept."""
    embedding: Share = 0.97
    """Likewise by cosine; 1: not looked at."""
    group: Share = 0.6
    """Queries this similar stay in one part."""
    embedder: str = "hashed"
    embedder_params: dict[str, Any] = msgspec.field(default_factory=dict)

    # parts
    validation: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    test: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Of clusters; rows that came with a part keep it."""
    leak_limit: Share = 0.01
    """A share of test rows that training may have seen; above it the stage fails."""
    on_leak: Literal["fail", "drop", "report"] = "fail"
    """drop: the training rows go that test rows were seen in; report: they stay. Test rows are marked."""

    # quality, of training rows alone
    min_score: Share = 0.5
    unjudged: Literal["keep", "drop"] = "keep"
    min_chars: Annotated[int, Meta(ge=0)] = 1
    max_chars: Count = 50_000
    """Of the query."""
    languages: tuple[str, ...] = ()
    """Only these (en, de, ru, zh, ...); texts too short to tell are kept. None: all."""
    ifd_model: str | None = None
    """A folder with a causal model (transformers) that measures how much a query helps its answer."""
    ifd_share: Share = 1.0
    """Of rows with an IFD below 1, the most instructive ones."""

    # choice, of training rows alone
    budget: Count | None = None
    """At most so many; None: all."""
    diversity: Literal["k_center", "clusters", "random"] = "k_center"
    balance: bool = False
    """Shares of labels in the budget as even as the rows allow; else as they are."""
