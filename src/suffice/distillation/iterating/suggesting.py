"""Which tasks in the gateway's records are worth a student: by spend, and by the odds that one can do them.

A task is what is asked under the same system message; what comes without one is parted by what it says.
Where answers are labels the odds are measured: a bag of words learns four fifths of the records and answers
the rest, and what counts is the share that it could keep while it agrees with the model nearly always.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import numpy as np

from suffice.distillation.curating.diversity import k_center
from suffice.distillation.curating.texts import bare
from suffice.distillation.flywheel.answers import key_of
from suffice.distillation.flywheel.project import Task
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.students import open_student
from suffice.distillation.trainers.base import Course
from suffice.distillation.trainers.head import HeadSettings, HeadTrainer
from suffice.embedders import HashedNgrams
from suffice.errors import DataError
from suffice.routers.draws import text_draws
from suffice.types import FloatArray, IntArray, content_text

_LABEL_LIKE: Final = 0.9
_LABEL_WORDS: Final = 6
"""An answer of more words is a text."""
_MOST_LABELS: Final = 50
_MOST_PROBED: Final = 2_000
_FOLDS: Final = 5
_PER_GROUP: Final = 150
"""Records without a system message that make one more group, up to `_MOST_GROUPS`."""
_MOST_GROUPS: Final = 12
_SHOWN: Final = 80


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    task: str
    """The system message's beginning, or a query that stands for the others."""
    models: tuple[str, ...]
    """Who answers it now, the most frequent first: the first is a teacher."""
    n: int
    usd: float
    """What these requests cost."""
    share: float
    """Of all spend that was looked at."""
    kind: str
    """"classify" or "generate"."""
    labels: tuple[str, ...]
    """Answers of a classification, the most frequent first."""
    label_like: float
    """Share of answers that are among at most 50 short ones."""
    repeated: float
    """Share of queries that were asked before but for digits and punctuation: a cache serves those."""
    answer_tokens: float | None
    """Median."""
    agreement: float | None
    """Of a bag of words with the model on records that it was not shown; None: no classification, too few."""
    majority: float | None
    """Share of the most frequent label: agreement without looking."""
    odds: float
    """Share of the requests that a student could keep, in [0, 1]; what repeats, where there is no probe."""
    saves_usd: float
    """usd x odds; the ranking."""
    why: str


def suggest(rows: Sequence[Row], *, least: int = 50, agree: float = 0.97, seed: int = 0) -> list[Suggestion]:
    """Tasks by what a student would save, best first.

    Parameters
    ----------
    rows : answered requests, such as `collecting.from_records` gives of all models; the first sample counts
    least : rows without which a task is not looked at
    agree : how often an answer that is kept must be the model's own, in (0, 1]
    """
    answered = [row for row in rows if row.samples]
    spent = sum(map(_usd, answered))
    found = [_looked_at(own, spent, agree, seed) for own in _tasks(answered).values() if len(own) >= least]
    return sorted(found, key=lambda one: (-one.saves_usd, -one.usd, one.task))


def _usd(row: Row) -> float:
    return float(row.samples[0].cost_usd or 0)


def _system(row: Row) -> str:
    said = (one.get("content") for one in row.messages if one.get("role") in ("system", "developer"))
    return content_text(next(said, "")).strip()


