"""Benchmark data and the recorded panel: queries, answers, grades."""
