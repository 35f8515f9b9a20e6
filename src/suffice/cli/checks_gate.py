"""What `suffice doctor` looks at where things are looked up."""

from __future__ import annotations

from collections.abc import Iterator

from suffice import build, embedders
from suffice.cli.checks import Finding
from suffice.config import Config, GateConfig, PipelineConfig
from suffice.errors import StoreError, SufficeError
from suffice.plans.lookups import NO_RETRIEVAL


def check_gates(config: Config) -> Iterator[Finding]:
    """Every gate can be made, with its corpus and plans; nothing is said where there is none."""
    for pipeline, section in (("auto", PipelineConfig()), *config.pipelines.items()):
        gate = section.gate or config.gate
        if gate is not None:
            yield _gate(pipeline, section, gate, config)


def _gate(pipeline: str, section: PipelineConfig, gate: GateConfig, config: Config) -> Finding:
    name = f"gate {pipeline}"
    candidates = build.panel(config)
    try:
        embedder = embedders.create(config.embedder, **config.embedder_params)
        plan = build.make_plan(section, pipeline, config, embedder, candidates)
        made = build.make_gate(section, pipeline, config, embedder, candidates, plan)
        n_documents = _documents(gate, config)
    except SufficeError as error:
        return Finding(name=name, status="fail", detail=str(error), remedy="see docs/gates.md")
    assert made is not None
    plans = ", ".join(f"{arm} by {one.name}" for arm, one in made.plans.items() if arm != NO_RETRIEVAL)
    detail = f"{made.rule.name}: {plans}; {n_documents:,} documents in {gate.corpus}"
    if not n_documents:
        remedy = f"suffice corpus add PATHS --corpus {gate.corpus}"
        return Finding(name=name, status="warn", detail=detail, remedy=remedy)
    mute = [one.name for one in candidates if not one.allows("logprobs")]
    if made.rule.signals and mute:
        detail += f"; no log-probabilities of {', '.join(mute)}, whose answers are all looked up"
        return Finding(name=name, status="warn", detail=detail, remedy="avoid them in `rules:`")
    return Finding(name=name, status="ok", detail=detail)


def _documents(gate: GateConfig, config: Config) -> int:
    """How many the gate's corpus has; raises StoreError where it is damaged."""
    from suffice.retrieval import Corpus

    file = config.path(gate.corpus)
    if not file.is_file():
        raise StoreError(f"no corpus at {file}")
    corpus = Corpus(file)
    try:
        return len(corpus.documents())
    finally:
        corpus.close()
