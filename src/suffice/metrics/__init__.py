"""What a routing curve is worth: hulls, areas, strong-call shares, gains, intervals."""

from suffice.metrics.arena import arena_score
from suffice.metrics.bootstrap import percentile_interval, resample_counts, resampled_means, two_sided_p
from suffice.metrics.frontier import Hull, aiq, cost_share, hull_at, upper_hull
from suffice.metrics.gains import cost_save, oracle_gap, pareto_distance, perf_gain
from suffice.metrics.pairwise import apgr, cpt, pgr, pgr_curve, resampled_apgr

__all__ = [
    "Hull",
    "aiq",
    "apgr",
    "arena_score",
    "cost_save",
    "cost_share",
    "cpt",
    "hull_at",
    "oracle_gap",
    "pareto_distance",
    "percentile_interval",
    "perf_gain",
    "pgr",
    "pgr_curve",
    "resample_counts",
    "resampled_apgr",
    "resampled_means",
    "two_sided_p",
    "upper_hull",
]
