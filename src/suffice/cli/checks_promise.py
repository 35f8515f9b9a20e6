"""What `suffice doctor` looks at where answers come with a confidence, or routing with a promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suffice import build, embedders
from suffice.cli.checks import Finding
from suffice.config import Config, PipelineConfig
from suffice.errors import SufficeError
from suffice.types import Candidate


def check_guarantee(
    pipeline: str, section: PipelineConfig, config: Config, candidates: Sequence[Candidate]
) -> Iterator[Finding]:
    """The certificate belongs to the router, still holds, and is watched."""
    name = f"policy {pipeline}"
    policy, chosen = section.policy or config.policy, section.router or config.router
    try:
        embedder = embedders.create(config.embedder, **config.embedder_params)
        trained = build.trained_for(chosen, config, candidates, embedder)
        sticky = section.sticky or config.sticky
        shadow = build.make_guarantee(policy, pipeline, config, trained, sticky=sticky)
    except SufficeError as error:
        remedy = "suffice guarantee --router DIR --out certificate.json"
        yield Finding(name=name, status="fail", detail=str(error), remedy=remedy)
        return
    kept, monitor = shadow.policy, shadow.watch.monitor
    if kept.certificate.threshold is None:
        detail, remedy = kept.certificate.advice, "suffice guarantee on more rows"
    elif kept.withdrawn is not None:
        detail, remedy = f"withdrawn: {kept.withdrawn}", "certify anew, on rows of today's traffic"
    else:
        detail = f"{kept.weak} from score {kept.certificate.threshold:g}, else {kept.strong}: {kept.promise}"
        remedy = "" if shadow.rate else "nothing would notice if it failed: set shadow: 0.02"
        if monitor.n:
            detail += f"; drop {monitor.mean_drop:.3f} over {monitor.n:,} shadowed queries"
    yield Finding(name=name, status="warn" if remedy else "ok", detail=detail, remedy=remedy)


def check_confidence(config: Config, candidates: Sequence[Candidate]) -> Iterator[Finding]:
    """The signal is one, the calibrator loads; which candidates cannot be read."""
    if config.confidence is None:
        return
    try:
        found = build.make_confidence(config.confidence, config)
    except SufficeError as error:
        yield Finding(
            name="confidence", status="fail", detail=str(error), remedy="suffice calibrate --out FILE.json"
        )
        return
    about = found.about
    if config.confidence.calibrator is None:
        detail, remedy = f"{found.signal}, uncalibrated", "suffice calibrate --out FILE.json"
    else:
        rows = f", fitted to {about.n:,} answers on {about.date[:10]}" if about.n else ""
        detail, remedy = f"{found.signal}, {config.confidence.calibrator}{rows}", ""
    mute = [one.name for one in candidates if one.provider == "anthropic" or not one.allows("logprobs")]
    if mute:
        detail += f"; none of {', '.join(mute)}"
    yield Finding(name="confidence", status="warn" if remedy else "ok", detail=detail, remedy=remedy)
