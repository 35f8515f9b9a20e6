"""From `policy: {name: guarantee, ...}` to the policy and its shadow sampling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from suffice.calibration.guarantee import Certificate
from suffice.errors import ConfigError
from suffice.plans.shadow.base import Grader, registry
from suffice.plans.shadow.sampler import Shadow
from suffice.plans.shadow.watch import WATCHED, Watch
from suffice.policies.guarantee import Guarantee


class GuaranteeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands beside the policy's name."""

    certificate: str
    """The file that `suffice guarantee --out` wrote."""
    shadow: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the queries that the strong model answers too, to see whether the promise still holds."""
    grader: str = "agreement"
    """agreement, judge, or `path/to/file.py:ClassName`."""
    judge: str | None = None
    """The candidate that rates answers."""
    monitor: str | None = None
    """Where what was found is kept; by default beside the certificate."""
    most_open: Annotated[int, Meta(ge=1)] = 32
    """Shadowed requests under way at once."""
    seed: int | None = None
    """Of the coin."""


def configured(
    params: Mapping[str, Any],
    path: Callable[[str], Path],
    *,
    router: str,
    arms: Collection[str],
    panel: Collection[str],
) -> Shadow:
    """The policy, kept to what its monitor found so far, and its sampling.

    Parameters
    ----------
    path : of a file that the configuration names
    router : name and hash of the pipeline's
    arms : what the router scores
    panel : names of the candidates

    Raises
    ------
    ConfigError
        If a parameter is wrong, or the certificate is about another router or panel, or cannot be watched.
    ArtefactError
        If certificate or monitor are damaged.
    """
    try:
        settings = msgspec.convert(dict(params), GuaranteeSettings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"guarantee: {error}") from None
    file = path(settings.certificate)
    certificate = _certificate(file)
    policy = Guarantee(certificate=certificate)
    if certificate.router != router:
        raise ConfigError(
            f"{file} is about the router {certificate.router!r}, this one is {router!r}: a promise holds for "
            "the router that it was certified for; run `suffice guarantee --router` with this one"
        )
    for name in (policy.strong, policy.weak):
        if name not in arms or name not in panel:
            raise ConfigError(f"{file} is about {name!r}, which is not among {', '.join(panel)}")
    if settings.judge is not None and settings.judge not in panel:
        raise ConfigError(f"the judge {settings.judge!r} is not among {', '.join(panel)}")
    if settings.shadow and certificate.promise not in WATCHED:
        raise ConfigError(
            f"shadow sampling watches {' and '.join(WATCHED)}, not {certificate.promise}: set shadow: 0"
        )
    kept = file.with_suffix(".monitor.json") if settings.monitor is None else path(settings.monitor)
    return Shadow(
        policy,
        Watch(kept, certificate),
        rate=settings.shadow,
        grader=_grader(settings) if settings.shadow else None,
        most_open=settings.most_open,
        seed=settings.seed,
    )


def _certificate(file: Path) -> Certificate:
    try:
        return Certificate.from_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"no certificate at {file} ({error.strerror}); `suffice guarantee --out` writes one"
        ) from None


def _grader(settings: GuaranteeSettings) -> Grader:
    params = {} if settings.judge is None else {"judge": settings.judge}
    found: Grader = registry.create(settings.grader, params)
    return found
