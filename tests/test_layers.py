"""Imports point downwards only, and every public name is what `__all__` says."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import suffice

ROOT = Path(suffice.__file__).parent
LAYERS = (
    ("errors", "types", "outcomes", "_reading", "_yaml", "protocols", "registry", "catalogue"),
    ("metrics", "calibration", "confidence"),
    (
        "embedders",
        "routers",
        "policies",
        "bandits",
        "budgets",
        "experiments",
        "gating",
        "caching",
        "cascades",
    ),
    ("providers", "store", "retrieval"),
    (
        "config",
        "pipeline",
        "unseen",
        "build",
        "engine",
        "client",
        "plans",
        "distillation",
        "evaluation",
        "datasets",
        "starter",
        "testing",
    ),
    ("gateway", "cli", "dashboard", "reports", "__main__"),
)
LAYER = {name: level for level, names in enumerate(LAYERS) for name in names}
WORKFLOWS_MEET = {
    "config",
    "pipeline",
    "unseen",
    "build",
    "engine",
    "client",
    "plans",
    "datasets",
    "distillation",
    "evaluation",
    "starter",
}
ALLOWED_SIDEWAYS = {("cli", "gateway"), ("cli", "reports"), ("__main__", "cli"), ("gating", "cascades")}
FILES = sorted(ROOT.rglob("*.py"))


def _area(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import of {node.module}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("suffice.")}


def _type_only(tree: ast.Module) -> set[str]:
    """What is imported for type hints alone may point anywhere below or beside."""
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for name in _imports(node)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    relative = path.relative_to(ROOT)
    area = relative.parts[0].removesuffix(".py")
    if area == "__init__":
        return  # the package re-exports, lazily
    assert area in LAYER, f"{area} has no layer: add it to docs/design/architecture.md and here"
    tree = ast.parse(path.read_text())
    for name in _imports(tree) - _type_only(tree):
        other = _area(name)
        if other == area or other not in LAYER:
            continue
        if LAYER[other] < LAYER[area] or (area, other) in ALLOWED_SIDEWAYS:
            continue
        assert LAYER[other] == LAYER[area], f"{relative} imports {name} from a higher layer"
        beside = LAYER[area] == 0 or {area, other} <= WORKFLOWS_MEET
        assert beside, f"{relative} imports its neighbour {name}: meet through layer 0"


def _modules() -> list[str]:
    return [
        module.name
        for module in pkgutil.walk_packages([str(ROOT)], "suffice.")
        if not module.name.endswith("__main__")
    ]


@pytest.mark.parametrize("name", _modules())
def test_all_is_true(name: str) -> None:
    module = importlib.import_module(name)
    declared = getattr(module, "__all__", None)
    if declared is None:
        return
    assert len(set(declared)) == len(declared)
    missing = [member for member in declared if not hasattr(module, member)]
    assert not missing, f"{name}.__all__ names what is not there: {missing}"
    own = {
        member
        for member, value in vars(module).items()
        if not member.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and (getattr(value, "__module__", "") or "").startswith(name)
    }
    assert own <= set(declared), f"{name} shows what __all__ does not name: {sorted(own - set(declared))}"


def test_packages_declare_what_they_show() -> None:
    silent = [
        name
        for name in _modules()
        if hasattr(importlib.import_module(name), "__path__")
        and not hasattr(importlib.import_module(name), "__all__")
        and name.split(".")[1] not in ("cli", "gateway", "datasets", "reports")
    ]
    assert not silent


def test_public_names_resolve() -> None:
    for name in suffice.__all__:
        assert getattr(suffice, name).__name__ == name
    assert sorted(suffice.__all__) == suffice.__all__
    assert set(suffice._HOMES) == set(suffice.__all__)
