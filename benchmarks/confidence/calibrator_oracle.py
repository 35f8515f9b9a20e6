"""Calibrators and tests of the guarantee beside independent tools.

    python benchmarks/confidence/calibrator_oracle.py

50 random sets of 40 to 400 rows, some rounded so that scores tie. Largest difference of any prediction on a
grid of confidences (Temperature, Beta: of the loss that is reached), of any p-value or bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import sklearn
from scipy import optimize, special, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from suffice.calibration import Beta, Isotonic, Platt, Temperature, VennAbers
from suffice.calibration.guarantee import binomial_cdf, clopper_pearson, hoeffding_bentkus_p

GRID = np.linspace(0.005, 0.995, 100)


def rows(rng: np.random.Generator) -> tuple[Any, Any]:
    n = int(rng.integers(40, 400))
    confidence = np.clip(rng.beta(3, 1.5, n), 0.01, 0.99)
    confidence = confidence.round(2) if rng.random() < 0.5 else confidence
    return confidence, rng.random(n) < special.expit(0.5 * special.logit(confidence) - 0.2)


def loss(z: Any, correct: Any) -> float:
    return float(np.mean(np.logaddexp(0, z) - correct * z))


def temperature(confidence: Any, correct: Any) -> float:
    z = special.logit(confidence)
    best = optimize.minimize_scalar(
        lambda b: loss(b * z, correct), bounds=(0.01, 100), method="bounded", options={"xatol": 1e-12}
    )
    return abs(loss(z / Temperature().fit(confidence, correct).temperature_, correct) - best.fun)


def platt(confidence: Any, correct: Any) -> float:
    z = special.logit(confidence)[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(
        z, correct
    )
    mine = Platt().fit(confidence, correct).predict(GRID)
    return float(np.abs(mine - theirs.predict_proba(special.logit(GRID)[:, None])[:, 1]).max())


def beta(confidence: Any, correct: Any) -> float:
    features = np.column_stack([np.log(confidence), -np.log1p(-confidence), np.ones(len(confidence))])
    best = optimize.minimize(
        lambda w: loss(features @ w, correct),
        np.array([1.0, 1.0, 0.0]),
        jac=lambda w: features.T @ (special.expit(features @ w) - correct) / len(correct),
        bounds=[(0, None), (0, None), (None, None)],
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10_000},
    )
    fitted = Beta().fit(confidence, correct)
    return abs(loss(features @ [fitted.a_, fitted.b_, fitted.m_], correct) - best.fun)


def isotonic(confidence: Any, correct: Any) -> float:
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidence, correct.astype(float)).predict(GRID)
    return float(np.abs(Isotonic().fit(confidence, correct).predict(GRID) - theirs).max())


def venn_abers(confidence: Any, correct: Any) -> float:
    found = VennAbers().fit(confidence, correct).interval(GRID)
    worst = 0.0
    for label in (0, 1):
        for c, p in zip(GRID, found[label], strict=True):
            peer = IsotonicRegression().fit([*confidence, c], [*correct.astype(float), label])
            worst = max(worst, abs(p - peer.predict([c])[0]))
    return worst


def exact_binomial(confidence: Any, correct: Any) -> float:
    n, k = len(correct), int((~correct).sum())
    return max(abs(binomial_cdf(k, n, p) - stats.binom.cdf(k, n, p)) for p in (0.02, 0.1, 0.5, 0.97))


def upper_bound(confidence: Any, correct: Any) -> float:
    n, k = len(correct), int((~correct).sum())
    return abs(clopper_pearson(k, n, 0.1) - stats.beta.ppf(0.9, k + 1, n - k))


def hoeffding_bentkus(confidence: Any, correct: Any) -> float:
    n, k = len(correct), int((~correct).sum())
    worst = 0.0
    for a in (0.1, 0.3, 0.6):
        r = min(k / n, a)
        hoeffding = np.exp(-n * (special.rel_entr(r, a) + special.rel_entr(1 - r, 1 - a)))
        theirs = min(1.0, hoeffding, np.e * stats.binom.cdf(k, n, a))
        worst = max(worst, abs(hoeffding_bentkus_p(k / n, n, a) - theirs))
    return worst


CASES: dict[str, tuple[str, Callable[[Any, Any], float]]] = {
    "Temperature (loss)": ("scipy, bounded search", temperature),
    "Platt": ("scikit-learn, no penalty", platt),
    "Beta (loss)": ("scipy, L-BFGS-B", beta),
    "Isotonic": ("scikit-learn", isotonic),
    "VennAbers p0, p1": ("scikit-learn, refitted", venn_abers),
    "binomial_cdf": ("scipy", exact_binomial),
    "clopper_pearson": ("scipy, beta quantile", upper_bound),
    "hoeffding_bentkus_p": ("scipy", hoeffding_bentkus),
}


def main() -> None:
    print(f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}")
    print(f"{'what':<22}{'beside':<28}largest difference")
    for name, (tool, differ) in CASES.items():
        n_sets = 5 if name.startswith("Venn") else 50
        worst = max(differ(*rows(np.random.default_rng(seed))) for seed in range(n_sets))
        print(f"{name:<22}{tool:<28}{worst:.1e}")


if __name__ == "__main__":
    main()
