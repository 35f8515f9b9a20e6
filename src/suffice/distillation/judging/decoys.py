"""Wrong answers slipped in: a judge that says yes to them would say yes to anything."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from suffice.distillation.flywheel.answers import key_of
from suffice.distillation.flywheel.rows import Row
from suffice.metrics import wilson_interval

_TOO_OFTEN: Final = 0.5


class Decoys(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge said of them."""

    n: int
    n_yes: int
    interval: tuple[float, float]
    """95 %, of the share that gets a yes."""

    @property
    def says_always_yes(self) -> bool:
        """Whether it surely accepts more than half of the wrong answers."""
        return self.interval[0] > _TOO_OFTEN


def decoys_for(rows: Sequence[Row], n: int) -> list[tuple[Row, str]]:
    """Rows with another row's label, where that says something else; the same rows for the same ids.

    A decoy may be right by chance, as one label of two is where the teacher errs: the limit leaves room.
    """
    drawn = sorted((row for row in rows if row.label), key=lambda row: _draw(row.id))
    found: list[tuple[Row, str]] = []
    for place, row in enumerate(drawn):
        if len(found) >= n:
            break
        mine = {key_of(row.label or ""), key_of(row.reference or "")}
        others = (drawn[(place + step) % len(drawn)] for step in range(1, min(len(drawn), 200)))
        other = next((one.label for one in others if key_of(one.label or "") not in mine), None)
        if other is not None:
            found.append((row, other))
    return found


def said_yes(levels: Sequence[int | None]) -> Decoys:
    """From verdicts: 2 is a yes in both samples."""
    known = [level for level in levels if level is not None]
    n_yes = sum(level == 2 for level in known)
    return Decoys(n=len(known), n_yes=n_yes, interval=wilson_interval(n_yes, len(known)))


def _draw(name: str) -> bytes:
    return blake2b(b"decoy" + name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
