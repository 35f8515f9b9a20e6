"""The check of a draft: how it is asked for, what its reply says, and the edits that it makes.

A reply costs what it says: one word for a draft that will do, the wrong words with their correction for one
that nearly does, and one word for one that is beyond mending.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from suffice.plans import structured
from suffice.types import Query

CHECK: Final = """\
The reply above is a draft of somebody else's. Check it: is it correct, complete and in the form that was \
asked for? Do not repeat it. Reply with one JSON object and nothing else:
{"verdict": "accept"} if it can be given as it is;
{"verdict": "edit", "edits": [{"old": "words of the draft", "new": "what they are replaced by"}]} if a few \
changes make it right; "old" is copied from the draft exactly and stands in it only once;
{"verdict": "rewrite"} if it is so wrong that it has to be written anew."""
_WORD: Final = re.compile(r"\W*(accept|rewrite)(?:ed)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Edit:
    """One replacement."""

    old: str
    new: str


@dataclass(frozen=True)
class Verdict:
    """What a check came to."""

    kind: Literal["accept", "edit", "rewrite"]
    edits: tuple[Edit, ...] = ()


def with_draft(query: Query, draft: str) -> Query:
    """The conversation with the draft as its last reply, and the request to check it."""
    messages: list[Any] = [
        *query.chat(),
        {"role": "assistant", "content": draft},
        {"role": "user", "content": CHECK},
    ]
    return msgspec.structs.replace(query, messages=messages)


def verdict(reply: str) -> Verdict | None:
    """What a reply says; None: nothing that can be understood.

    Examples
    --------
    >>> verdict('{"verdict": "edit", "edits": [{"old": "4", "new": "5"}]}')
    Verdict(kind='edit', edits=(Edit(old='4', new='5'),))
    >>> verdict("Accept."), verdict("Well.")
    (Verdict(kind='accept', edits=()), None)
    """
    for found in structured.found(reply, "{"):
        kind = found.get("verdict")
        if kind in ("accept", "rewrite"):
            return Verdict(kind)
        if kind == "edit":
            edits = _edits(found.get("edits"))
            return None if edits is None else Verdict("edit", edits)
    word = _WORD.match(reply)
    if word is None:
        return None
    return Verdict("accept" if word[1].lower() == "accept" else "rewrite")


def edited(draft: str, edits: Sequence[Edit]) -> str | None:
    """The draft with its edits made one after the other; None where one does not fit.

    Examples
    --------
    >>> edited("2 + 2 is 5", [Edit("5", "4")]), edited("2 + 2 is 5", [Edit("2", "3")])
    ('2 + 2 is 4', None)
    """
    for edit in edits:
        if draft.count(edit.old) != 1:
            return None
        draft = draft.replace(edit.old, edit.new)
    return draft


def _edits(value: Any) -> tuple[Edit, ...] | None:
    """At least one, each with something to replace."""
    try:
        edits = msgspec.convert(value, tuple[Edit, ...])
    except msgspec.ValidationError:
        return None
    return edits if edits and all(edit.old for edit in edits) else None
