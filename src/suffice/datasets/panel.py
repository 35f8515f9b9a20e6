"""The recorded panel: what small local models answered to this project's own questions.

Every question was written for this project, with a reference that its author (or its code) worked out, so
the file may be shared freely. `scripts/panel/` holds the questions, the recorder and the grading.

Candidates: `small` (Qwen2.5-Coder-0.5B-Instruct, terse), `small-steps` (the same model, told to think step
by step) and `large` (Qwen2.5-Coder-1.5B-Instruct, terse), each Q4_K_M on one thread of a shared CPU.
`cost_usd` is CPU seconds at 0.05 USD an hour of one core: an assumption, stated in `docs/local-models.md`.
`latency_s` is what one thread would take on an idle core, that is its CPU seconds; `wall_s` is what it took
on the shared machine of the recording.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

from suffice.errors import DataError
from suffice.outcomes import Outcomes, Runs

USD_PER_CPU_HOUR = 0.05
"""The price behind the file's `cost_usd`."""


@lru_cache(maxsize=1)
def load_runs() -> Runs:
    """Every recorded call.

    `strategy` is "greedy" (every question), or for the first case of every template also "sample"
    (temperature 0.8, seeds 1 to 5), "paraphrase" (the question reworded; `prompt` holds the rewording) and
    "verify" (the model asked whether its greedy answer is right; no score). `logprobs` lists the tokens with
    their natural logarithms of probability at temperature 1 and the likeliest five (ten for "verify").

    Raises
    ------
    DataError
        If the package was built without the file.
    """
    with as_file(files("suffice.datasets") / "panel.parquet") as path:
        if not path.is_file():
            raise DataError(
                "this installation lacks the recorded panel; make it with python -m scripts.panel.assemble",
                file=str(path),
            )
        return Runs.read(path)


def load_outcomes(*, strategy: str = "greedy", responses: bool = False) -> Outcomes:
    """Queries by candidates, from the greedy answers; or the mean over another strategy's repetitions.

    Parameters
    ----------
    strategy : "greedy", "sample" or "paraphrase"
    responses : keep what was answered; of repetitions the first
    """
    return load_runs().to_outcomes(
        where={"strategy": strategy},
        aggregate="error" if strategy == "greedy" else "mean",
        responses=responses,
    )
