"""The paper that a promise is written on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from suffice.errors import ArtefactError

FORMAT: Final = 1
_MAY_BE_MISSING: Final = {"strong", "weak", "score", "router"}
"""What only the caller knows, and only the policy that keeps the promise asks for."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What was promised, on what grounds, and what came of it."""

    certified: bool
    promise: str
    epsilon: float
    delta: float
    """The promise is wrong with at most this probability, over the draw of the calibration rows."""
    method: str
    threshold: float | None
    """The cheap model where the score reaches it; None: never."""
    weak_share: float
    """Of the calibration rows, that the cheap model answers."""
    bound: float | None
    """Upper bound of what epsilon limits, at this threshold taken alone; None where nothing is certified."""
    n: int
    rows_needed: int | None
    """About how many rows the safest threshold needs, where it failed; None: it passed, or more rows would
    not help."""
    grid: tuple[float, ...]
    """Safest first."""
    p_values: tuple[float, ...]
    """By threshold."""
    seed: int | None
    """Of the order in which the rows were bet on; None: as they came."""
    date: str | None
    data_sha256: str
    strong: str | None = None
    """The model that the promise is measured by, by name."""
    weak: str | None = None
    score: str | None = None
    """What the threshold cuts: "gain" is `gain_score` of the router's two scores, else a column's name."""
    router: str | None = None
    """Name and hash of the router that the scores came from."""

    @property
    def advice(self) -> str:
        """In one sentence."""
        if self.certified:
            return (
                f"cheap model from score {self.threshold:g}: {self.promise} at most {self.epsilon:g} with "
                f"{1 - self.delta:.0%} confidence, {self.weak_share:.0%} of calls"
            )
        if self.rows_needed is None:
            return "not certified, send all to the strong model; by these rows, more of them would not help"
        return f"not certified, send all to the strong model; you need about {self.rows_needed:,} rows"

    def to_json(self) -> str:
        """Everything `from_json` needs."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A certificate as `to_json` left it.

        Raises
        ------
        ArtefactError
            If it is damaged, of another version, or says what cannot be.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArtefactError(f"not a certificate ({error}): run `suffice guarantee` again") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ArtefactError(f"not a certificate of format {FORMAT}: run `suffice guarantee` again")
        given: dict[str, Any] = {field.name: content.get(field.name) for field in fields(cls)}
        try:
            _check(given, content)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(
                f"the certificate is damaged ({error}): run `suffice guarantee` again"
            ) from error
        given |= {"grid": tuple(given["grid"]), "p_values": tuple(given["p_values"])}
        return cls(**given)


def _check(given: dict[str, Any], content: dict[str, Any]) -> None:
    missing = given.keys() - content.keys() - _MAY_BE_MISSING
    if missing:
        raise ValueError(f"{sorted(missing)[0]} is missing")
    for name in ("epsilon", "delta", "weak_share", "n"):
        if isinstance(given[name], bool) or not 0 <= given[name] < math.inf:
            raise ValueError(f"{name} is {given[name]!r}")
    grid, values = list(map(float, given["grid"])), list(map(float, given["p_values"]))
    if len(grid) != len(values) or any(not 0 <= p <= 1 for p in values):
        raise ValueError("grid and p_values do not fit")
    if given["certified"] is not (given["threshold"] is not None):
        raise ValueError("certified and threshold contradict each other")
    if given["certified"] and given["threshold"] not in grid:
        raise ValueError("the threshold is not on the grid")
    for name in ("promise", "method", "data_sha256"):
        if not isinstance(given[name], str):
            raise ValueError(f"{name} is {given[name]!r}")
    for name in _MAY_BE_MISSING:
        if not isinstance(given[name], str | None):
            raise ValueError(f"{name} is {given[name]!r}")
