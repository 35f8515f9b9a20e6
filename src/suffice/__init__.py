"""Suffice answers every query with the cheapest plan that suffices, and proves it."""
