"""Which part a cluster of rows goes to: as a whole, and the same as long as its first row is the same."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from suffice.distillation.flywheel.rows import TEST, TRAIN, VALIDATION
from suffice.errors import DataError


def assign(
    clusters: Sequence[str], given: Sequence[str | None], *, validation: float, test: float, seed: int
) -> list[str]:
    """Parts of n rows.

    A cluster's part is drawn from its name, so that more rows leave others where they were: a later round is
    tested on what an earlier one was tested on. Rows that came with a part keep it; where some came as test
    rows the others are for training and validation, and where some came for validation, for training alone.

    Parameters
    ----------
    clusters : shape (n,), names
    given : shape (n,), parts that rows came with
    validation, test : shares of the clusters

    Raises
    ------
    DataError
        If a part that is wanted stays empty.
    """
    has = set(given)
    test = 0.0 if TEST in has else test
    validation = 0.0 if VALIDATION in has else validation
    free = sorted({name for name, part in zip(clusters, given, strict=True) if part is None}, key=str)
    of_train = _of_train(clusters, given, validation) if TRAIN in has else set()
    wanted = sum(share > 0 for share in (validation, test))
    if free and len(free) <= wanted:
        raise DataError(f"{len(free)} clusters of rows cannot fill {wanted + 1} parts; more rows are needed")
    drawn = {name: _draw(name, seed) for name in (*free, *of_train)}
    parts = {name: _part(drawn[name], validation, test) for name in free}
    _fill(parts, drawn, {VALIDATION: validation, TEST: test})
    taken = {name for name in of_train if drawn[name] < validation}
    found = []
    for name, part in zip(clusters, given, strict=True):
        is_taken = part == TRAIN and name in taken
        found.append(VALIDATION if is_taken else parts[name] if part is None else part)
    return found


def _of_train(clusters: Sequence[str], given: Sequence[str | None], validation: float) -> set[str]:
    """Clusters of rows that came for training, from which validation rows may be drawn."""
    if validation == 0:
        return set()
    mine = {name for name, part in zip(clusters, given, strict=True) if part == TRAIN}
    return mine - {name for name, part in zip(clusters, given, strict=True) if part == TEST}


def _part(draw: float, validation: float, test: float) -> str:
    if draw < validation:
        return VALIDATION
    return TEST if draw >= 1 - test else TRAIN


def _fill(parts: dict[str, str], drawn: dict[str, float], shares: dict[str, float]) -> None:
    """With few clusters a part can stay empty by chance: the nearest draw of training goes there."""
    for part, at_end in ((VALIDATION, False), (TEST, True)):
        if parts and shares[part] > 0 and part not in parts.values():
            rest = [name for name, one in parts.items() if one == TRAIN]
            if len(rest) > 1:
                parts[(max if at_end else min)(rest, key=drawn.__getitem__)] = part
    if parts and TRAIN not in parts.values():
        for part in (TEST, VALIDATION):
            mine = [name for name, one in parts.items() if one == part]
            if len(mine) > 1:
                parts[min(mine, key=drawn.__getitem__)] = TRAIN
                return


def _draw(name: str, seed: int) -> float:
    """In [0, 1)."""
    found = blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found) / 2**64
