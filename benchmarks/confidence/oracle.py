"""Every confidence metric against an independent tool: metric, tool, largest difference.

In an environment of its own:

    python -m venv oracle
    oracle/bin/pip install scikit-learn netcal==1.4.0 mapie uncertainty-calibration
    oracle/bin/pip install --no-deps lm-polygraph==0.7.0
    PYTHONPATH=src oracle/bin/python benchmarks/confidence/oracle.py [--write tests/confidence_reference.json]

With --write, the answers and what the tools said of them go to a file, which the tests read. Where no tool
follows our conventions (bins at their edges, the Brier score's parts), a loop over exact fractions stands in.
"""

import importlib
import importlib.util
import json
import math
import sys
import types
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
from calibration import utils as kumar
from mapie.metrics.calibration import spiegelhalter_p_value, spiegelhalter_statistic
from netcal.metrics import ACE, ECE, MCE
from scipy.stats import foldnorm
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from suffice import metrics

TOLERANCE = 1e-8
LEFT = {"closed": "left", "n_bins": 10}
LEFT_MASS = {**LEFT, "binning": "mass"}


def polygraph(module):
    """A module of lm-polygraph's metrics, without the package around it, which needs all its dependencies."""
    found = importlib.util.find_spec("lm_polygraph")
    package = types.ModuleType("ue_metrics")
    package.__path__ = [str(Path(found.submodule_search_locations[0]) / "ue_metrics")]
    sys.modules.setdefault("ue_metrics", package)
    return importlib.import_module(f"ue_metrics.{module}")


def cases():
    """Answers by name, rounded so that a text file holds them exactly."""
    rng = np.random.default_rng(4)
    distinct = np.round(rng.permutation(np.arange(1, 240) / 240) + 1e-4 * rng.random(239), 6)
    edges = rng.integers(0, 21, 240) / 20
    logits = rng.normal(size=(150, 4))
    probs = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 6)
    probs[:, 3] = np.round(1 - probs[:, :3].sum(axis=1), 6)
    drawn = (rng.random((150, 1)) > np.cumsum(probs, axis=1)).sum(axis=1).clip(0, 3)
    return {
        "distinct": (distinct, (rng.random(239) < distinct**2).astype(int)),
        "edges": (edges, (rng.random(240) < edges).astype(int)),
        "rare": (distinct, (rng.random(239) < 0.03).astype(int)),
        "graded": (distinct, np.round(rng.beta(1 + 2 * distinct, 2), 4)),
        "classes": (probs, drawn),
    }


def exact_bins(confidence, correct, n_bins):
    """Per bin (l, u]: count, mean confidence, mean correctness, as fractions."""
    bins = defaultdict(list)
    for c, y in zip(confidence.tolist(), correct.tolist(), strict=True):
        sure = Fraction(str(c))
        bins[max(math.ceil(sure * n_bins), 1)].append((sure, Fraction(str(y))))
    return [
        (len(rows), sum(c for c, _ in rows) / len(rows), sum(y for _, y in rows) / len(rows))
        for _, rows in sorted(bins.items())
    ]


def exact_error(power):
    def error(c, y, n_bins=15):
        parts = exact_bins(c, y, n_bins)
        return float(sum(n * abs(a - b) ** power for n, a, b in parts) / len(c)) ** (1 / power)

    return error


def exact_parts(c, y):
    parts, mean = exact_bins(c, y, 15), sum(Fraction(str(v)) for v in y.tolist()) / len(y)
    variance = sum((Fraction(str(v)) - mean) ** 2 for v in y.tolist()) / len(y)
    reliability = sum(n * (a - b) ** 2 for n, a, b in parts) / len(c)
    resolution = sum(n * (b - mean) ** 2 for n, _, b in parts) / len(c)
    return [float(reliability), float(resolution), float(variance)]


def debiased_l1(c, y):
    total = 0.0
    for n, sure, right in exact_bins(c, y, 15):
        gap, spread = abs(float(right - sure)), math.sqrt(right * (1 - right) / n)
        total += n / len(c) * (2 * gap - (foldnorm.mean(gap / spread, scale=spread) if spread else gap))
    return max(total, 0.0)


def debiased_l2(c, y):
    return kumar.unbiased_l2_ce(kumar.bin(list(zip(c, y, strict=True)), kumar.get_equal_prob_bins(c, 15)))


def risk_area(c, y):
    curve = polygraph("risk_cov_curve").RiskCoverageCurveAUC()
    scaled = curve(-c, y)  # of correctness stretched to 0..1
    return 1 - (y.min() + (1 - scaled) * (y.max() - y.min()))


def rejection_ratio(c, y, max_rejection=1.0):
    area = polygraph("pred_rej_area").PredictionRejectionArea(max_rejection)
    chance = (y.mean() - y.min()) / (y.max() - y.min())
    return (area(-c, y) - chance) / (area(-y, y) - chance)


def coverage_at(c, y, accuracy):
    precision, _, threshold = sk.precision_recall_curve(y, c)
    return max((np.mean(c >= t) for p, t in zip(precision[:-1], threshold, strict=True) if p >= accuracy))


def two_sided(c, y):
    above = spiegelhalter_p_value(y, c)
    return [spiegelhalter_statistic(y, c), 2 * min(above, 1 - above)]


