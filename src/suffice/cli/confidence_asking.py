"""The asking of `suffice confidence run`: the models, the journal, the budget and the bar."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from suffice.cli.base import notes
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.config import Config
    from suffice.datasets.items import Item
    from suffice.evaluation.questioning import Asking, Questioned


class ConfidencePanel:
    """The models of a configuration that are to be asked."""

    def __init__(
        self, config: Config, model: str, judge: str | None, has_judge: bool, timeout_s: float, retries: int
    ) -> None:
        known = [entry.name for entry in config.models]
        for name in (model, *([judge] if judge else [])):
            if name not in known:
                raise ConfigError(f"{name!r} is not in the panel; it has {', '.join(known)}")
        if judge is not None and not has_judge:
            raise ConfigError("--judge says who compares answers: it goes with --meaning judge")
        self._config, self._model, self._judge, self._has_judge = config, model, judge, has_judge
        self._others = [name for name in known if name != model]
        self._timeout_s, self._retries = timeout_s, retries

    async def question(
        self,
        items: Sequence[Item],
        names: Sequence[str],
        journal_path: Path,
        limit: Decimal | None,
        asking: Asking,
        on_step: Any,
    ) -> tuple[Questioned, Decimal]:
        """Everything asked, and what all runs together cost."""
        from suffice import build
        from suffice.datasets.asking import Asker
        from suffice.datasets.budget import Budget
        from suffice.datasets.journal import Journal
        from suffice.evaluation.questioning import question
        from suffice.providers.http import HttpClient

        http = HttpClient()
        made = build.make_models(self._config, http)
        try:
            with Journal(journal_path) as journal:
                budget = Budget(limit, journal.spent_usd)
                asker = Asker(journal, budget, timeout_s=self._timeout_s, retries=self._retries)
                found = await question(
                    items,
                    made[self._model],
                    names,
                    asker,
                    asking,
                    others=[made[name] for name in self._others],
                    judge=made[self._judge] if self._judge else None,
                    has_judge=self._has_judge,
                    on_step=on_step,
                )
                return found, journal.spent_usd
        finally:
            for model in made.values():
                await model.close()
            await http.close()


def ask(
    panel: ConfidencePanel,
    items: Sequence[Item],
    names: Sequence[str],
    out: Path,
    limit: Decimal | None,
    asking: Asking,
) -> tuple[Questioned, Decimal]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[usd]}"),
    )
    journal = out / "journal.jsonl"
    try:
        with Progress(*columns, console=notes, transient=True) as bars:
            bar = bars.add_task("asking", total=len(items), usd="")

            def step(done: int, total: int, usd: Decimal) -> None:
                bars.update(bar, completed=done, total=total, usd=f"{usd:.4f} USD")

            return asyncio.run(
                panel.question(
                    items,
                    names,
                    journal,
                    limit,
                    asking,
                    lambda done, total, usd: bars.update(
                        bar, completed=done, total=total, usd=f"{usd:.4f} USD"
                    ),
                )
            )
    except KeyboardInterrupt:
        notes.print(f"stopped; what was answered is kept in {journal}: the same command goes on from there")
        raise
