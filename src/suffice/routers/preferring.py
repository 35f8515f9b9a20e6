"""Preferences as outcomes: how routers that learn from quality learn from pairs as well.

A battle says nothing of quality, only of a difference, and that depends on who was met. So ratings are
fitted to all battles first (Bradley-Terry); a battle then moves its two models, on its query, by half
of what it surprised the ratings with. RouteLLM (Ong et al., 2024, arXiv 2406.18665, section 3) trains on
the same pairs; ratings as the baseline are ours.
"""

from __future__ import annotations

import numpy as np

from suffice.errors import DataError
from suffice.outcomes import Outcomes, Preferences
from suffice.routers.bradley_terry import bradley_terry, win_table
from suffice.types import FloatArray, Query


def known_battles(preferences: Preferences) -> Preferences:
    """Those with a known preference between two different models.

    Raises
    ------
    DataError
        If there is none.
    """
    is_battle = np.array(
        [a != b for a, b in zip(preferences.model_a, preferences.model_b, strict=True)], np.bool_
    )
    kept = preferences.select(np.flatnonzero(~np.isnan(preferences.pref_b) & is_battle))
    if not len(kept):
        raise DataError(
            f"none of {len(preferences)} pairs holds a preference between two models: at least one is needed"
        )
    return kept


def expected_win_rates(ratings: FloatArray) -> FloatArray:
    """(..., K): the chance of every model against the others, in the mean, from ratings (..., K)."""
    k = ratings.shape[-1]
    if k < 2:
        return np.full(ratings.shape, 0.5)
    chance = 1 / (1 + np.exp(np.clip(ratings[..., None, :] - ratings[..., :, None], -40, 40)))
    return np.asarray((chance.sum(axis=-1) - 0.5) / (k - 1))


def outcomes_of(preferences: Preferences) -> Outcomes:
    """Pairs as a table of quality: expected win rate, moved by what each battle said.

    Several battles of a model on one query are averaged; queries are told apart by id and text.
    """
    battles = known_battles(preferences)
    models = battles.models
    place = {model: k for k, model in enumerate(models)}
    first = np.array([place[model] for model in battles.model_a])
    second = np.array([place[model] for model in battles.model_b])
    keys: dict[tuple[str, str], int] = {}
    rows = np.array(
        [keys.setdefault(key, len(keys)) for key in zip(battles.query_id, battles.query, strict=True)]
    )
    ratings = bradley_terry(win_table(first, second, battles.pref_b, len(models)), penalty=1.0)
    surprise = battles.pref_b - 1 / (1 + np.exp(ratings[first] - ratings[second]))
    sums, counts = np.zeros((2, len(keys), len(models)))
    for model, sign in ((second, 0.5), (first, -0.5)):
        np.add.at(sums, (rows, model), sign * surprise)
        np.add.at(counts, (rows, model), 1)
    quality = expected_win_rates(ratings) + sums / np.maximum(counts, 1)
    queries = [Query(text=text, id=f"{number}") for number, (_, text) in enumerate(keys)]
    return Outcomes.from_arrays(queries, models, np.where(counts > 0, quality.clip(0, 1), np.nan))
