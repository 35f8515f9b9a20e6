"""Baselines, training and evaluation as stages: figures against hand-computed cases, and resumed runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from distill_rows import LABELS, rows
from suffice.cli import build
from suffice.distillation import assessing
from suffice.distillation.assessing import STUDENT, TEACHER, Grader, Said, assess, markdown
from suffice.distillation.assessing import stage as evaluate_stage
from suffice.distillation.assessing.figures import Assessment, duel, mcnemar
from suffice.distillation.assessing.settings import Evaluating
from suffice.distillation.assessing.slices import slices
from suffice.distillation.baselines import Baselines
from suffice.distillation.baselines.rungs import head_rungs, majority
from suffice.distillation.baselines.stage import baseline
from suffice.distillation.flywheel import (
    Done,
    Manifest,
    Project,
    Result,
    Row,
    Runner,
    Sample,
    Task,
    Work,
    write_rows,
)
from suffice.distillation.students import open_student
from suffice.distillation.trainers.stage import Training, train
from suffice.errors import ConfigError, DataError
from suffice.providers.student_card import read_card
from suffice.reports.distilled_page import distilled_page

TASK = Task(kind="classify", labels=LABELS)


def said(
    who: str, quality: list[float], sure: list[float] | None = None, usd: float | None = None
) -> list[Said]:
    return [
        Said(who=who, id=str(n), part="test", text="t", quality=value, agrees=value,
             confidence=None if sure is None else sure[n], usd=usd, latency_s=0.1)
        for n, value in enumerate(quality)
    ]  # fmt: skip


def held(n: int, **more: Any) -> list[Row]:
    return [
        Row(id=str(k), query="q" * (k + 1), reference="t", label="t", part="test", **more) for k in range(n)
    ]


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0 and mcnemar(5, 5) == 1.0
    assert mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)
    assert mcnemar(7, 1) == mcnemar(1, 7)


def test_a_duel_counts_pairs_costs_and_speed() -> None:
    found = duel(said("a", [1, 1, 0, 1], usd=0.001), said("b", [1, 0, 0, 0], usd=0.004), ["x", "y", "z", "w"])
    assert found.difference == 0.5 and (found.student_only, found.other_only) == (2, 0)
    assert found.cost_ratio == pytest.approx(0.25) and found.speed_up == 1.0
    assert found.interval[0] <= 0.5 <= found.interval[1]


def test_rows_of_one_cluster_count_as_one() -> None:
    own, other = said("a", [1.0] * 40 + [0.0] * 40), said("b", [0.0] * 40 + [1.0] * 40)
    alone = duel(own, other, [str(n) for n in range(80)])
    pairs = duel(own, other, [str(n // 20) for n in range(80)])
    assert pairs.interval[1] - pairs.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_the_deferral_curve_by_hand() -> None:
    by = {
        STUDENT: said(STUDENT, [1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6], usd=0.001),
        TEACHER: said(TEACHER, [1, 0, 1, 1], usd=0.01),
    }
    found = assess(by, held(4), by_gold=True)
    curve = {one.coverage: one for one in found.deferral}
    assert curve[0.0].quality == 0.75 and curve[1.0].quality == 0.5
    assert curve[0.5].quality == 1.0 and curve[0.5].threshold == 0.8
    assert curve[0.5].usd_per_1k == pytest.approx(1 + 5) and curve[0.0].usd_per_1k == pytest.approx(1 + 10)
    assert found.contestants[STUDENT].ece is not None and found.contestants[TEACHER].ece is None


def test_rows_that_were_seen_are_scored_apart() -> None:
    test = held(4)
    test[0] = msgspec.structs.replace(test[0], meta={"leak": "normalised"})
    by = {STUDENT: said(STUDENT, [1, 0, 0, 0]), TEACHER: said(TEACHER, [1, 1, 1, 1])}
    found = assess(by, test, by_gold=True)
    assert found.n_seen == 1 and found.unseen[TEACHER].difference == -1.0
    assert {one.name for one in found.slices["seen"]} == {"seen in training", "not seen in training"}


def test_answers_without_a_grade_are_an_error() -> None:
    ungraded = [msgspec.structs.replace(one, quality=None) for one in said(STUDENT, [1.0])]
    with pytest.raises(DataError, match="no grade"):
        assess({STUDENT: ungraded}, held(1), by_gold=True)
    with pytest.raises(DataError, match="none to judge"):
        assess({TEACHER: said(TEACHER, [1.0])}, held(1), by_gold=True)


def test_slices_show_the_surest_errors_first() -> None:
    sure = [n / 100 for n in range(100)]
    own = said(STUDENT, [float(n % 2) for n in range(100)], sure)
    found = slices(held(100), own, None)
    last = found["confidence"][-1]
    assert [one.id for one in last.examples] == ["98", "96", "94"] and last.n == 25
    assert sum(one.n for one in found["length"]) == 100
    text = markdown(assess({STUDENT: own}, held(100), by_gold=True), "t")
    errors = [line for line in text.splitlines() if line.startswith("- confidence")]
    assert "0.7425 to 0.99" in errors[0] and [line[-5:-1] for line in errors] == [
        "0.98",
        "0.74",
        "0.48",
        "0.24",
    ]


def test_a_minority_of_gold_is_not_called_none() -> None:
    some = [*rows(4, part="test"), *rows(6, gold=False, part="test")]
    note = Grader(TASK, some).note
    assert note is not None and note.startswith("4 of 10 held rows have gold answers, fewer than half")
    assert Grader(TASK, rows(4, part="test")).note is None


def test_without_gold_the_teacher_is_what_is_right() -> None:
    own = rows(10, gold=False, part="test")
    grader = Grader(TASK, own)
    assert not grader.by_gold
    graded = grader.said("x", own[0], "test", f"It is {own[0].label}.")
    assert graded.quality == graded.agrees == 1.0
    assert Grader(TASK, rows(10, part="test")).by_gold


def test_generation_is_compared_by_its_metric() -> None:
    row = Row(id="1", query="6 x 7", label="so it is 42", reference="42")
    grader = Grader(Task(kind="generate", metric="number"), [row])
    assert grader.said("x", row, "test", "The answer is 42.").quality == 1.0
    assert grader.said("x", row, "test", "The answer is 41.").agrees == 0.0


# --- stages


def work(folder: Path, settings: Any, name: str, needs: tuple[str, ...], **project: Any) -> Work:
    out = folder / name
    out.mkdir(exist_ok=True)
    (folder / "journals").mkdir(exist_ok=True)
    made = Project(teacher="large", task=TASK, directory=str(folder), **project)
    return Work(
        project=made,
        settings=settings,
        inputs={one: folder / one for one in needs},
        out=out,
        journals=folder / "journals",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Curated rows: the teacher errs in a tenth of them."""
    (tmp_path / "curate").mkdir()
    every = [
        *rows(240, errors=0.1),
        *rows(150, seed=1, part="validation", errors=0.1),
        *rows(120, seed=2, part="test", errors=0.1),
    ]
    write_rows(every, tmp_path / "curate" / "rows.jsonl")
    return tmp_path


