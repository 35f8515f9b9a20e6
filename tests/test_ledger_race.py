"""Budgets under concurrency and under kill -9: small versions of `benchmarks/online/ledger.py`."""

import re

import pytest

from servers import benchmark


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_no_race_spends_beyond_a_budget_or_leaves_it_unused(kind: str) -> None:
    if kind != "sqlite":
        module = {"postgres": "psycopg", "redis": "redis"}[kind]
        pytest.importorskip(module, reason=f"pip install 'suffice[{kind}]'")
    said = benchmark(
        "ledger.py", "race", "--ledger", kind, "--repeats", "2", "--tasks", "50", "--calls", "400"
    )
    if "left out" in said:
        pytest.skip(said.strip())
    lines = said.splitlines()
    assert len(lines) == 2, said
    for line in lines:
        assert ": 0 over the cap;" in line and "; 0 left reserved;" in line, line
        served = re.search(r"served ([\d.]+)% at least", line)
        assert served is not None and float(served[1]) >= 99, line


def test_kills_lose_nothing_that_was_acknowledged() -> None:
    said = benchmark("ledger.py", "kill", "--kills", "5")
    acknowledged = re.search(r"(\d+) operations acknowledged", said)
    assert acknowledged is not None and int(acknowledged[1]) > 50, said
    assert "acknowledged: 0 lost, the books differ by 0 pico-dollars, 0 still held" in said
    assert "damaged 0 times" in said
