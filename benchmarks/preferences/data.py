"""Preference pairs to train on, and RouteLLM's three measured sets to test on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from suffice.outcomes import Outcomes, Preferences
from suffice.types import Query

STRONG: Final = "gpt4_1106_preview"
WEAK: Final = "mixtral-class"
WEAK_TIER: Final = (
    "claude-2.1",
    "claude-instant-1.2",
    "gpt-3.5-turbo-1106",
    "mistral-medium",
    "tulu-2-dpo-70b",
)
"""Mixtral-8x7B-Instruct-v0.1 itself fought no battle there but gamed (_concise): these stand for it."""
GAMED: Final = ("NullModel", "gpt4_gamed")
SETS: Final = {"MT-Bench": "mtbench", "MMLU": "mmlu", "GSM8K": "gsm8k"}
GOLDEN_WEIGHT: Final = 4.0
"""Of all golden labels over all pairs."""
_SERVED: Final = "gpt-4-1106-preview"
_CHARACTERS_PER_TOKEN: Final = 4


@dataclass(frozen=True)
class Problem:
    """A set with both models' quality, under the names that the preferences give them."""

    name: str
    outcomes: Outcomes
    strong_usd: float
    """Mean cost of the strong model's answer to a query."""
    estimated: bool
    """Whether the tokens behind the cost are characters / 4, the file having no count."""

    def half(self, seed: int) -> tuple[Outcomes, Outcomes]:
        """Two disjoint halves, to train and to test."""
        order = np.random.default_rng(seed).permutation(self.outcomes.n_queries)
        middle = len(order) // 2
        return self.outcomes.select(order[:middle]), self.outcomes.select(order[middle:])


def read_battles(folder: Path, n_rows: int, seed: int) -> Preferences:
    """PandaLM's pairs, and about `n_rows` of AlpacaEval's, as many from every prompt.

    Half of a prompt's rows are the strong model against the weak tier, as far as there are any: drawn
    evenly they would be one in twenty.
    """
    alpaca = Preferences.read(folder / "alpaca_pairs.parquet")
    pairs = list(zip(alpaca.model_a, alpaca.model_b, strict=True))
    usable = [i for i, (a, b) in enumerate(pairs) if a != b and not (_is_gamed(a) or _is_gamed(b))]
    direct = {i for i in usable if STRONG in pairs[i] and set(pairs[i]) & set(WEAK_TIER)}
    prompts: dict[str, list[int]] = {}
    for i in usable:
        prompts.setdefault(alpaca.query_id[i], []).append(i)
    rng, each = np.random.default_rng(seed), max(2, round(n_rows / len(prompts)))
    chosen: list[int] = []
    for rows in prompts.values():
        drawn = rng.permutation(rows).tolist()
        first = [i for i in drawn if i in direct][: each // 2]
        chosen += first + [i for i in drawn if i not in direct][: each - len(first)]
    pandalm = Preferences.read(folder / "pandalm_human_pairs.parquet")
    return _renamed(alpaca.select(sorted(chosen)).concat(pandalm))


def _is_gamed(model: str) -> bool:
    return model in GAMED or model.endswith(("_verbose", "_concise"))


def _renamed(pairs: Preferences) -> Preferences:
    first, second = (
        [WEAK if name in WEAK_TIER else name for name in names] for names in (pairs.model_a, pairs.model_b)
    )
    return Preferences.from_columns(pairs.query_id, pairs.query, first, second, pairs.pref_b)


def with_golden(pairs: Preferences, labelled: Outcomes, n_golden: int) -> tuple[Preferences, int]:
    """The pairs and `n_golden` labels, each repeated until they weigh `GOLDEN_WEIGHT` times; and how often.

    Labels as they are, labels that weigh as much as the pairs and four times as much were compared by the
    likelihood of labels of the training half that were not given: four times was best under mf wherever it
    was tried (MMLU with 1,500 labels, seeds 0 and 1; MMLU and GSM8K with 200, seed 1), and within 0.001 of
    the best under sw_ranking. No test half was looked at.
    """
    if not n_golden:
        return pairs, 0
    golden = Preferences.from_outcomes(labelled.select(np.arange(n_golden)), [(WEAK, STRONG)])
    times = max(1, round(GOLDEN_WEIGHT * len(pairs) / len(golden)))
    return pairs.concat(golden.select(np.tile(np.arange(len(golden)), times))), times


def read_problem(folder: Path, name: str) -> Problem:
    """Without contaminated rows; MT-Bench's first turn is routed, its quality is both turns' mean."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / f"routellm_{SETS[name]}.parquet").to_pylist()
    rows = [row for row in rows if not row["contaminated"]]
    scores: dict[str, tuple[list[float], list[float]]] = {}
    texts: dict[str, str] = {}
    for row in rows:
        texts.setdefault(row["query_id"], row["query"])
        scores.setdefault(row["query_id"], ([], []))[row["model"] != _SERVED].append(row["score"])
    quality = [[float(np.mean(one)) for one in scores[key]] for key in texts]
    queries = [Query(text=text, id=key) for key, text in texts.items()]
    strong = [row for row in rows if row["model"] == _SERVED]
    tokens = [_tokens(row) for row in strong]
    price = _price(folder)
    usd = sum(np.array(tokens).sum(axis=0) * price) / len(texts) / 1e6
    estimated = strong[0]["prompt_tokens"] is None
    return Problem(name, Outcomes.from_arrays(queries, [STRONG, WEAK], quality), float(usd), estimated)


def _tokens(row: dict[str, Any]) -> tuple[float, float]:
    """In and out; where the file has no count by characters, and one token for a letter not recorded."""
    if row["prompt_tokens"] is not None:
        return row["prompt_tokens"], row["completion_tokens"]
    asked = row["query_turn2"] if row.get("turn") == 2 else row["query"]
    answer = len(row["response"] or "") / _CHARACTERS_PER_TOKEN
    return len(asked or "") / _CHARACTERS_PER_TOKEN, max(answer, 1.0)


def _price(folder: Path) -> Any:
    """(2,): USD per million tokens in and out."""
    lines = (folder / "prices.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = next(line.split(",") for line in lines if line.startswith(f"{_SERVED},"))
    return np.array([float(cell) for cell in cells[1:3]])
