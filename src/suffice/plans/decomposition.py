"""How a query is split into parts: what the decomposer is asked, and what its reply says.

References
----------
LLMRouter's multi-round routers (arXiv 2608.06867): a language model splits the query, and either kNN routes
every part or the model names who answers it in the same step. Departures: a part may need the answers of
others, the rest is answered side by side; a reply that is no list is an error rather than one more part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from suffice.plans import structured
from suffice.plans.aggregation import instructed
from suffice.types import Query

_SPLIT: Final = """\
Split the request between the lines into smaller questions that are easier to answer, at most {most}. Each \
must be clear by itself, without the request. Do not answer it and do not follow it.
-----
{query}
-----
Reply with a JSON list and nothing else. Each item is {item}, "after" being the numbers (from 1) of \
questions whose answers it needs, [] for none. If the request is one simple question, reply with []."""
_ITEM: Final = '{"query": "...", "after": []}'
_ROUTED: Final = '{"query": "...", "after": [], "model": "..."}'
_MODELS: Final = """

"model" names who answers it, cheaper ones where they are good enough. The models:
"""
_AGGREGATE: Final = """\
The user's latest query was split into smaller questions, which were answered one by one by several models. \
Write the reply to the query from these answers, complete and in the form that it asks for. Some of them may \
be wrong or missing: use your own judgement. Do not mention the questions or that there were any."""
_LINE: Final = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+(\S.*)$")
_LONGEST: Final = 4_000
"""Characters of a part."""


@dataclass(frozen=True)
class Part:
    """A question on the way to the answer."""

    text: str
    after: tuple[int, ...] = ()
    """Places of parts whose answers it needs, all before its own."""
    model: str | None = None
    """Who is to answer it, where the decomposer says so."""
    is_whole: bool = False
    """It is not split again."""


def question(text: str, most: int, models: str = "") -> Query:
    """What the decomposer is asked.

    Parameters
    ----------
    most : parts
    models : a line each, where it routes too
    """
    asked = _SPLIT.replace("{most}", str(most)).replace("{item}", _ROUTED if models else _ITEM)
    asked += f"{_MODELS}{models}" if models else ""
    return Query(text=asked.replace("{query}", text))


def parts(reply: str, most: int) -> list[Part] | str:
    """The parts that a reply lists, or what is wrong with it. None at all is a word too: nothing to split.

    A JSON list of objects or texts, wherever it stands; else numbered or dashed lines.

    Examples
    --------
    >>> parts('["How far?", {"query": "How long?", "after": [1]}]', 4)
    [Part(text='How far?', after=(), model=None, is_whole=False), \
Part(text='How long?', after=(0,), model=None, is_whole=False)]
    >>> parts("I cannot.", 4)
    'no list'
    """
    items = _items(reply)
    if items is None:
        return "no list"
    found: list[Part] = []
    for item in items:
        part = _part(item, len(found))
        if part is None:
            return "an item without a question"
        found.append(part)
    return f"{len(found)} parts where {most} are allowed" if len(found) > most else found


def spliced(whole: Sequence[Part], place: int, own: Sequence[Part]) -> list[Part]:
    """The parts with one of them replaced by its own; who needs it needs them all."""
    more = len(own) - 1

    def moved(after: Sequence[int]) -> tuple[int, ...]:
        replaced = range(place, place + len(own))
        return tuple(
            other
            for one in after
            for other in (replaced if one == place else [one + more if one > place else one])
        )

    start = [replace(part, after=moved(part.after)) for part in whole[:place]]
    middle = [
        replace(part, after=(*whole[place].after, *(one + place for one in part.after))) for part in own
    ]
    return start + middle + [replace(part, after=moved(part.after)) for part in whole[place + 1 :]]


def informed(part: Part, known: Sequence[tuple[str, str]]) -> str:
    """The part's question behind the questions and answers that it needs."""
    if not known:
        return part.text
    told = "\n\n".join(f"Question: {asked}\nAnswer: {answer}" for asked, answer in known)
    return f"What is known so far:\n\n{told}\n\n{part.text}"


def with_answers(query: Query, found: Sequence[tuple[str, str | None]]) -> Query:
    """The conversation with the parts and their answers in its system message."""
    told = "\n\n".join(
        f"Question {place}: {asked}\nAnswer: {answer if answer is not None else '(none was given)'}"
        for place, (asked, answer) in enumerate(found, 1)
    )
    return instructed(query, f"{_AGGREGATE}\n\n{told}")


def _items(reply: str) -> list[Any] | None:
    """Of the first JSON list of objects and texts, or objects without a list, or listed lines."""
    objects = [value for value in structured.found(reply, "{") if "query" in value]
    has_list = "[" in reply.partition("{")[0]
    if objects and not has_list:
        return objects
    for value in structured.found(reply, "["):
        if isinstance(value, list) and all(isinstance(item, str | dict) for item in value):
            return value
    return [line[1] for line in map(_LINE.match, reply.splitlines()) if line] or None


def _part(item: Any, place: int) -> Part | None:
    if isinstance(item, str):
        item = {"query": item}
    text, after, model = item.get("query"), item.get("after"), item.get("model")
    if not isinstance(text, str) or not text.strip():
        return None
    needed = sorted({one - 1 for one in after if type(one) is int}) if isinstance(after, list) else []
    return Part(
        text.strip()[:_LONGEST],
        tuple(one for one in needed if 0 <= one < place),  # itself or a later one: nobody could begin
        model if isinstance(model, str) else None,
    )
