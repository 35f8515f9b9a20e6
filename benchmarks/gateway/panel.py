"""Twenty candidates behind one mock provider, and a kNN router over 10,000 made-up queries."""

from pathlib import Path

import numpy as np

from suffice import routers
from suffice.outcomes import Outcomes
from suffice.types import Query

N_QUERIES, N_ARMS = 10_000, 20
ARMS = tuple(f"model-{i:02}" for i in range(N_ARMS))
_WORDS = [a + b + c for a in "bcdfglmnprst" for b in "aeiou" for c in ("n", "r", "st", "ling", "mer", "ton")]


def config(upstream: int, router: Path, database: Path) -> str:
    """`suffice.yaml`."""
    models = "\n".join(
        f"  - {{name: {arm}, provider: openai, model: mock, base_url: 'http://127.0.0.1:{upstream}/v1', "
        f"api_key: none, input_usd_per_mtok: {0.1 * (i + 1):.1f}, output_usd_per_mtok: {0.4 * (i + 1):.1f}}}"
        for i, arm in enumerate(ARMS)
    )
    return f"""
models:
{models}
router: {{name: knn, path: {router}}}
policy: {{name: utility, value_usd: 0.001}}
store: sqlite:///{database}
gateway: {{auth: true}}
"""


def train(directory: Path, seed: int = 0) -> None:
    """Save the router and its cost and latency models."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(_WORDS, size=rng.integers(8, 60))) for _ in range(N_QUERIES)]
    shape = (N_QUERIES, N_ARMS)
    tokens = rng.integers(20, 200, size=shape).astype(float)
    prompt = np.array([len(text) / 4 for text in texts])[:, None].repeat(N_ARMS, axis=1)
    outcomes = Outcomes(
        queries=tuple(Query(text=text, id=str(i)) for i, text in enumerate(texts)),
        arms=ARMS,
        quality=rng.random(shape),
        cost_usd=(prompt * 0.1 + tokens * 0.4) * np.arange(1, N_ARMS + 1) / 1e6,
        prompt_tokens=prompt,
        completion_tokens=tokens,
        latency_s=tokens / 50,
    )
    routers.create("knn").fit(outcomes).save(directory)
    routers.fit_cost_model(outcomes, None).save(directory)
    routers.fit_latency_model(outcomes).save(directory)
