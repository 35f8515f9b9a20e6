"""Cost and latency models on disk: JSON into a typed struct, checked against its arms."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from suffice.errors import ArtefactError
from suffice.routers.lengths import LengthRegression

FORMAT: Final = 1


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What all such models have."""

    format: int = FORMAT
    arms: tuple[str, ...]


F = TypeVar("F", bound=Fit)


def write_fit(path: Path, fit: Fit) -> None:
    """Write it; the directory is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(fit), indent=2) + b"\n")


def read_fit(path: Path, kind: type[F]) -> F:
    """The fit in a file.

    Raises
    ------
    ArtefactError
        If there is none, or it is damaged or of another version.
    """
    try:
        fit = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} cannot be read ({error}); train the router again") from error
    if fit.format != FORMAT:
        raise ArtefactError(
            f"{path} is of format {fit.format}, this version reads {FORMAT}; train the router again"
        )
    for name in fit.__struct_fields__:
        part = getattr(fit, name)
        if isinstance(part, LengthRegression) and not part.fits(len(fit.arms)):
            raise ArtefactError(
                f"{path}: {name} has not 3 numbers for each of {len(fit.arms)} arms; train the router again"
            )
    return fit