def run_baseline(folder: Path, **settings: Any) -> Result:
    return baseline(work(folder, Baselines(**settings), "baseline", ("curate",)))


def test_the_baseline_answers_held_rows_and_says_when_a_rung_is_enough(folder: Path) -> None:
    found = run_baseline(folder)
    quality = found.counts["quality"]["test"]
    assert 0.85 <= quality["teacher"] <= 0.95 and quality["head_words"] > quality["majority"]
    assert found.counts["by_gold"] and found.counts["usd_per_1k"]["teacher"] == pytest.approx(1.0)
    assert found.stop is not None and "head_words is enough" in found.stop
    answers = assessing.read_said(folder / "baseline" / "answers.jsonl")
    assert {one.who for one in answers} == {"teacher", "majority", "head_words", "head_vectors"}
    assert len(answers) == 4 * 270
    assert run_baseline(folder, stop_if_enough=False).stop is None


def test_a_rung_that_is_dearer_or_worse_does_not_stop_the_run(folder: Path) -> None:
    assert run_baseline(folder, heads=()).stop is None  # the most frequent label is far off
    dear = run_baseline(folder, heads=("words",), usd_per_cpu_hour=1e9)
    assert dear.stop is None


def test_heads_of_the_baseline(folder: Path) -> None:
    notes: list[str] = []
    one = [row for row in rows(50) if row.label == "up"]
    assert (
        not list(head_rungs(one, one, TASK, Baselines(), notes.append))
        and "nothing to tell apart" in notes[0]
    )
    with pytest.raises(ConfigError, match=r"known: words, vectors"):
        list(head_rungs(one, one, TASK, Baselines(heads=("x",)), notes.append))
    assert majority([], one) is None