def _tasks(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    rest = []
    for row in rows:
        system = _system(row)
        if system:
            found[f"system {bare(system)}"].append(row)
        else:
            rest.append(row)
    for row, group in zip(rest, _groups([row.query for row in rest]).tolist(), strict=True):
        found[f"group {group}"].append(row)
    return found


def _groups(texts: Sequence[str]) -> IntArray:
    """(n,): texts by the nearest of a few that lie far from each other."""
    k = min(_MOST_GROUPS, 1 + len(texts) // _PER_GROUP)
    if k == 1:
        return np.zeros(len(texts), np.intp)
    vectors = np.asarray(HashedNgrams().embed(texts), np.float32)
    centres = vectors[k_center(vectors, k)]
    for _ in range(5):
        of = (vectors @ centres.T).argmax(axis=1)
        for place in np.unique(of).tolist():
            mean = vectors[of == place].mean(axis=0)
            centres[place] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return np.asarray((vectors @ centres.T).argmax(axis=1), np.intp)


def _looked_at(own: Sequence[Row], spent: float, agree: float, seed: int) -> Suggestion:
    usd = sum(map(_usd, own))
    said = [row.samples[0].text for row in own]
    counts = Counter(key_of(text) for text in said if len(text.split()) <= _LABEL_WORDS)
    labels = [label for label, n in counts.most_common(_MOST_LABELS) if n > 1]
    label_like = sum(counts[label] for label in labels) / len(own)
    is_labelled = label_like >= _LABEL_LIKE and len(labels) > 1
    queries = Counter(bare(row.query) for row in own)
    repeated = sum(n - 1 for n in queries.values()) / len(own)
    tokens = [row.samples[0].completion_tokens for row in own]
    known = [n for n in tokens if n is not None]
    agreement, kept = _probed(own, set(labels), agree, seed) if is_labelled else (None, None)
    odds = repeated if kept is None else kept
    return Suggestion(
        task=_shown(_system(own[0]) or own[0].query),
        models=tuple(name for name, _ in Counter(row.teacher for row in own).most_common()),
        n=len(own),
        usd=usd,
        share=usd / spent if spent else 0.0,
        kind="classify" if is_labelled else "generate",
        labels=tuple(labels) if is_labelled else (),
        label_like=label_like,
        repeated=repeated,
        answer_tokens=float(np.median(known)) if known else None,
        agreement=agreement,
        majority=counts[labels[0]] / len(own) if is_labelled else None,
        odds=odds,
        saves_usd=usd * odds,
        why=_why(is_labelled, agreement, kept, agree, repeated),
    )


def _probed(
    own: Sequence[Row], labels: set[str], agree: float, seed: int
) -> tuple[float | None, float | None]:
    """Agreement of a head with the answers it was not shown, and the share that it could keep."""
    said = [(row, key_of(row.samples[0].text)) for row in own]
    rows = [msgspec.structs.replace(row, label=key) for row, key in said if key in labels][:_MOST_PROBED]
    fold = text_draws([bare(row.query) for row in rows], seed) % np.uint64(_FOLDS)  # twins on one side
    right, sure = np.zeros(len(rows)), np.zeros(len(rows))
    for held in range(_FOLDS):
        inside = np.flatnonzero(fold == held)
        train = [rows[place] for place in np.flatnonzero(fold != held).tolist()]
        if not len(inside) or not train:
            continue
        with TemporaryDirectory() as folder:
            try:
                settings = HeadSettings(penalties=(1.0,), min_rows=1)
                HeadTrainer(settings).train(Course(train, (), Task(), Path(folder)))
            except DataError:
                return None, None
            found = open_student(folder).answer([rows[place].query for place in inside.tolist()])
        right[inside] = [
            text == rows[place].label for text, place in zip(found.texts, inside.tolist(), strict=True)
        ]
        sure[inside] = found.confidence
    return float(right.mean()), _kept(right, sure, agree) * len(rows) / len(own)


def _kept(right: FloatArray, sure: FloatArray, agree: float) -> float:
    """The largest share of the surest rows of which so many are right."""
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= agree)
    return float(good[-1] + 1) / len(order) if len(good) else 0.0


def _why(
    is_labelled: bool, agreement: float | None, kept: float | None, agree: float, repeated: float
) -> str:
    if not is_labelled:
        return f"answers are texts: no quick probe; {repeated:.0%} repeat, which a cache serves"
    if agreement is None or kept is None:
        return "answers are labels, but too alike to learn from"
    if kept < 0.05:
        return (
            f"answers are labels; a bag of words agrees with {agreement:.0%}, and knows not when: try `lora`"
        )
    return f"a bag of words agrees with {agreement:.0%}; it could keep {kept:.0%} and agree with {agree:.0%}"


def _shown(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"