def checks():
    """Metric, arguments, cases, tool, what it says."""
    for name, cls in (("expected", ECE), ("average", ACE), ("maximum", MCE)):
        metric = f"{name}_calibration_error"
        yield metric, LEFT, "distinct rare", "netcal", lambda c, y, cls=cls: cls(10).measure(c, y)
        yield (
            *(metric, LEFT_MASS, "distinct rare", "netcal"),
            lambda c, y, cls=cls: cls(10, equal_intervals=False).measure(c, y),
        )
    ece = "expected_calibration_error"
    yield ece, LEFT, "classes", "netcal", lambda c, y: ECE(10).measure(c, y)
    yield (
        ece,
        {"n_bins": 20},
        "distinct rare graded",
        "lm-polygraph",
        lambda c, y: polygraph("ece").ECE()(-c, y),
    )
    for n_bins in (10, 15, 20):
        yield (
            ece,
            {"n_bins": n_bins},
            "edges distinct graded",
            "exact fractions",
            lambda c, y, n=n_bins: exact_error(1)(c, y, n),
        )
    yield "rms_calibration_error", {}, "edges distinct graded", "exact fractions", exact_error(2)
    yield "debiased_calibration_error", {}, "distinct rare", "uncertainty-calibration", debiased_l2
    yield "debiased_calibration_error", {"norm": "l1"}, "distinct rare edges", "scipy", debiased_l1
    yield (
        *("classwise_calibration_error", LEFT, "classes", "netcal"),
        lambda p, k: np.mean([ECE(10).measure(p[:, j], (k == j).astype(int)) for j in range(4)]),
    )
    for binning, strategy in (("uniform", "uniform"), ("mass", "quantile")):
        yield (
            *("reliability_curve", {"n_bins": 10, "binning": binning}, "distinct rare", "scikit-learn"),
            lambda c, y, s=strategy: [*map(list, calibration_curve(y, c, n_bins=10, strategy=s)[::-1])],
        )
    yield "brier_score", {}, "distinct edges rare", "scikit-learn", lambda c, y: sk.brier_score_loss(y, c)
    yield "brier_score", {}, "classes", "scikit-learn", lambda p, k: sk.brier_score_loss(k, p)
    yield "brier_decomposition", {}, "edges distinct graded", "exact fractions", exact_parts
    yield "negative_log_likelihood", {}, "distinct edges rare", "scikit-learn", lambda c, y: sk.log_loss(y, c)
    yield "negative_log_likelihood", {}, "classes", "scikit-learn", lambda p, k: sk.log_loss(k, p)
    yield "spiegelhalter_test", {}, "distinct edges", "MAPIE", two_sided
    yield "auroc", {}, "distinct edges rare", "scikit-learn", lambda c, y: sk.roc_auc_score(y, c)
    yield "auprc", {}, "distinct edges rare", "scikit-learn", lambda c, y: sk.average_precision_score(y, c)
    yield "aurc", {}, "distinct rare graded", "lm-polygraph", risk_area
    yield "auarc", {}, "distinct rare graded", "lm-polygraph", lambda c, y: 1 - risk_area(c, y)
    yield (
        "excess_aurc",
        {},
        "distinct rare graded",
        "lm-polygraph",
        lambda c, y: risk_area(c, y) - risk_area(y, y),
    )
    for m in (1.0, 0.5, 0.29):
        yield (
            *("prediction_rejection_ratio", {"max_rejection": m}, "distinct rare graded", "lm-polygraph"),
            lambda c, y, m=m: rejection_ratio(c, y, m),
        )
    for coverage in (0.5, 0.7, 0.9):
        yield (
            *("accuracy_at_coverage", {"coverage": coverage}, "distinct graded", "sorted by hand"),
            lambda c, y, k=coverage: y[np.argsort(-c)][: math.ceil(Fraction(str(k)) * len(c))].mean(),
        )
    for accuracy in (0.5, 0.8, 0.9):
        yield (
            *("coverage_at_accuracy", {"accuracy": accuracy}, "distinct edges", "scikit-learn"),
            lambda c, y, a=accuracy: coverage_at(c, y, a),
        )


def ours(metric, c, y, arguments):
    value = getattr(metrics, metric)(c, y, **arguments)
    return value[:2] if metric == "reliability_curve" else value


def main():
    data, worst, said = cases(), {}, []
    for metric, arguments, names, tool, says in checks():
        for name in names.split():
            confidence, correct = data[name]
            value = says(confidence, correct)
            gap = np.max(np.abs(np.subtract(ours(metric, confidence, correct, arguments), value)))
            worst[metric, tool] = max(gap, worst.get((metric, tool), 0.0))
            value = np.asarray(value, dtype=float).tolist()
            said.append(
                {"metric": metric, "case": name, "arguments": arguments, "tool": tool, "value": value}
            )
    print(f"{'metric':<28} {'tool':<24} {'largest difference':>18}")
    for (metric, tool), gap in sorted(worst.items()):
        print(f"{metric:<28} {tool:<24} {gap:18.1e}")
    if "--write" in sys.argv:
        lists = {name: [part.tolist() for part in pair] for name, pair in data.items()}
        Path(sys.argv[sys.argv.index("--write") + 1]).write_text(json.dumps({"cases": lists, "said": said}))
    return int(max(worst.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
