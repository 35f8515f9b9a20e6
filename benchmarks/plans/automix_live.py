"""AutoMix on two local models, live: the plan `cascade`, verdicts asked for, every call paid.

    python benchmarks/plans/automix_live.py --journal FILE [--cpu-s 700] [--splits 10] [--resamples 2000]

small -> large (`suffice pull small`, `suffice pull large`), one thread each, asked as the local panel asks
them, about questions of the recorded panel that bring their text: all of extraction, then the first of every
passage. Every call goes into the journal before anything else happens: an interrupted run goes
on where it stopped, and a finished one is played again without a call. `--cpu-s` ends the asking.

First every question is asked of both, and small verifies its answer. Then a rule is fitted on one half of the
templates and the plan runs on the other half with it, both ways round, `--splits` times, answers and verdicts
from the journal. The free signal, small's own sequence probability, is judged in the same way, and fitted to
the recorded answers of all other templates as well. Costs: CPU seconds as measured, at 0.05 USD an hour;
those of the AutoMix paper: small 1, large 50, all verdicts on an answer together 1; and 1 and 50 with what
the verdicts took, in answers of small. Delta-IBC: 0 is what sending a share to large at random has.
Intervals: 95 %, templates drawn with replacement.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from suffice.cascades import Cascade, Move, Recorded, Seen, create
from suffice.cascades.base import accept, ask
from suffice.datasets import panel
from suffice.datasets.grading import grade
from suffice.datasets.journal import Answered, Journal, call_id
from suffice.metrics import auroc, delta_ibc, delta_ibc_interval
from suffice.outcomes import Outcomes
from suffice.plans.base import PlanContext
from suffice.plans.cascade import CascadePlan
from suffice.protocols import Model
from suffice.providers.base import ProviderSettings
from suffice.providers.local import LocalModel
from suffice.starter.panel import TERSE
from suffice.types import Answer, Attempt, Candidate, Chunk, FloatArray, Options, Price, Query, Usage

sys.path.insert(0, str(Path(__file__).parents[1] / "cascades"))
import automix

ARMS: Final = ("small", "large")
SIGNALS: Final = ("verification", "sequence_log_likelihood")
K: Final = 4
VERIFY: Final = {"k": K, "max_tokens": 16}
BLOCK: Final = 10
MAX_TOKENS: Final = 24
"""Of an answer: what rambles on is wrong at the recorded 64 too."""
FREE_KINDS: Final = ("threshold", "double_threshold", "pomdp")
COSTS: Final = {
    "cpu": "CPU costs",
    "paper": "costs 1 : 50 : 1",
    "paid verdicts": "costs 1 : 50, verdicts as dear beside small as they were",
}
HEAD: Final = f"  {'meta-verifier':<18}{'quality':>8}{'cost':>10}{'to large':>9}  delta-IBC"


class Asked(NamedTuple):
    """What one question came to, by arm."""

    query: Query
    template: str
    quality: tuple[float, float]
    cost_usd: tuple[float, float]
    readings: Mapping[str, float | None]
    verdicts_usd: float


class Kept:
    """A model whose calls are kept; asked for the same again, it is not asked."""

    def __init__(self, model: Model, journal: Journal) -> None:
        self._model, self._journal = model, journal
        self.candidate = model.candidate
        self.calls: dict[str, float] = {}
        """That were wanted so far, with their costs, whether the journal had them or not."""

    async def answer(self, query: Query, options: Options) -> Answer:
        fields = {name: value for name, value in options.fields.items() if "logprobs" not in name}
        call = call_id(self.candidate.name, list(query.chat()), fields)
        if call not in self._journal.answers:
            self._journal.asked(call, Decimal(0))
            new = await self._model.answer(query, options)
            kept = {one: getattr(new, one) for one in ("content", "cost_usd", "finish_reason", "logprobs")}
            self._journal.answered(call, Answered(**kept), new.cost_usd or Decimal(0))
        found = self._journal.answers[call]
        self.calls[call] = float(found.cost_usd or 0)
        return Answer(
            content=found.content,
            candidate=self.candidate.name,
            usage=Usage(),
            cost_usd=found.cost_usd,
            finish_reason=found.finish_reason,
            logprobs=found.logprobs if options.wants_logprobs else None,
        )

    def stream(self, query: Query, options: Options) -> AsyncIterator[Chunk]:
        return self._model.stream(query, options)

    async def close(self) -> None:
        await self._model.close()


class Collecting:
    """Not a rule to live by: asks the first arms, whatever they say, and reads what is wanted."""

    name, arms, signals = "collecting", ARMS, SIGNALS

    def __init__(self, n_arms: int, *, is_read: bool) -> None:
        self._n_arms, self._is_read = n_arms, is_read
        self.readings: Mapping[str, float | None] = {}

    def reads(self, arm: int) -> tuple[str, ...]:
        return SIGNALS if self._is_read and arm == 0 else ()

    def next(self, query: Query, scores: FloatArray, costs_usd: FloatArray, seen: Sequence[Seen]) -> Move:
        if seen:
            self.readings = seen[0].readings
        return accept(len(seen) - 1, "all") if len(seen) == self._n_arms else ask(len(seen), "next")

    def save(self, directory: Path) -> None:
        raise AssertionError

    @classmethod
    def load(cls, directory: Path) -> Collecting:
        raise AssertionError


def local(name: str) -> LocalModel:
    price = Price(usd_per_cpu_hour=Decimal(str(panel.USD_PER_CPU_HOUR)))
    candidate = Candidate(name=name, provider="local", model=name, price=price)
    extra = {"system": TERSE, "threads": 1, "max_tokens": MAX_TOKENS}
    return LocalModel.from_config(candidate, ProviderSettings(extra=extra))


def questions() -> list[list[dict[str, Any]]]:
    """Rows of the panel in blocks: all of extraction, then every passage's first case."""
    rows = panel.load_runs().where(strategy="greedy", model="small").table.to_pylist()
    short = [row for row in rows if row["task"] == "extraction"]
    short.sort(key=lambda row: row["query_id"].rpartition("-")[2])  # every template before any comes twice
    long = [row for row in rows if row["task"] == "passage" and row["query_id"].endswith("-0")]
    ordered = [*short, *long]
    return [ordered[start : start + BLOCK] for start in range(0, len(ordered), BLOCK)]


