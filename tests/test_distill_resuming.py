"""Killed at any moment, a stage goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suffice.distillation import flywheel
from suffice.distillation.flywheel import Runner
from teachers import PANEL, truth

N_KILLS = 20
STAGES = ("collect", "judge", "curate")
KILLER = """
import json, os, signal, sys

folder, kills = sys.argv[1], json.loads(sys.argv[2])

# all that a stage imports, once, before the forks
import pyarrow.compute, pyarrow.json, suffice.build, suffice.outcomes.jsonlines, suffice.providers.http
import suffice.distillation.collecting.stage, suffice.distillation.judging.stage
import suffice.distillation.curating.stage
from suffice.datasets.journal import Journal
from suffice.distillation import flywheel
from suffice.distillation.flywheel import runner


def child(stage, left):
    writes = 0

    def count(*args, **kwargs):
        nonlocal writes
        writes += 1
        if writes == left:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(function, torn=False):
        def call(self, *args):
            if torn and writes + 1 == left:  # half a line reaches the disk
                os.write(self._file, b'{"event":"answered","call":"0')
            count()
            return function(self, *args)
        return call

    Journal._append = dying(Journal._append, torn=True)
    curating = suffice.distillation.curating.stage
    for module, name in (
        (curating, "write_rows"), (curating, "write_lines"),
        (runner, "_manifest"), (runner, "_write"), (runner, "_replace"),
    ):
        function = getattr(module, name)
        setattr(module, name, lambda *args, function=function: (count(), function(*args))[1])
    flywheel.Runner(flywheel.load(folder)).run(stage)
    os._exit(0)


killed = {}
for stage, points in kills.items():
    killed[stage] = 0
    for left in points:
        pid = os.fork()
        if pid == 0:
            try:
                child(stage, left)
            finally:
                os._exit(3)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        killed[stage] += os.WIFSIGNALED(status)
    flywheel.Runner(flywheel.load(folder)).run(stage)
print(json.dumps(killed))
"""


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "suffice.yaml").write_text(PANEL)
    lines: list[dict[str, Any]] = []
    rng = random.Random(1)
    for number in range(60):
        words = " ".join("".join(rng.choices("abcdefgh", k=8)) for _ in range(6))
        text = f"{words} {('rises', 'falls')[number % 2]}"
        known = {"reference": truth(text)} if number < 30 else {}
        lines.append({"query_id": f"q{number}", "query": text} | known)
    (folder / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "distill.yaml").write_text(
        "teacher: teacher\ntask: {labels: [up, down]}\nlimits: {usd: 9, min_rows: 10}\n"
        "collect: {file: q.jsonl, samples: 2}\njudge: {model: judge}\ncurate: {budget: 20}\n"
    )
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_stage_survives_twenty_kills(tmp_path: Path) -> None:
    whole = Runner(flywheel.load(project(tmp_path / "whole")))
    wanted = {name: whole.run(name).manifest.outputs for name in STAGES}
    broken = project(tmp_path / "broken")
    run = Runner(flywheel.load(broken))
    rng = random.Random(0)
    most = {"collect": 20, "judge": 20, "curate": 5}
    kills = {name: [rng.randint(1, most[name]) for _ in range(N_KILLS)] for name in STAGES}
    found = subprocess.run(
        [sys.executable, "-c", KILLER, str(broken), json.dumps(kills)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    killed = json.loads(found.stdout)
    # each try gets a little further, so that the last of the paid stages may come through
    assert min(killed.values()) >= N_KILLS // 2 and killed["curate"] == N_KILLS
    for name in STAGES:
        assert run.run(name).manifest.outputs == wanted[name], name
    assert not list((broken / "stages").glob(".part*")) and not list((broken / "stages").glob(".old*"))
    n_answers = {"collect": 120, "judge": 0}
    for name, n in n_answers.items():
        for path in (broken / "journals").glob(f"{name}*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            answered = [line["call"] for line in lines if line["event"] == "answered"]
            assert len(answered) == len(set(answered)) and len(answered) >= n  # nothing was paid for twice


def test_ctrl_c_leaves_the_journal_and_no_rubbish(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")

    def stop(done: int, total: int | None, usd: Any) -> None:
        if done == 25:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Runner(flywheel.load(folder), on_step=stop).run("collect")
    assert not [path for path in (folder / "stages").iterdir() if path.name != ".lock"]
    steps: list[int] = []
    run = Runner(flywheel.load(folder), on_step=lambda done, total, usd: steps.append(done))
    assert run.run("collect").manifest.counts["rows"] == 60
    journal = (folder / "journals" / "collect-0.jsonl").read_text()
    assert journal.count('"answered"') == 120
