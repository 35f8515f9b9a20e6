"""What people read: the tables, the advice and the page of a comparison."""

from suffice.reports.advice import advice
from suffice.reports.grids import Grid, grids
from suffice.reports.page import page
from suffice.reports.replayed import replay_curve, replay_figures
from suffice.reports.suggested import commands, options, why
from suffice.reports.table import ReportTable, table

__all__ = [
    "Grid",
    "ReportTable",
    "advice",
    "commands",
    "grids",
    "options",
    "page",
    "replay_curve",
    "replay_figures",
    "table",
    "why",
]