async def run(
    rule: Cascade, query: Query, models: Mapping[str, Kept]
) -> tuple[Answer, dict[str, list[Attempt]]]:
    """The plan on one question: the answer given, and the calls by role, or by candidate without one."""
    plan = CascadePlan("", verification=dict(VERIFY)).use(rule)
    options = Options(fields={"temperature": 0, "max_tokens": MAX_TOKENS})
    context = PlanContext(models=models, ranking=ARMS, options=options, timeout_s=3600.0)
    given, calls = None, dict[str, list[Attempt]]()
    async for event in plan.run(query, context):
        if isinstance(event, Answer):
            given = event
        elif isinstance(event, Attempt):
            calls.setdefault(event.role or event.candidate, []).append(event)
    assert given is not None
    return given, calls


async def collected(models: Mapping[str, Kept], cpu_s: float) -> list[Asked]:
    """All questions asked, in blocks: answers, verdicts, then large; so prompts share what is cached."""
    found: list[Asked] = []
    for block in questions():
        if seconds(models) > cpu_s:
            break
        asked = [Query(text=row["prompt"], id=row["query_id"]) for row in block]
        for n_arms, is_read in ((1, False), (1, True), (2, False)):
            for query in asked:
                await run(Collecting(n_arms, is_read=is_read), query, models)
        found += [await collect(row, query, models) for row, query in zip(block, asked, strict=True)]
        print(f"{len(found)} questions, {seconds(models):.0f} CPU-seconds", flush=True)
    return found


async def collect(row: Mapping[str, Any], query: Query, models: Mapping[str, Kept]) -> Asked:
    rule = Collecting(2, is_read=True)
    last, calls = await run(rule, query, models)
    first, _ = await run(Collecting(1, is_read=False), query, models)
    scores = [grade(row["check"], answer.content, row["reference"]) for answer in (first, last)]
    paid = [float(calls[arm][0].cost_usd or 0) for arm in ARMS]
    verdicts = sum(float(one.cost_usd or 0) for one in calls["verify"])
    return Asked(query, row["template"], (scores[0], scores[1]), (paid[0], paid[1]), rule.readings, verdicts)


def seconds(models: Mapping[str, Kept]) -> float:
    """CPU time of all calls that were wanted."""
    usd = sum(sum(model.calls.values()) for model in models.values())
    return usd / panel.USD_PER_CPU_HOUR * 3600


def prices_of(rows: Sequence[Asked], costs: str) -> FloatArray:
    """(n, 3): what small's answer, large's and all verdicts on small's cost."""
    taken = np.array([[*row.cost_usd, row.verdicts_usd] for row in rows])
    if costs == "cpu":
        return taken
    units = np.tile([1.0, 50.0, 1.0], (len(rows), 1))
    if costs == "paid verdicts":
        units[:, 2] = taken[:, 2] / taken[:, 0].mean()
    return units


def recorded_of(rows: Sequence[Asked], prices: FloatArray) -> Recorded:
    n = len(rows)
    readings = {
        name: np.array([[np.nan if (value := row.readings[name]) is None else value, np.nan] for row in rows])
        for name in SIGNALS
    }
    queries, quality = [row.query for row in rows], np.array([row.quality for row in rows])
    outcomes = Outcomes.from_arrays(queries, ARMS, quality, cost_usd=prices[:, :2])
    verdicts = np.column_stack([prices[:, 2], np.zeros(n)])
    return Recorded.of(outcomes, readings, reading_cost_usd={"verification": verdicts})


