"""The greedy answer as other probes quote it."""

from __future__ import annotations

from typing import Final

from suffice.errors import ProviderError
from suffice.plans.probes.base import Evidence

_MAX_CHARS: Final = 4_000


def told(evidence: Evidence) -> str:
    """Its text, cut where it would flood a prompt.

    Raises
    ------
    ProviderError
        If there is none: nothing can be asked about it.
    """
    greedy = evidence.first("greedy")
    if greedy is None or not greedy.text.strip():
        raise ProviderError("there is no answer to ask about")
    text = greedy.text.strip()
    return text if len(text) <= _MAX_CHARS else text[:_MAX_CHARS] + " ..."
