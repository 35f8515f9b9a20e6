"""Whether an answer can be given: something was said, it is no refusal, and it has the wanted shape."""

from __future__ import annotations

import re
from typing import Final

from suffice.plans import structured
from suffice.plans.asking import Reply
from suffice.types import Options

_REFUSAL: Final = re.compile(
    r"(?:i'?m|i am|we'?re|we are)\s+(?:\w+\s+)?(?:sorry|afraid)\b[^.\n]{0,60}"
    r"\b(?:can'?t|cannot|can not|won'?t|unable|not able)\b"
    r"|(?:sorry,?\s+(?:but\s+)?)?i\s+(?:can'?t|cannot|can not|won'?t|am (?:unable|not able) to)"
    r"\s+(?:help|assist|answer|comply|fulfil|provide|do that|discuss|engage|support)"
    r"|as an ai(?: language model| assistant)?,?\s+i\s+(?:can'?t|cannot|am unable|am not able|do not|don'?t)"
)
_HEAD: Final = 200


def fault(reply: Reply, options: Options) -> str | None:
    """Why the reply is not to be accepted while somebody else can be asked; None: it is usable."""
    answer = reply.answer
    if answer is None:
        return f"failed ({type(reply.error).__name__})"
    if answer.finish_reason == "content_filter":
        return "refused"
    if calls_tools(reply):
        return None
    if not answer.content.strip():
        return "empty"
    if is_refusal(answer.content):
        return "refused"
    return structured.problem(answer.content, options)


def calls_tools(reply: Reply) -> bool:
    """Whether the answer is a call of tools, rather than text."""
    if reply.answer is not None and reply.answer.tool_calls:
        return True
    calls = (b'"tool_calls"', b'"function_call"')
    return any(
        chunk.has_content and not chunk.text and any(chunk.data.find(word) >= 0 for word in calls)
        for chunk in reply.chunks
    )


def is_refusal(text: str) -> bool:
    """Whether an answer begins as refusals do. One taken for a refusal by mistake costs a further call.

    Examples
    --------
    >>> is_refusal("I\u2019m sorry, but I can\u2019t assist with that."), is_refusal("Sorry is a card game.")
    (True, False)
    """
    return _REFUSAL.match(text.lstrip()[:_HEAD].casefold().replace("\u2019", "'")) is not None
