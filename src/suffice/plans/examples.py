"""Fewer solved examples for a cheap model: those nearest to the question, in their order.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "prompt selection". There a subset of the examples is chosen once
for a data set; here it is the ones most similar to the query at hand, so nothing has to be fitted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from suffice.protocols import Embedder
from suffice.types import Query, content_text

_LABEL: Final = re.compile(r"\s*(\w[\w ]{0,30}?)(?:\s*\d+)?\s*:")
_NAMED: Final = frozenset({"example_user", "example_assistant"})


def adapted(query: Query, most: int, embedder: Embedder) -> Query:
    """The query with at most `most` of its examples; the same query where it has no more.

    Examples are messages named `example_user` and `example_assistant`, or paragraphs of the last message that
    begin with the same label as its last paragraph does, such as "Question:".
    """
    messages = list(query.chat())
    named = [place for place, one in enumerate(messages) if one.get("name") in _NAMED]
    if named:
        starts = [place for place in named if messages[place].get("name") == "example_user"]
        groups = [[place for place in named if start <= place < stop]
                  for start, stop in zip(starts, [*starts[1:], len(messages)], strict=True)]  # fmt: skip
        texts = ["\n".join(content_text(messages[place].get("content")) for place in one) for one in groups]
        kept = nearest(texts, query.text, most, embedder)
        dropped = {place for one, group in enumerate(groups) if one not in kept for place in group}
        found = [message for place, message in enumerate(messages) if place not in dropped]
        return query if not dropped else msgspec.structs.replace(query, messages=found)
    return _in_text(query, messages, most, embedder)


def split(text: str) -> tuple[list[str], list[str], str]:
    """A prompt's head, its examples and its question, by paragraphs.

    Examples
    --------
    >>> split("Add.\\n\\nQ: 1 + 1\\nA: 2\\n\\nQ: 2 + 2\\nA:")
    (['Add.'], ['Q: 1 + 1\\nA: 2'], 'Q: 2 + 2\\nA:')
    >>> split("How are you?")
    ([], [], 'How are you?')
    """
    *before, question = text.split("\n\n")
    label = _label(question)
    start = len(before)
    while label is not None and start and _label(before[start - 1]) == label:
        start -= 1
    return before[:start], before[start:], question


def nearest(texts: Sequence[str], question: str, most: int, embedder: Embedder) -> set[int]:
    """Places of those most similar to the question; equal ones: the earlier."""
    if len(texts) <= most:
        return set(range(len(texts)))
    vectors = embedder.embed([*texts, question]).astype(np.float64)
    norms = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    near = vectors[:-1] @ vectors[-1] / norms[:-1]
    return set(np.argsort(-near, kind="stable")[:most].tolist())


def _in_text(query: Query, messages: Sequence[Mapping[str, Any]], most: int, embedder: Embedder) -> Query:
    last = messages[-1]
    content = last.get("content")
    if not isinstance(content, str):
        return query
    head, examples, question = split(content)
    kept = nearest(examples, question, most, embedder)
    if len(kept) == len(examples):
        return query
    text = "\n\n".join([*head, *(one for place, one in enumerate(examples) if place in kept), question])
    changed = [*messages[:-1], {**last, "content": text}]
    return msgspec.structs.replace(query, messages=changed, text=text)


def _label(paragraph: str) -> str | None:
    found = _LABEL.match(paragraph)
    return None if found is None else found[1].casefold()
