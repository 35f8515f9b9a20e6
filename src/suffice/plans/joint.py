"""Several questions in one prompt, and the replies taken apart again.

References
----------
Chen et al. (2023), FrugalGPT, section 3: "query concatenation". What all questions share, such as a system
message with examples, is then sent and paid for once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

import msgspec

from suffice.plans import structured
from suffice.plans.usable import is_refusal
from suffice.types import Options, Query, Usage

_INSTRUCTION: Final = """\
Answer each of these {n} questions by itself, as if it were the only one. Reply with one JSON list of {n} \
strings, the answers in the same order, and nothing else."""
_PICO: Final = Decimal("1e-12")
_LIMITS: Final = ("max_tokens", "max_completion_tokens")


def joined(query: Query, questions: Sequence[str]) -> Query:
    """The conversation of `query` with all questions in the place of its last message."""
    listed = [f"Question {place}: {text}" for place, text in enumerate(questions, 1)]
    content = "\n\n".join([_INSTRUCTION.format(n=len(questions)), *listed])
    head = query.chat()[:-1]
    return msgspec.structs.replace(
        query, text=content, messages=[*head, {"role": "user", "content": content}]
    )


def widened(options: Options, n: int) -> Options:
    """The options with room for n answers where the client limits one."""
    fields: dict[str, Any] = dict(options.fields)
    fields |= {name: n * fields[name] for name in _LIMITS if isinstance(fields.get(name), int)}
    return msgspec.structs.replace(options, fields=fields)


def apart(reply: str, n: int) -> list[str | None] | None:
    """The n answers; None for one that is empty or a refusal. None in all: it is no list of n answers.

    Examples
    --------
    >>> apart('Here: ["4", "", 6]', 3), apart('["4", "6"]', 3)
    (['4', None, '6'], None)
    """
    lists = structured.found(reply, "[")
    if len(lists) != 1 or len(lists[0]) != n:
        return None
    found = lists[0]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in found):
        return None
    texts = [str(one).strip() for one in found]
    return [text if text and not is_refusal(text) else None for text in texts]


def shared_usd(cost_usd: Decimal | None, n: int) -> list[Decimal | None]:
    """Equal parts that add up to the whole; the first takes what is left over."""
    if cost_usd is None:
        return [None] * n
    part = (cost_usd / n).quantize(_PICO, rounding=ROUND_DOWN)
    return [cost_usd - part * (n - 1), *[part] * (n - 1)]


def shared_usage(usage: Usage, n: int) -> list[Usage]:
    """As `shared_usd`, of every count of tokens."""
    counts: Mapping[str, Any] = msgspec.structs.asdict(usage)
    parts: list[dict[str, Any]] = [{} for _ in range(n)]
    for name, count in counts.items():
        for place, part in enumerate(parts):
            if count is None:
                part[name] = None
            elif isinstance(count, int):
                part[name] = count // n + (place < count % n)
            else:
                part[name] = count / n
    return [Usage(**part) for part in parts]
