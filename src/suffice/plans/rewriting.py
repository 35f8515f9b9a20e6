"""A conversation as one search query, written by a small model.

References
----------
Ma et al. (2023), Query Rewriting for Retrieval-Augmented Large Language Models, arXiv 2305.14283, section
3.1: a frozen model is told to rewrite; there is no training of the rewriter here.
"""

from __future__ import annotations

from typing import Final

from suffice.plans.asking import Reply
from suffice.plans.rounds import Rounds, inner, transcript
from suffice.plans.usable import fault
from suffice.types import Options, Query

_PROMPT: Final = """\
Write one short search query that would find what is needed to answer the last message below. Name what \
pronouns stand for. Write the query alone, on one line, and do not answer.

{conversation}

Search query:"""
_TOKENS: Final = 48
_MOST_CHARS: Final = 300
_LATEST: Final = 8_000


async def rewritten(rounds: Rounds, name: str) -> tuple[Reply, str]:
    """The call, and the search query; the last user message where nothing fit was written."""
    said = transcript(rounds.query.chat())[-_LATEST:]
    query = Query(text=_PROMPT.replace("{conversation}", said))
    options = inner(Options(), temperature=0, max_tokens=_TOKENS)
    reply = await rounds.ask(query, (name,), "rewrite", options=options)
    text = "" if reply.answer is None or fault(reply, Options()) else reply.answer.content
    lines = [line.strip().strip("\"'`").strip() for line in text.splitlines()]
    best = next((line for line in lines if line), "")[:_MOST_CHARS]
    return reply, best or rounds.query.text
