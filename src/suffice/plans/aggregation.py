"""How an aggregator is asked: the proposals before the conversation, cut to what it can read.

References
----------
Wang et al. (2024), Mixture-of-Agents Enhances Large Language Model Capabilities, table 1: the instruction is
theirs, a little shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from suffice.types import Candidate, Options, Query

BYTES_PER_TOKEN: Final = 3
"""Cautious, as for context windows."""
_INSTRUCTION: Final = """\
You have been provided with responses from several models to the latest user query. Synthesise them into one \
response of high quality. Evaluate them critically: some of what they say may be biased or incorrect. Do not \
simply repeat them, and do not mention them: give a refined, accurate and complete reply to the query, in \
the form that it asks for.

Responses from models:"""
_REPLY_TOKENS: Final = 1_024
"""Kept free for the reply where the request sets no limit, or a quarter of a small window."""
_LEAST_CHARS: Final = 200


def with_proposals(query: Query, texts: Sequence[str]) -> Query:
    """The conversation with the proposals in its system message."""
    listed = "\n\n".join(f"{place}. {text}" for place, text in enumerate(texts, 1))
    return instructed(query, f"{_INSTRUCTION}\n\n{listed}")


def instructed(query: Query, instruction: str) -> Query:
    """The conversation with an instruction behind its system message's own."""
    messages: list[Any] = list(query.chat())
    first = messages[0]
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        messages[0] = {**first, "content": f"{first['content']}\n\n{instruction}"}
    else:
        messages.insert(0, {"role": "system", "content": instruction})
    return msgspec.structs.replace(query, messages=messages)


def trimmed(
    texts: Sequence[str], query: Query, candidate: Candidate, options: Options
) -> tuple[list[str], int | None]:
    """The texts as far as the aggregator can read them, and the characters that each may have.

    Short ones leave their room to the others. None: nothing was cut.
    """
    window = candidate.context_window
    if window is None:
        return list(texts), None
    kept = options.max_tokens or min(_REPLY_TOKENS, window // 4)
    sent = sum(len(str(message.get("content") or "")) for message in query.chat()) + len(_INSTRUCTION)
    room = (window - kept) * BYTES_PER_TOKEN - sent - 8 * len(texts)
    if sum(len(text.encode()) for text in texts) <= room:
        return list(texts), None
    share = max(_share([len(text.encode()) for text in texts], room), _LEAST_CHARS)
    return [text.encode()[:share].decode(errors="ignore") for text in texts], share


def _share(lengths: Sequence[int], room: int) -> int:
    """The length that each may have so that all together keep to the room.

    Examples
    --------
    >>> _share([10, 100, 100], 110)
    50
    """
    left = max(room, 0)
    for place, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - place)
        if length > share:
            return share
        left -= length
    return max(lengths)
