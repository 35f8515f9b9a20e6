"""A model as judge of many answers: concurrent, within a budget, resumed where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from suffice.datasets.asking import Asker
from suffice.datasets.budget import Budget
from suffice.datasets.journal import Answered, Journal
from suffice.datasets.judging import pair_query, rating_query
from suffice.datasets.labelling import Crowd
from suffice.distillation.collecting.forgetting import week_of
from suffice.distillation.flywheel import panel
from suffice.distillation.flywheel.project import Project
from suffice.distillation.flywheel.rows import Row
from suffice.distillation.flywheel.work import Step, Work, quiet
from suffice.distillation.judging.settings import Judging
from suffice.errors import DataError
from suffice.types import Query

N_SAMPLES: Final = 2
_FIRST: Final = 10


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge is asked: one answer to rate twice, or two to compare in both orders."""

    id: str
    """Of the row; questions of one kind have different ones."""
    kind: Literal["row", "decoy", "pair"]
    question: str
    answers: tuple[str, ...]
    """One or two."""
    journal: str = ""
    """Which journal keeps the replies."""
    about: tuple[str, ...] | None = None
    """Whose data it holds (`about`); None: of several people, as an answer to another's query is."""


Replies = Mapping[tuple[str, str], tuple[str | None, str | None]]
"""(kind, id) -> what the judge said both times; None: no reply."""


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the asking, which may run elsewhere."""

    project: Project
    settings: Judging
    questions: list[Question]
    journal: Path
    limit_usd: Decimal | None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    said: list[tuple[str | None, str | None]]
    n_unanswered: int
    spent_usd: Decimal


def ask_judge(
    questions: Sequence[Question], work: Work, read: Callable[[str], object]
) -> tuple[Replies, int, Decimal]:
    """Replies to all questions, how many calls have none, and USD spent in all runs so far.

    Parameters
    ----------
    read : gives None of a reply that says nothing. A few questions go first: where nothing can be read, the
        others are not paid for

    Raises
    ------
    ConfigError
        If the judge is not in the panel, or a call cannot be bounded.
    DataError
        If none of its replies can be read.
    """
    for some in (questions[:_FIRST], questions) if len(questions) > _FIRST else (questions,):
        replies, n_unanswered, spent = _ask(some, work)
        given = [text for both in replies.values() for text in both if text is not None]
        if given and all(read(text) is None for text in given):
            raise DataError(
                f"none of {len(given):,} replies of the judge {work.settings.model!r} could be read, such as "
                f"{given[0][:80]!r} ({spent} USD are spent): take another judge, or raise judge.max_tokens"
            )
    return replies, n_unanswered, spent


def _ask(questions: Sequence[Question], work: Work) -> tuple[Replies, int, Decimal]:
    dealt: dict[str, list[Question]] = {}
    for one in questions:
        dealt.setdefault(one.journal, []).append(one)
    limit = Decimal(repr(work.project.limits.usd))
    shards = [
        Shard(
            project=work.project,
            settings=work.settings,
            questions=mine,
            journal=work.journals.resolve() / name,
            limit_usd=limit * len(mine) / len(questions),
        )
        for name, mine in sorted(dealt.items())
    ]
    said: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    n_unanswered, spent, done = 0, Decimal(0), 0
    on_step = work.on_step if work.executor.is_local and len(shards) == 1 else None
    results = (judge_shard(one, on_step) for one in shards) if on_step else None
    for shard, found in zip(shards, results or work.executor.map(judge_shard, shards), strict=True):
        said |= {(one.kind, one.id): both for one, both in zip(shard.questions, found.said, strict=True)}
        n_unanswered += found.n_unanswered
        spent += found.spent_usd
        done += len(shard.questions) * N_SAMPLES
        work.on_step(done, len(questions) * N_SAMPLES, spent)
    return said, n_unanswered, spent


def judge_shard(shard: Shard, on_step: Step | None = None) -> Judged:
    """One shard, in this process."""
    return asyncio.run(_judge(shard, on_step or quiet))


async def _judge(shard: Shard, on_step: Step) -> Judged:
    settings = shard.settings
    assert settings.model is not None
    calls = [(one, number) for one in shard.questions for number in range(N_SAMPLES)]
    async with panel.opened(shard.project, [settings.model]) as models:
        model = models[settings.model]
        with Journal(shard.journal) as journal:
            budget = Budget(shard.limit_usd, journal.spent_usd)
            asker = Asker(journal, budget, timeout_s=settings.timeout_s, retries=settings.retries)
            asker.check(model, _fields(settings, 0), remedy="take another model (0 is a price too)")
            crowd = Crowd(asker, settings.concurrency, len(calls), on_step)

            async def ask(one: Question, number: int) -> str | None:
                is_pair = one.kind == "pair"
                reply = await asker.ask(
                    model, _query(one, number), _fields(settings, 0 if is_pair else number), number, one.about
                )
                return reply.content if isinstance(reply, Answered) else None

            replies = await crowd.all(ask(*call) for call in calls)
            return Judged(
                said=list(zip(replies[::N_SAMPLES], replies[1::N_SAMPLES], strict=True)),
                n_unanswered=sum(reply is None for reply in replies),
                spent_usd=journal.spent_usd,
            )


def shown(query: str, project: Project) -> str:
    """A query as the judge sees it: with the instruction before it."""
    return f"{project.task.instruction}\n\n{query}".strip()


def journal_of(row: Row, settings: Judging) -> str:
    """The journal that keeps what is said about a row."""
    return f"judge{week_of(row)}-{int.from_bytes(draw(row.id)) % settings.shards}.jsonl"


def draw(name: str) -> bytes:
    """An order of ids that has nothing to do with that of rows."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _query(one: Question, number: int) -> Query:
    answers = [_harmless(text) for text in one.answers]
    question = _harmless(one.question)
    if one.kind == "pair":
        first, second = answers if number == 0 else answers[::-1]
        return pair_query(question, first, second)
    return rating_query(question, answers[0])


def _harmless(text: str) -> str:
    """Without marks of verdicts, which an answer might hold to be taken for the judge's own."""
    return text.replace("[[", "[ [").replace("]]", "] ]")


def _fields(settings: Judging, number: int) -> dict[str, Any]:
    """A single greedy reply would agree with itself: ratings are two draws."""
    drawn = settings.mode == "rate" and settings.temperature > 0
    fields: dict[str, Any] = {"max_tokens": settings.max_tokens, "temperature": 0}
    return fields | {"temperature": settings.temperature, "seed": number} if drawn else fields
