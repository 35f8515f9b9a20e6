"""What a routing curve is worth (hulls, areas, strong-call shares, gains), and what a confidence is worth."""

from suffice.metrics.arena import arena_score
from suffice.metrics.bootstrap import percentile_interval, resample_counts, resampled_means, two_sided_p
from suffice.metrics.brier import BrierDecomposition, brier_decomposition, brier_score
from suffice.metrics.calibration_error import (
    average_calibration_error,
    classwise_calibration_error,
    debiased_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    rms_calibration_error,
)
from suffice.metrics.checks import BadScores, top_label
from suffice.metrics.frontier import Hull, aiq, cost_share, hull_at, upper_hull
from suffice.metrics.gains import cost_save, oracle_gap, pareto_distance, perf_gain
from suffice.metrics.ibc import delta_ibc, delta_ibc_interval, ibc
from suffice.metrics.intervals import Interval, bootstrap_ci
from suffice.metrics.likelihood import Spiegelhalter, negative_log_likelihood, spiegelhalter_test
from suffice.metrics.pairwise import apgr, cpt, pgr, pgr_curve, resampled_apgr
from suffice.metrics.ranking import auprc, auroc
from suffice.metrics.reliability import ReliabilityCurve, reliability_curve
from suffice.metrics.risk_coverage import (
    RiskCoverageCurve,
    accuracy_at_coverage,
    auarc,
    aurc,
    coverage_at_accuracy,
    excess_aurc,
    prediction_rejection_ratio,
    risk_coverage_curve,
)

__all__ = [
    "BadScores",
    "BrierDecomposition",
    "Hull",
    "Interval",
    "ReliabilityCurve",
    "RiskCoverageCurve",
    "Spiegelhalter",
    "accuracy_at_coverage",
    "aiq",
    "apgr",
    "arena_score",
    "auarc",
    "auprc",
    "aurc",
    "auroc",
    "average_calibration_error",
    "bootstrap_ci",
    "brier_decomposition",
    "brier_score",
    "classwise_calibration_error",
    "cost_save",
    "cost_share",
    "coverage_at_accuracy",
    "cpt",
    "debiased_calibration_error",
    "delta_ibc",
    "delta_ibc_interval",
    "excess_aurc",
    "expected_calibration_error",
    "hull_at",
    "ibc",
    "maximum_calibration_error",
    "negative_log_likelihood",
    "oracle_gap",
    "pareto_distance",
    "percentile_interval",
    "perf_gain",
    "pgr",
    "pgr_curve",
    "prediction_rejection_ratio",
    "reliability_curve",
    "resample_counts",
    "resampled_apgr",
    "resampled_means",
    "risk_coverage_curve",
    "rms_calibration_error",
    "spiegelhalter_test",
    "top_label",
    "two_sided_p",
    "upper_hull",
]
