"""Time of the confidence metrics on a million answers: best of three, one thread.

python benchmarks/confidence/metrics.py [rows]
"""

import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from suffice import metrics

REPEATS = 3
LIMIT_S = {"expected_calibration_error": 1.0, "auroc": 1.0, "aurc": 1.0}
CASES = (
    ("expected_calibration_error", {}),
    ("expected_calibration_error", {"binning": "mass"}),
    ("debiased_calibration_error", {}),
    ("reliability_curve", {}),
    ("brier_score", {}),
    ("brier_decomposition", {}),
    ("negative_log_likelihood", {}),
    ("spiegelhalter_test", {}),
    ("auroc", {}),
    ("auprc", {}),
    ("aurc", {}),
    ("excess_aurc", {}),
    ("prediction_rejection_ratio", {}),
    ("risk_coverage_curve", {}),
    ("accuracy_at_coverage", {"coverage": 0.9}),
    ("coverage_at_accuracy", {"accuracy": 0.9}),
)


def best_s(function, *args, **kwargs) -> float:
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        function(*args, **kwargs)
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> int:
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    distinct = rng.random(n_rows)
    tied = np.round(distinct, 2)
    correct = rng.random(n_rows) < distinct
    print(f"{n_rows:,} answers; seconds, best of {REPEATS}")
    print(f"{'metric':<42} {'all distinct':>12} {'101 values':>12} {'limit':>7}")
    is_slow = False
    for name, kwargs in CASES:
        function = getattr(metrics, name)
        times = [best_s(function, confidence, correct, **kwargs) for confidence in (distinct, tied)]
        limit = LIMIT_S.get(name)
        is_slow |= limit is not None and max(times) > limit
        title = f"{name} {' '.join(f'{key}={value}' for key, value in kwargs.items())}"
        print(f"{title:<42} {times[0]:12.3f} {times[1]:12.3f} {limit or '':>7}")
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main())
