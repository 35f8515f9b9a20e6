"""`Outcomes` to the long format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from suffice.outcomes.pivot import VALUES

if TYPE_CHECKING:
    from suffice.outcomes.table import Outcomes


def long_table(outcomes: Outcomes, *, with_embeddings: bool) -> Any:
    """A `pyarrow.Table` of n * K rows, query by query; columns that hold nothing are left out."""
    import pyarrow as pa

    n, n_arms = outcomes.n_queries, outcomes.n_arms
    row = np.repeat(np.arange(n), n_arms)
    texts: dict[str, Any] = {"query_id": outcomes.ids, "query": outcomes.texts, "task": outcomes.tasks}
    if outcomes.references is not None:
        texts["reference"] = outcomes.references
    columns = {
        name: pa.array(values, pa.large_string()).take(pa.array(row)) for name, values in texts.items()
    }
    if not any(task is not None for task in outcomes.tasks):
        del columns["task"]
    columns["model"] = pa.array(outcomes.arms * n, pa.large_string())
    for field, name in VALUES.items():
        values = getattr(outcomes, field).ravel()
        unknown = np.isnan(values)
        if name == "score" or not unknown.all():
            columns[name] = pa.array(values, pa.float64(), mask=unknown)
    if outcomes.responses is not None:
        columns["response"] = pa.array(outcomes.responses.ravel().tolist(), pa.large_string())
    if with_embeddings and outcomes.embeddings is not None:
        vectors: list[Any] = [None] * (n * n_arms)
        vectors[::n_arms] = outcomes.embeddings.tolist()
        columns["embedding"] = pa.array(vectors, pa.list_(pa.float32()))
    return pa.table(columns)
