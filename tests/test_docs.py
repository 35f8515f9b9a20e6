"""The documentation names every setting and command, its links lead somewhere and its examples run.

A ```python block runs when a comment stands before it: `<!-- run -->` as it is, `<!-- run: panel -->` beside
a suffice.yaml, `<!-- run: gateway -->` against a gateway on 127.0.0.1:8080 (another port here). None needs a
network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from commands import Commands, FakeProvider
from suffice import plans, policies, providers, routers, starter
from suffice.budgets import Budget
from suffice.cli import COMMANDS
from suffice.config import (
    CacheConfig,
    ConfidenceConfig,
    Config,
    GateConfig,
    GatewayConfig,
    ModelConfig,
    PipelineConfig,
    PlanConfig,
    PolicyConfig,
    RewriteConfig,
    RouterConfig,
    SemanticConfig,
    StickyConfig,
    parse,
)

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
SECTIONS = {
    "The file": Config,
    "`models`": ModelConfig,
    "`router`": RouterConfig,
    "`policy`": PolicyConfig,
    "`plan`": PlanConfig,
    "`pipelines`": PipelineConfig,
    "`gate`": GateConfig,
    "`gateway`": GatewayConfig,
    "`sticky`": StickyConfig,
    "`confidence`": ConfidenceConfig,
    "`cache`": CacheConfig,
    "`semantic`": SemanticConfig,
    "`rewrite`": RewriteConfig,
    "`budgets`": Budget,
}
IN_WORDS = {
    "the name",
    "the provider's own",
    "the catalogue's",
    "see below",
    "none",
    "the file's",
    "required",
}
"""Defaults that a table gives in words."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    needs: str | None
    """What it is run with; None: it is only shown."""
    text: str


def blocks() -> Iterator[Block]:
    pattern = re.compile(r"(?:<!-- run(?:: (\w+))?( )?-->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for page in PAGES:
        text = page.read_text()
        for match in pattern.finditer(text):
            is_run = match[0].startswith("<!-- run")
            line = text[: match.start(3)].count("\n") + 1
            name = str(page.relative_to(ROOT))
            yield Block(name, line, match[3], (match[1] or "") if is_run else None, match[4])


BLOCKS = tuple(blocks())
RUN = [block for block in BLOCKS if block.language == "python" and block.needs is not None]


def rows(heading: str) -> dict[str, str]:
    """Setting -> default, of the first table under a heading of the configuration page."""
    section = re.split(r"\n##+ ", CONFIGURATION.split(f"## {heading}\n", 1)[1], maxsplit=1)[0]
    found = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|[^|]*\|$", section, re.MULTILINE)
    return {name: default.strip() for name, default in found}


@pytest.mark.parametrize(("heading", "struct"), SECTIONS.items())
def test_every_setting_is_documented_with_its_default(heading: str, struct: Any) -> None:
    documented = rows(heading)
    fields = {field.name: field for field in msgspec.structs.fields(struct) if field.name != "directory"}
    assert set(documented) == set(fields)
    for name, shown in documented.items():
        if any(shown.endswith(words) or shown.startswith(words) for words in IN_WORDS) or " for " in shown:
            continue
        field = fields[name]
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        assert yaml.safe_load(shown.strip("`")) == msgspec.to_builtins(default), (heading, name)


def test_every_part_is_documented() -> None:
    for registry in (plans, policies, providers, routers):
        for name in registry.available():
            assert f"`{name}`" in CONFIGURATION, f"{name} is not in docs/configuration.md"


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        assert f"`suffice {name}`" in text, name


def test_settings_in_the_documentation_are_valid() -> None:
    shown = [block for block in BLOCKS if block.language == "yaml" and "models:" in block.text]
    assert len(shown) >= 2
    for block in shown:
        environ = dict.fromkeys(re.findall(r"\$\{(\w+)", block.text), "x")
        assert parse(block.text, file=Path(block.page), environ=environ).models


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_commands_in_the_documentation_exist() -> None:
    known = {*COMMANDS, "feedback", "keys"}
    for page in PAGES:
        if page.name == "architecture.md":
            continue  # also names what is to come
        for name in re.findall(r"^suffice (\w+)", page.read_text(), re.MULTILINE):
            assert name in known, f"{page.relative_to(ROOT)}: suffice {name}"


@pytest.mark.slow
def test_the_figures_of_the_readme_are_measured(tmp_path: Path) -> None:
    shown = re.search(
        r"gets ([\d.]+) % right in cross-validation at (\d+) % of the cost.*?which gets ([\d.]+) %",
        (ROOT / "README.md").read_text(),
        re.DOTALL,
    )
    assert shown is not None
    measured = starter.train(starter.local_panel(), tmp_path)
    assert float(shown[1]) / 100 == pytest.approx(measured.quality, abs=0.015)
    assert float(shown[2]) / 100 == pytest.approx(measured.cost_share, abs=0.06)
    assert float(shown[3]) / 100 == pytest.approx(measured.best_quality, abs=0.001)


def test_python_blocks_compile() -> None:
    for block in BLOCKS:
        if block.language == "python":
            compile(block.text, f"{block.page}:{block.line}", "exec")


@pytest.fixture
def suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, monkeypatch, capsys)


def execute(block: Block, text: str) -> None:
    exec(compile(text, f"{block.page}:{block.line}", "exec"), {"__name__": "example"})


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.page}:{block.line}")
def test_examples_run(block: Block, suffice: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    if block.needs == "":
        execute(block, block.text)
        assert capsys.readouterr().out
        return
    with FakeProvider() as provider:
        suffice.write(provider.config)
        if block.needs == "panel":
            execute(block, block.text)
        else:
            pytest.importorskip("openai")
            with suffice.start("up", "--port", "0") as gateway:
                assert gateway.says("ready on"), gateway.err
                found = re.search(r"http://127\.0\.0\.1:\d+", gateway.out)
                assert found is not None
                execute(block, block.text.replace("http://127.0.0.1:8080", found[0]))
        assert "dear says" in capsys.readouterr().out
        assert provider.asked


@pytest.mark.parametrize("name", ["data.md", "plugins.md", "distillation.md"])
def test_a_page_runs_from_top_to_bottom(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    parts = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(parts) > 2
    exec(compile("\n".join(parts), name, "exec"), {"__name__": "example"})


def test_there_are_examples() -> None:
    assert {block.page for block in RUN} >= {"README.md", "docs/quickstart.md"}
