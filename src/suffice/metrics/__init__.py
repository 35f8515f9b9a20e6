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
from suffice.metrics.drift import Adwin, PageHinkley
from suffice.metrics.frontier import Hull, aiq, cost_share, hull_at, upper_hull
from suffice.metrics.gains import cost_save, oracle_gap, pareto_distance, perf_gain
from suffice.metrics.ibc import delta_ibc, delta_ibc_interval, ibc
from suffice.metrics.intervals import Interval, bootstrap_ci
from suffice.metrics.likelihood import Spiegelhalter, negative_log_likelihood, spiegelhalter_test
from suffice.metrics.off_policy import (
    Logged,
    OffPolicy,
    cluster_bootstrap,
    cross_fitted,
    direct,
    doubly_robust,
    estimates,
    floored,
    ips,
    snips,
    switch_dr,
)
from suffice.metrics.paired import paired_lower_bound
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
from suffice.metrics.sequential import (
    Bounds,
    Difference,
    asymptotic_sequence,
    betting_sequence,
    empirical_bernstein_sequence,
    mixture_radius,
    ratio_mismatch,
    sample_ratio_p,
)
from suffice.metrics.wilson import wilson_interval

__all__ = [
    "Adwin",
    "BadScores",
    "Bounds",
    "BrierDecomposition",
    "Difference",
    "Hull",
    "Interval",
    "Logged",
    "OffPolicy",
    "PageHinkley",
    "ReliabilityCurve",
    "RiskCoverageCurve",
    "Spiegelhalter",
    "accuracy_at_coverage",
    "aiq",
    "apgr",
    "arena_score",
    "asymptotic_sequence",
    "auarc",
    "auprc",
    "aurc",
    "auroc",
    "average_calibration_error",
    "betting_sequence",
    "bootstrap_ci",
    "brier_decomposition",
    "brier_score",
    "classwise_calibration_error",
    "cluster_bootstrap",
    "cost_save",
    "cost_share",
    "coverage_at_accuracy",
    "cpt",
    "cross_fitted",
    "debiased_calibration_error",
    "delta_ibc",
    "delta_ibc_interval",
    "direct",
    "doubly_robust",
    "empirical_bernstein_sequence",
    "estimates",
    "excess_aurc",
    "expected_calibration_error",
    "floored",
    "hull_at",
    "ibc",
    "ips",
    "maximum_calibration_error",
    "mixture_radius",
    "negative_log_likelihood",
    "oracle_gap",
    "paired_lower_bound",
    "pareto_distance",
    "percentile_interval",
    "perf_gain",
    "pgr",
    "pgr_curve",
    "prediction_rejection_ratio",
    "ratio_mismatch",
    "reliability_curve",
    "resample_counts",
    "resampled_apgr",
    "resampled_means",
    "risk_coverage_curve",
    "rms_calibration_error",
    "sample_ratio_p",
    "snips",
    "spiegelhalter_test",
    "switch_dr",
    "top_label",
    "two_sided_p",
    "upper_hull",
    "wilson_interval",
]
