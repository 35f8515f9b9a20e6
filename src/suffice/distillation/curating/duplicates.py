"""One row for each thing said: the same and nearly the same, and what to do where labels contradict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from suffice.distillation.curating.closeness import Pairs, Vectors, close_pairs, join_close
from suffice.distillation.curating.groups import same_values
from suffice.distillation.curating.minhash import Sketches, join_near
from suffice.distillation.curating.settings import Curating
from suffice.distillation.curating.texts import bare, normalised, text_of
from suffice.distillation.flywheel.answers import key_of
from suffice.distillation.flywheel.rows import TEST, Row

_HEAD = 8_192
"""Characters of a text that are compared for nearness."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are compared, worked out once: sketches, vectors, and the pairs of vectors that are close."""

    sketches: Sketches
    vectors: Vectors
    """(n, d), unit rows."""
    pairs: Pairs

    @classmethod
    def of(cls, rows: Sequence[Row], vectors: Vectors, settings: Curating) -> Likeness:
        texts = [normalised(text_of(row)[:_HEAD]) for row in rows]
        threshold = _grouped(settings)
        pairs = close_pairs(vectors if settings.embedding < 1 else vectors[:0], threshold)
        return cls(sketches=Sketches(texts), vectors=vectors, pairs=pairs)

    def subset(self, rows: Sequence[int]) -> Likeness:
        """Of some rows; ascending."""
        kept = np.array(rows, np.intp)
        return Likeness(
            sketches=self.sketches.subset(kept),
            vectors=self.vectors[kept],
            pairs=self.pairs.subset(kept, len(self.vectors)),
        )


def _grouped(settings: Curating) -> float:
    """Nearly as close as duplicates are: the cosine from which rows stay in one part."""
    return settings.embedding - (1 - settings.embedding)


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A row that goes no further."""

    id: str
    why: str
    of: str | None = None
    """The row that stays in its place."""


def without_duplicates(
    rows: Sequence[Row], likeness: Likeness, settings: Curating, *, is_open: bool
) -> tuple[list[int], list[Dropped]]:
    """Which rows stay, ascending, and why the others do not.

    Rows are compared within the part that they came with, so that a test set stays as it came but for its
    own repetitions. The same query with different labels is decided by the majority; without one all its
    training rows go. Of queries that are only near each other, those with different labels all stay: what
    differs there may be what matters.

    Parameters
    ----------
    is_open : whether answers are free texts, which always differ: then near queries are one, whatever is said
    """
    kept = set(range(len(rows)))
    dropped: list[Dropped] = []
    for part in {row.part for row in rows}:
        mine = [number for number, row in enumerate(rows) if row.part == part]
        gone = _contradictory([rows[one] for one in mine]) if part != TEST and not is_open else {}
        gone |= _repeated([rows[one] for one in mine], likeness.subset(mine), settings, is_open, gone)
        for place, dropping in gone.items():
            kept.discard(mine[place])
            dropped.append(dropping)
    return sorted(kept), sorted(dropped, key=lambda one: one.id)


def _contradictory(rows: Sequence[Row]) -> dict[int, Dropped]:
    """The minority's rows of every query that stands with several labels."""
    gone = {}
    for group in same_values([normalised(text_of(row)) for row in rows]).members():
        group = [one for one in group if rows[one].label]  # noqa: PLW2901
        labels = Counter(key_of(rows[one].label or "") for one in group)
        if len(labels) < 2:
            continue
        (won, most), *_ = labels.most_common()
        for one in group:
            if most * 2 <= len(group) or key_of(rows[one].label or "") != won:
                gone[one] = Dropped(id=rows[one].id, why="contradictory labels")
    return gone


def _repeated(
    rows: Sequence[Row], likeness: Likeness, settings: Curating, is_open: bool, gone: dict[int, Dropped]
) -> dict[int, Dropped]:
    """All but the best of every group that says the same; the exact ones are named so."""
    texts = [normalised(text_of(row)) for row in rows]
    labels = [key_of(row.label or "") for row in rows]
    said = [""] * len(rows) if is_open else labels
    groups = same_values(list(zip(texts, said, strict=True)))
    exact = groups.roots()
    if settings.normalised and not is_open:
        groups.join_equal(zip([bare(text) for text in texts], labels, strict=True))
    if settings.near < 1:
        join_near(likeness.sketches, groups, settings.near, said)
    join_close(likeness.pairs, groups, settings.embedding, said)
    found = {}
    for members in groups.members():
        inside = [one for one in members if one not in gone]
        if len(inside) > 1:
            best = max(inside, key=lambda one: (_worth(rows[one]), -one))
            for one in inside:
                if one != best:
                    why = "exact duplicate" if exact[one] == exact[best] else "near duplicate"
                    found[one] = Dropped(id=rows[one].id, why=why, of=rows[best].id)
    return found


def _worth(row: Row) -> tuple[float, int]:
    """The better score; a row with a reference before one without; one without an answer last."""
    if not row.label:
        return -2.0, 0
    return (-1.0 if row.score is None else row.score, int(row.reference is not None))


def clusters(rows: Sequence[Row], likeness: Likeness, settings: Curating) -> list[str]:
    """(n,): the name of each row's cluster, the smallest id in it.

    Rows are joined that say the same but for digits and punctuation, or are at least `group` near, or nearly
    as close as duplicates are.
    """
    groups = same_values([bare(text_of(row)) for row in rows])
    join_near(likeness.sketches, groups, settings.group)
    join_close(likeness.pairs, groups, _grouped(settings))
    names = [""] * len(rows)
    for members in groups.members():
        name = min(rows[one].id for one in members)
        for one in members:
            names[one] = name
    return names
