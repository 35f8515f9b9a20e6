"""What every metric is."""

from __future__ import annotations

import json
from typing import Protocol


class Metric(Protocol):
    """Grades one response."""

    def score(self, response: str, reference: str) -> float:
        """In [0, 1], higher is better.

        Parameters
        ----------
        response : what the model said; any text at all
        reference : what the task says is right

        Raises
        ------
        ValueError
            If the reference is not one of this metric: never because of the response.
        """
        ...


def golds(reference: str) -> list[str]:
    """The right answers: a JSON list of texts stands for several, any other text for itself.

    Examples
    --------
    >>> golds('["14 December 1972", "1972"]')
    ['14 December 1972', '1972']
    >>> golds("[sic] a quotation")
    ['[sic] a quotation']
    """
    if reference.lstrip().startswith("["):
        try:
            found = json.loads(reference)
        except (ValueError, RecursionError):
            return [reference]
        if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
            return found
    return [reference]
