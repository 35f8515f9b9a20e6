"""What each stage's result depends on: a changed setting redoes the stages that read it and no other."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suffice.distillation import flywheel
from suffice.distillation.flywheel import Runner, Task, stages
from suffice.distillation.flywheel.work import Result

FILE: dict[str, Any] = {
    "name": "tides",
    "teacher": "large",
    "margin": 0.1,
    "task": {"labels": ["up", "down"], "instruction": "Up or down?", "metric": "exact"},
    "limits": {"usd": 5, "min_rows": 10},
    "collect": {"source": "outcomes", "file": "answers.jsonl", "may_train_on_output": True},
    "baseline": {"stop_if_enough": False},
}


def write(folder: Path) -> None:
    rng = random.Random(4)
    lines = []
    for number in range(240):
        words = " ".join("".join(rng.choices("abcdefgh", k=7)) for _ in range(6))
        right = ("up", "down")[number % 2]
        said = right if number % 7 else "up"
        lines.append(
            {"query_id": f"q{number}", "query": f"{words} {({'up': 'rises', 'down': 'falls'})[right]}",
             "model": "large", "response": said, "reference": right, "cost_usd": 0.001}
        )  # fmt: skip
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(folder: Path, **changed: Any) -> Runner:
    file = {**FILE, **{key: {**FILE.get(key, {}), **value} if isinstance(value, dict) else value
                       for key, value in changed.items()}}  # fmt: skip
    (folder / "distill.yaml").write_text(json.dumps(file))
    return Runner(flywheel.load(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write(folder)
    assert [one.is_new for one in run(folder).run_all(past_stops=True)] == [True] * len(stages.ORDER)
    return folder


HELD = ("baseline", "evaluate", "promote")


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        ({}, ()),
        ({"name": "ebbs"}, ()),
        ({"config": "other.yaml"}, ()),
        ({"limits": {"usd": 7}}, ()),
        ({"collect": {"concurrency": 3, "retries": 1}}, ()),
        ({"promote": {"stages": [0.2, 0.5], "max_p95_s": 2}}, ()),
        ({"limits": {"min_rows": 12}}, ("collect", "curate")),
        ({"margin": 0.2}, HELD),
        ({"task": {"metric": "em"}}, stages.ORDER[1:]),
    ],
)
def test_only_what_is_read_redoes_a_stage(
    folder: Path, tmp_path: Path, changed: dict[str, Any], redone: tuple[str, ...]
) -> None:
    found = [one.manifest.stage for one in run(folder, **changed).run_all(past_stops=True) if one.is_new]
    assert found == [name for name in stages.ORDER if name in redone]


class _Watched:
    """A project that notes which of its fields are looked at, those of `task` and `limits` by themselves."""

    def __init__(self, project: Any, seen: set[str], before: str = "") -> None:
        self._project, self._seen, self._before = project, seen, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._project, name)
        if name in ("task", "limits"):
            return _Watched(found, self._seen, f"{name}.")
        if name in type(self._project).__struct_fields__:
            self._seen.add(f"{self._before}{name}")
        return found


@pytest.mark.parametrize("name", stages.ORDER)
def test_what_a_stage_looks_at_is_what_it_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stage, seen = stages.get(name), set[str]()

    def watched(work: Any) -> Result:
        return stage.run(msgspec.structs.replace(work, project=_Watched(work.project, seen)))

    replaced = msgspec.structs.replace(stage, run=watched)
    get = stages.get
    monkeypatch.setattr(stages, "get", lambda one: replaced if one == name else get(one))
    run(folder).run(name, anew=True)
    declared = {f"task.{one}" for one in Task.__struct_fields__} if "task" in stage.reads else set()
    assert seen <= {*stage.reads, *declared, "directory"}
