"""Evidence from recorded calls: nothing is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from suffice.errors import DataError
from suffice.outcomes import Runs
from suffice.plans.probes.answers import labels_of
from suffice.plans.probes.base import Effort, Evidence, Said
from suffice.types import TokenLogprob

PROBES: Final[Mapping[str, str]] = {
    "greedy": "greedy",
    "sample": "samples",
    "paraphrase": "paraphrases",
    "verify": "p_true",
}
"""What a `strategy` of a recording was good for; other strategies are left out."""
_COLUMNS: Final = (
    "query_id", "template", "query", "prompt", "model", "strategy", "sample", "response", "logprobs", "score",
    "reference", "prompt_tokens", "completion_tokens", "cost_usd",
)  # fmt: skip
Row = Mapping[str, Any]


class Known(NamedTuple):
    """One query that was answered, and how good the answer was."""

    evidence: Evidence
    quality: float
    group: str
    """Queries made from one template, or the query itself: kept together when data are split."""


def recorded(runs: Runs, model: str) -> list[Known]:
    """Evidence on every query whose greedy answer by `model` has a score.

    Other models' greedy answers to the same query are the evidence of `other_models`.

    Parameters
    ----------
    runs : `model`, `response`, `score`; `strategy` (without it every row is greedy), `sample`, `logprobs`,
        `metric` or `check`, `reference` where there are any

    Raises
    ------
    DataError
        If a column is missing, the model is unknown, or one query has two greedy answers.
    """
    by_query: dict[str, list[Row]] = {}
    models = set()
    for row in _rows(runs):
        models.add(row["model"])
        if row["response"] is not None:
            by_query.setdefault(row["query_id"], []).append(row)
    if model not in models:
        raise DataError(f"no row is of the model {model!r}; there are {', '.join(sorted(map(str, models)))}")
    found = (_known(query_id, rows, model) for query_id, rows in by_query.items())
    return [one for one in found if one is not None]


def _rows(runs: Runs) -> Iterator[dict[str, Any]]:
    for name in ("model", "response", "score"):
        if name not in runs.columns:
            raise DataError("recorded answers need it", column=name)
    kind = next((name for name in ("metric", "check") if name in runs.columns), None)
    names = [name for name in (*_COLUMNS, kind) if name in runs.columns]
    absent = dict.fromkeys(_COLUMNS)
    for values in zip(*(runs.column(name) for name in names), strict=True):
        row = {**absent, **dict(zip(names, values, strict=True))}
        yield {**row, "strategy": row["strategy"] or "greedy", "kind": (row[kind] if kind else None) or ""}


def _known(query_id: str, rows: Sequence[Row], model: str) -> Known | None:
    own: dict[str, list[Row]] = {}
    for row in rows:
        if row["model"] == model and row["strategy"] in PROBES:
            own.setdefault(PROBES[row["strategy"]], []).append(row)
    answers = own.get("greedy", [])
    if len(answers) > 1:
        raise DataError(f"{model} has {len(answers)} greedy answers to {query_id!r}: one is judged")
    if not answers or answers[0]["score"] is None:
        return None
    others = [row for row in rows if row["strategy"] == "greedy" and row["model"] != model]
    gathered = {name: sorted(of, key=lambda row: row["sample"] or 0) for name, of in own.items()}
    if others:
        gathered["other_models"] = others
    answer = answers[0]
    evidence = Evidence(
        query_id=query_id,
        question=answer["query"],
        kind=answer["kind"],
        labels=labels_of(answer["kind"], answer["reference"] or ""),
        said={name: tuple(_said(row, model) for row in of) for name, of in gathered.items()},
        effort={name: _effort(of) for name, of in gathered.items()},
        missing=dict.fromkeys({*PROBES.values(), "other_models"} - set(gathered), "the recording has none"),
    )
    return Known(evidence, float(answer["score"]), answer["template"] or query_id)


def _said(row: Row, model: str) -> Said:
    tokens = row["logprobs"]
    prompt = row["prompt"] or ""
    return Said(
        text=row["response"],
        tokens=tuple(map(_token, tokens)) if tokens else None,
        no_logprobs=None if tokens else "the recording has none",
        asked=prompt if prompt != row["query"] else "",
        model=row["model"] if row["model"] != model else "",
    )


def _token(token: Mapping[str, Any]) -> TokenLogprob:
    top = tuple((other["token"], other["logprob"]) for other in token.get("top") or ())
    return TokenLogprob(token["token"], token["logprob"], top)


def _effort(rows: Sequence[Row]) -> Effort:
    tokens = [row[name] for row in rows for name in ("prompt_tokens", "completion_tokens")]
    costs = [row["cost_usd"] for row in rows]
    return Effort(
        n_calls=len(rows),
        n_tokens=None if None in tokens else int(sum(tokens)),
        cost_usd=None if None in costs else sum((Decimal(repr(cost)) for cost in costs), Decimal(0)),
    )
