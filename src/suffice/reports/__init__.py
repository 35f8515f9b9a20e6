"""What people read: the table, the advice and the page of a comparison."""

from suffice.reports.advice import advice
from suffice.reports.page import page
from suffice.reports.table import ReportTable, table

__all__ = ["ReportTable", "advice", "page", "table"]
