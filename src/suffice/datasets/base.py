"""What every benchmark set is: facts about it, and a row of its file turned into an item."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from suffice.datasets.items import Item
from suffice.datasets.rows import Row

LETTERS: Final = "ABCDEFGHIJ"


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a set."""

    name: str
    title: str
    kind: str
    """In two or three words."""
    metric: str
    license: str
    homepage: str
    n_queries: int
    """Of the part that is read."""
    split: str = "test"
    hub: str = ""
    """Repository of the set on the Hugging Face hub; empty: none."""
    hub_config: str = ""
    """Of that repository; empty: all of them."""
    is_gated: bool = False
    """The hub wants a token of an account that accepted its terms."""
    patterns: tuple[str, ...] = ("*.jsonl", "*.parquet")
    """Its own files inside a folder; the first pattern that fits counts."""
    aliases: tuple[str, ...] = ()
    """What other files call it."""


class TaskSet:
    """Base of all sets: a subclass says what its rows look like.

    A plug-in needs `info` and `item`; `from_long` has a default.
    """

    info: ClassVar[Info]

    def item(self, row: Row, number: int) -> Item | None:
        """One row of the set's own file, or of its copy on the hub; None for a row that is no query.

        Parameters
        ----------
        number : of the row, from 0, where the file has no ids

        Raises
        ------
        KeyError, ValueError, TypeError, IndexError
            If the row is not one of this set: the reader then says which file and row.
        """
        raise KeyError("this set has no files of its own")

    def from_long(self, row: Row) -> Item | None:
        """A row with `query`, `reference` and perhaps `choices`; None where it cannot be scored."""
        if not row.get("reference"):
            return None
        return self.make(row["query_id"], row["query"], reference=row["reference"], split=row.get("split"))

    def make(
        self,
        query_id: str,
        query: str,
        *,
        reference: str,
        instruction: str = "",
        split: str | None = None,
    ) -> Item:
        """An item whose prompt is the query and then the instruction."""
        return Item(
            query_id=query_id,
            query=query,
            prompt=f"{query}\n\n{instruction}" if instruction else "",
            task=self.info.name,
            metric=self.info.metric,
            reference=reference,
            split=split or self.info.split,
            source=self.info.hub or self.info.homepage,
        )


def with_choices(question: str, choices: Sequence[str]) -> str:
    """The question, then one lettered line per choice.

    Examples
    --------
    >>> print(with_choices("Which is a metal?", ["iron", "glass"]))
    Which is a metal?
    A) iron
    B) glass
    """
    if not 2 <= len(choices) <= len(LETTERS):
        raise ValueError(f"{len(choices)} choices; expected 2 to {len(LETTERS)}")
    lines = [f"{letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question.strip(), *lines])


def choice_texts(choices: Any) -> tuple[list[str], list[str]]:
    """(texts, labels) of choices as the sets write them.

    Lists of texts; lists of {"label", "text"}; {"text": [...], "label": [...]}; JSON or Python text of any.
    """
    if isinstance(choices, str):
        choices = _parsed(choices)
    if isinstance(choices, dict):
        texts = [str(text) for text in choices["text"]]
        labels = [
            str(label) for label in choices.get("label") or choices.get("labels") or LETTERS[: len(texts)]
        ]
        return texts, labels
    if all(isinstance(one, dict) for one in choices):
        return [str(one["text"]) for one in choices], [str(one["label"]) for one in choices]
    return [str(one) for one in choices], list(LETTERS[: len(choices)])


def _parsed(text: str) -> Any:
    """JSON, JSON inside JSON, or a Python literal."""
    for _ in range(2):
        try:
            found = json.loads(text)
        except ValueError:
            try:
                return ast.literal_eval(text)
            except (SyntaxError, MemoryError, RecursionError) as error:
                raise ValueError(f"no list of choices: {text[:60]!r}") from error
        if not isinstance(found, str):
            return found
        text = found
    return found


def letter_of(label: str, labels: Sequence[str]) -> str:
    """Our letter for the set's label: some number their choices 1 to 4.

    Examples
    --------
    >>> letter_of("3", ["1", "2", "3", "4"])
    'C'
    """
    return LETTERS[list(labels).index(label)]


def folded(name: str) -> str:
    """A task's name without case, version of spelling and what follows a slash.

    Examples
    --------
    >>> folded("ARC-Challenge"), folded("mmlu/anatomy")
    ('arcchallenge', 'mmlu')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower().partition("/")[0])


def distinct(texts: Iterable[str]) -> list[str]:
    """Each once, in order, without empty ones."""
    return list(dict.fromkeys(text for text in texts if text.strip()))