def run_train(folder: Path, **settings: Any) -> Result:
    return train(work(folder, Training(**settings), "train", ("curate",)))


def test_settings_are_searched_on_validation_rows(folder: Path) -> None:
    found = run_train(folder, settings={"penalties": [1.0]}, search={"features": ["words", None]})
    losses = {str(one["features"]): one["loss"] for one in found.counts["trials"]}
    best = min(losses, key=losses.__getitem__)
    assert str(found.counts["chosen"]["features"]) == best == "words"
    assert read_card(folder / "train").settings["features"] == "words"
    assert not list((folder / "journals").glob("train-*"))


def test_gold_is_learnt_only_if_the_project_says_so(folder: Path) -> None:
    by_teacher, by_gold = run_train(folder), run_train(folder, use_reference=True)
    assert by_teacher.counts["facts"]["validation_accuracy"] < by_gold.counts["facts"]["validation_accuracy"]


def test_a_search_has_bounds(folder: Path) -> None:
    with pytest.raises(ConfigError, match="combinations"):
        run_train(folder, search={"seed": list(range(65))})
    with pytest.raises(ConfigError, match="combinations"):
        run_train(folder, search={"seed": []})


def run_evaluate(folder: Path, **settings: Any) -> Result:
    needs = ("curate", "baseline", "train")
    return evaluate_stage.evaluate(work(folder, Evaluating(**settings), "evaluate", needs))


def test_the_student_is_compared_with_teacher_and_baselines(folder: Path) -> None:
    run_baseline(folder), run_train(folder)
    found = run_evaluate(folder)
    assert found.counts["test"] == 120 and found.counts["cost_ratio"] < 0.5
    full = msgspec.json.decode((folder / "evaluate" / "evaluation.json").read_bytes(), type=Assessment)
    assert set(full.duels) == {"teacher", "majority", "head_words", "head_vectors"}
    assert full.duels["head_words"].difference == pytest.approx(0, abs=0.03)
    assert full.contestants["student"].quality > 0.9 and full.contestants["student"].agreement is not None
    text = (folder / "evaluate" / "report.md").read_text()
    assert "| student |" in text and "## By label" in text and "Keep what the student is sure of" in text
    page = distilled_page(full, "a < b")
    assert "a &lt; b" in page and "<svg" in page
    answers = assessing.read_said(folder / "evaluate" / "answers.jsonl")
    mine = [one for one in answers if one.who == STUDENT]
    assert len(mine) == 270 and all(one.confidence is not None and one.usd is not None for one in mine)


def test_an_interrupted_evaluation_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_baseline(folder), run_train(folder)
    real, calls = open_student, []

    def counted(path: Path) -> Any:
        student = real(path)
        answer = student.answer

        def failing(queries: list[str]) -> Any:
            calls.append(len(queries))
            if len(calls) == 4:
                raise KeyboardInterrupt
            return answer(queries)

        student.answer = failing  # type: ignore[method-assign]
        return student

    monkeypatch.setattr("suffice.distillation.assessing.asking.open_student", counted)
    with pytest.raises(KeyboardInterrupt):
        run_evaluate(folder)
    journal = next((folder / "journals").glob("evaluate-*.jsonl"))
    assert len(journal.read_bytes().splitlines()) == 48
    with journal.open("ab") as file:
        file.write(b'{"id": "cut')  # killed in the middle of a line
    calls.clear()
    calls.extend([0] * 4)
    run_evaluate(folder)
    assert sum(calls) == 270 - 48
    run_evaluate(folder, judged=50, concurrency=9)
    assert sum(calls) == 270 - 48  # other questions about the same answers
    again = json.loads((folder / "evaluate" / "evaluation.json").read_text())
    (folder / "journals" / journal.name).unlink()
    run_evaluate(folder)
    fresh = json.loads((folder / "evaluate" / "evaluation.json").read_text())
    assert again["contestants"]["student"]["quality"] == fresh["contestants"]["student"]["quality"]


def test_a_teacher_of_unknown_cost_has_no_cost(folder: Path) -> None:
    every = [
        msgspec.structs.replace(row, samples=(Sample(text=row.label or ""),)) for row in rows(60, part="test")
    ]
    write_rows([*rows(100), *every], folder / "curate" / "rows.jsonl")
    run_baseline(folder), run_train(folder)
    found = run_evaluate(folder)
    assert found.counts["cost_ratio"] is None and found.counts["difference"] is not None


