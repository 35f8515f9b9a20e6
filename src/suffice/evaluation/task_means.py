"""The reference line that reads the task label: how far a router could come by knowing the task alone."""

from __future__ import annotations

import numpy as np

from suffice.outcomes import Outcomes
from suffice.routers.base import arm_means
from suffice.types import FloatArray


def task_mean_scores(train: Outcomes, test: Outcomes) -> FloatArray | None:
    """Every test query scored by the mean quality of its task in training.

    Parameters
    ----------
    train, test : the same K arms

    Returns
    -------
    shape (n_test, K); the overall mean for a task, or a task's arm, without training data. None where
    the training data name fewer than two tasks
    """
    named = sorted({task for task in train.tasks if task is not None})
    if len(named) < 2:
        return None
    overall = arm_means(train.quality)
    tasks = np.array([task or "" for task in train.tasks], dtype=object)
    means = {}
    for task in named:
        mean = arm_means(train.quality[tasks == task])
        means[task] = np.where(np.isnan(mean), overall, mean)
    return np.array([means.get(task or "", overall) for task in test.tasks])
