"""The section `evaluate` of distill.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from suffice.distillation.flywheel.project import Count, Settings


class Evaluating(Settings, frozen=True, kw_only=True):
    """How the student is asked, and by whom it is judged besides."""

    gguf: str | None = None
    """The base in GGUF: an adapter then answers by llama.cpp, as it will be served; None: by transformers."""
    threads: Annotated[int, Meta(ge=0)] = 0
    """Of llama.cpp; 0: its default."""
    panel: str | None = None
    """A model of the panel that is the student, as a hosted one; None: the trained folder answers."""
    usd_per_cpu_hour: Annotated[float, Meta(ge=0)] = 0.05
    """What an hour of a core is taken to cost."""
    concurrency: Count = 4
    """Of calls to a model of the panel."""
    judge: str | None = None
    """A model of the panel that compares the student's answers with the teacher's, in both orders."""
    judged: Count = 200
    """At most so many pairs."""