class Tried(NamedTuple):
    """Of all runs of one kind: by question, means."""

    quality: FloatArray
    cost: FloatArray
    to_large: FloatArray


async def tried(
    rules: Sequence[tuple[Cascade, Sequence[int]]],
    rows: Sequence[Asked],
    models: Mapping[str, Kept],
    prices: FloatArray,
) -> Tried:
    """The plan on every question with the rules that were fitted without it."""
    total, n = np.zeros((3, len(rows))), np.zeros(len(rows))
    for rule, tested in rules:
        for place in tested:
            row, of = rows[place], prices[place]
            given, calls = await run(rule, row.query, models)
            taken = sum(float(one.cost_usd or 0) for each in calls.values() for one in each)
            assert np.isclose(taken, float(given.cost_usd or 0)), "the plan's sum is that of its calls"
            asked = [len(calls.get(name, ())) for name in (*ARMS, "verify")]
            arm = ARMS.index(given.candidate)
            total[:, place] += [row.quality[arm], of @ (np.array(asked) / [1, 1, K]), arm]
            n[place] += 1
    return Tried(*total / n)


def show(kind: str, found: Tried, table: Recorded, groups: Any, n_resamples: int) -> None:
    """Sums by template: the ratio is that of the means."""
    alone = [(table.quality[:, arm], table.cost_usd[:, arm]) for arm in (0, 1)]
    pairs = [(found.quality, found.cost), *alone]
    sums = [(np.bincount(groups, quality), np.bincount(groups, cost)) for quality, cost in pairs]
    ends = [(float(quality.mean()), float(cost.mean())) for quality, cost in pairs]
    delta = delta_ibc(*ends[0], small=ends[1], large=ends[2])
    low, high = delta_ibc_interval(*sums, n=n_resamples)
    print(
        f"  {kind:<18}{ends[0][0]:>8.3f}{ends[0][1]:>10.3g}{found.to_large.mean():>9.2f}"
        f"  {delta:+.2f} ({low:+.2f} to {high:+.2f})",
        flush=True,
    )


async def judge(rows: Sequence[Asked], models: Mapping[str, Kept], wish: argparse.Namespace) -> None:
    groups = np.unique([row.template for row in rows], return_inverse=True)[1]
    for costs, named in COSTS.items():
        prices = prices_of(rows, costs)
        table = recorded_of(rows, prices)
        arms = ", ".join(f"{arm} {q:.3f} at {c:.4g}" for arm, q, c in automix.means_of(table))
        print(f"\n{named}, {len(rows)} questions: {arms}, verdicts {prices[:, 2].mean():.4g}")
        for signal in SIGNALS[: 1 if costs == "paid verdicts" else 2]:
            reading = table.signal(signal)[:, 0]
            known = ~np.isnan(reading)
            sure = auroc(reading[known], table.quality[known, 0] >= 0.5)
            print(f"{signal}: AUROC {sure:.3f}, read from {known.sum()} answers\n{HEAD}")
            for kind in automix.VERIFIERS if signal == "verification" else FREE_KINDS:
                rules = [
                    (create(f"automix_{kind}", signal=signal).fit(table.select(fit)), test.tolist())
                    for fit, test in automix.halves(groups, wish.splits)
                ]
                show(kind, await tried(rules, rows, models, prices), table, groups, wish.resamples)
        if costs == "paid verdicts":
            return  # the free signal costs what it did
        print(f"sequence_log_likelihood, fitted to recorded answers of other templates\n{HEAD}")
        others = recorded_others({row.template for row in rows}, is_paper=costs == "paper")
        for kind in FREE_KINDS:
            rule = create(f"automix_{kind}", signal="sequence_log_likelihood").fit(others)
            found = await tried([(rule, range(len(rows)))], rows, models, prices)
            show(kind, found, table, groups, wish.resamples)


def recorded_others(templates: set[str], *, is_paper: bool) -> Recorded:
    table = automix.recorded_panel()
    table = automix.in_papers_units(table) if is_paper else table
    names = [str(query.id).rpartition("-")[0] for query in table.queries]
    return table.select(np.array([name not in templates for name in names]))


async def work(wish: argparse.Namespace) -> None:
    with Journal(wish.journal) as journal:
        models = {name: Kept(local(name), journal) for name in ARMS}
        rows = await collected(models, wish.cpu_s)
        n_calls = len(journal.answers)
        print(f"{len(rows)} questions, {n_calls} calls, {seconds(models):.0f} CPU-seconds")
        await judge(rows, models, wish)
        assert len(journal.answers) == n_calls, "the judged runs asked anew"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--cpu-s", type=float, default=700.0)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=2000)
    asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
