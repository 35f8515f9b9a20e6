"""Recorded answers: `Runs` (one row per call), `Outcomes` (queries by arms), `Preferences` (pairs).

All three read and write Parquet, JSONL and CSV (`docs/data.md`). Unknown is NaN or None, never 0.
"""

from suffice.outcomes.preferences import Preferences
from suffice.outcomes.runs import Runs
from suffice.outcomes.table import Outcomes

__all__ = ["Outcomes", "Preferences", "Runs"]
