"""`suffice distill evaluate`: the student against its teacher and the baselines; the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from suffice.cli.base import notes, print_json
from suffice.cli.distill import AnewOption, ProjectOption, RayOption, facts, runner
from suffice.cli.distill_shown import show
from suffice.cli.setting import JsonOption


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("evaluate")(_evaluate)


def _evaluate(
    project: ProjectOption = None,
    anew: AnewOption = False,
    ray: RayOption = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write it in Markdown.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The student against the teacher and every rung, on the same held rows; report.md beside the figures."""
    import msgspec

    from suffice.distillation.assessing import Assessment
    from suffice.distillation.assessing.report import markdown as as_markdown
    from suffice.distillation.assessing.stage import EVALUATION
    from suffice.reports.distilled_page import distilled_page

    with runner(project, ray) as run:
        done = run.run("evaluate", anew=anew)
        title = f"{run.project.name} against {run.project.teacher}"
    for path, written in ((html, distilled_page), (markdown, as_markdown)):
        if path is not None:
            found = msgspec.json.decode((done.folder / EVALUATION).read_bytes(), type=Assessment)
            path.write_text(written(found, title), encoding="utf-8")
            notes.print(f"wrote {escape(str(path))}", highlight=False, soft_wrap=True)
    print_json(facts(done)) if as_json else show(done)
