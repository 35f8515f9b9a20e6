"""What a routing curve is worth: hulls, areas, strong-call shares, intervals. Arrays in, arrays out."""

from suffice.metrics.bootstrap import percentile_interval, resampled_means
from suffice.metrics.frontier import Hull, aiq, cost_share, hull_at, upper_hull
from suffice.metrics.pairwise import apgr, cpt, pgr, pgr_curve

__all__ = [
    "Hull",
    "aiq",
    "apgr",
    "cost_share",
    "cpt",
    "hull_at",
    "percentile_interval",
    "pgr",
    "pgr_curve",
    "resampled_means",
    "upper_hull",
]
