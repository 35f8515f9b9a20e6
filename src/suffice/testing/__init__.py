"""Checks for parts that plug in: run them over yours."""

from suffice.testing.router_checks import ROUTER_CHECKS, Subject, check_router
from suffice.testing.toy import table

__all__ = ["ROUTER_CHECKS", "Subject", "check_router", "table"]
