"""The section `baseline` of distill.yaml."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from suffice.distillation.flywheel.project import Count, Settings


class Baselines(Settings, frozen=True, kw_only=True):
    """Which rungs are tried."""

    heads: tuple[str, ...] = ("words", "vectors")
    """Of classes and extraction: "words" (TF-IDF and a linear head), "vectors" (an embedder's)."""
    embedder: str = "hashed"
    """Of "vectors": hashed, minilm (the extra [embed]), or openai."""
    embedder_params: dict[str, Any] = msgspec.field(default_factory=dict)
    usd_per_cpu_hour: Annotated[float, Meta(ge=0)] = 0.05
    """What an hour of a core is taken to cost: heads are not free either."""
    model: str | None = None
    """Of the panel, such as the student's untuned base: asked without and with examples. None: neither."""
    k: Count = 4
    """Examples: the training rows nearest to the query, with the teacher's answers."""
    prompts: dict[str, str] = msgspec.field(default_factory=dict)
    """Other instructions for the same model, by a name of their own."""
    max_tokens: Count = 256
    concurrency: Count = 4
    stop_if_enough: bool = True
    """Where a rung cheaper than the teacher is surely within the margin of it on the validation rows, `run`
    stops: nothing needs to be tuned."""
