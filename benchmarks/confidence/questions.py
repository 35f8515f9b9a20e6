"""The recorded panel's questions as a file for `suffice confidence run --data`.

    python -m benchmarks.confidence.questions questions.jsonl --limit 48

The first case of every template, so that no two questions are alike; models are told to answer tersely.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from suffice.datasets import panel, write_items
from suffice.datasets.items import Item, sample

TERSE = "Reply with the final answer only, no explanation."


def questions() -> list[Item]:
    """One of every template, in the order of the panel."""
    rows = panel.load_runs().where(strategy="greedy", model="small").table.to_pylist()
    return [
        Item(
            query_id=row["query_id"],
            query=row["query"],
            prompt=f"{row['query']}\n\n{TERSE}",
            task=row["task"],
            metric=row["check"],
            reference=row["reference"],
        )
        for row in rows
        if row["query_id"].endswith("-0")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, help="drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(write_items(sample(questions(), args.limit, args.seed), args.out), "questions")


if __name__ == "__main__":
    main()