def test_the_report_can_be_written_as_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_baseline(folder), run_train(folder)
    counts = run_evaluate(folder).counts
    manifest = Manifest(
        stage="evaluate", version=1, hash="x", project={}, settings={}, inputs={}, outputs={},
        counts=counts, notes=(), stop=None, is_partial=False, written_by="x", seconds=0.0,
    )  # fmt: skip
    (folder / "distill.yaml").write_text("teacher: large\n")
    done = Done(folder=folder / "evaluate", manifest=manifest, is_new=True)
    monkeypatch.setattr(Runner, "run", lambda self, name, anew=False: done)
    page, text = folder / "page.html", folder / "page.md"
    command = ["distill", "evaluate", "-p", str(folder), "--html", str(page), "--markdown", str(text)]
    found = CliRunner().invoke(build(), command)
    assert found.exit_code == 0, found.output
    assert "student against large" in page.read_text() and text.read_text().startswith("# student against")


# --- models of the panel

PROVIDER = '''
from decimal import Decimal

from suffice.types import Answer, TokenLogprob, Usage

WORDS = {"up": ("rises", "gains"), "down": ("falls", "drops", "slides", "sinks")}


class Fake:
    """Knows a few words; with examples more of them; as a judge it prefers whoever says "up" or "down"."""

    def __init__(self, candidate):
        self.candidate = candidate

    @classmethod
    def from_config(cls, candidate, settings, http):
        return cls(candidate)

    async def answer(self, query, options):
        messages = query.chat()
        text = messages[-1]["content"]
        if "[[A]]" in text or "[[A]]" in messages[0]["content"]:
            said = "[[C]]"
        elif "flat" in messages[0]["content"]:
            said = "flat"
        else:
            turns = [one["content"] for one in messages if one["role"] != "system"]
            known = {word: label for label, words in WORDS.items() for word in words}
            for example, label in zip(turns[:-1:2], turns[1::2]):
                known |= {word: label for word in example.split() if word not in NOUNS}
            said = next((known[word] for word in text.split() if word in known), "flat")
        logprobs = (TokenLogprob(said, -0.1),)
        usage = Usage(prompt_tokens=len(messages), completion_tokens=1)
        return Answer(content=said, candidate=self.candidate.name, usage=usage, cost_usd=Decimal("0.0001"),
                      latency_s=0.01, finish_reason="stop", logprobs=logprobs)

    async def close(self):
        pass


NOUNS = ("gold", "silver", "oil", "copper", "wheat", "corn", "tin", "zinc")
'''


@pytest.fixture
def panel(folder: Path) -> Path:
    (folder / "fake.py").write_text(PROVIDER)
    (folder / "suffice.yaml").write_text(
        f"models:\n  - {{name: base, provider: '{folder / 'fake.py'}:Fake', input_usd_per_mtok: 1, "
        "output_usd_per_mtok: 1, context_window: 1000}\n"
    )
    return folder


def test_an_untuned_model_is_asked_without_and_with_examples(panel: Path) -> None:
    found = run_baseline(panel, heads=(), model="base", k=8, prompts={"lazy": "say flat"})
    quality = found.counts["quality"]["test"]
    assert quality["prompt_lazy"] < quality["zero_shot"] < quality["few_shot"]
    assert found.counts["usd_per_1k"]["few_shot"] == pytest.approx(0.1)
    journals = sorted(path.name for path in (panel / "journals").iterdir())
    assert journals == ["baseline-few_shot.jsonl", "baseline-prompt_lazy.jsonl", "baseline-zero_shot.jsonl"]
    sizes = [path.stat().st_size for path in (panel / "journals").iterdir()]
    run_baseline(panel, heads=(), model="base", k=8, prompts={"lazy": "say flat"})
    assert sizes == [path.stat().st_size for path in (panel / "journals").iterdir()]  # nothing is asked twice


def test_a_student_of_the_panel_and_a_judge(panel: Path) -> None:
    run_baseline(panel, heads=("words",)), run_train(panel)
    found = run_evaluate(panel, panel="base", judge="base", judged=50)
    assert 0.4 < found.counts["quality"]["student"] < 0.9
    assert found.counts["win_rate"] == 0.5  # the judge calls every pair a tie
