"""Training records from a teacher, from records with consent, and from recorded answers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice.datasets.journal import Answered, Journal
from suffice.distillation import flywheel
from suffice.distillation.collecting import Redactor, expire, forget, learning_curve, read_queries
from suffice.distillation.flywheel import Done, Row, Runner, Sample
from suffice.distillation.flywheel.answers import fault, said_label, split_reasoning
from suffice.errors import ConfigError, DataError, SufficeError
from suffice.store import SqliteStore, new_key
from suffice.types import Attempt, Decision, Record
from teachers import PANEL

DAY = 86_400.0
TASK = "teacher: teacher\ntask: {labels: [up, down], instruction: 'Up or down?'}\n"
Make = Callable[..., Runner]


@pytest.fixture
def project(tmp_path: Path) -> Make:
    (tmp_path / "suffice.yaml").write_text(PANEL + f"store: sqlite:///{tmp_path}/s.db\n")

    def make(collect: str, text: str = TASK, **kwargs: Any) -> Runner:
        (tmp_path / "distill.yaml").write_text(f"{text}collect: {collect}\n")
        return Runner(flywheel.load(tmp_path), **kwargs)

    return make


def queries(folder: Path, n: int = 40, **fields: Any) -> None:
    lines = [
        {"query_id": f"q{i}", "query": f"{['gold', 'oil', 'wheat'][i % 3]} {['rises', 'falls'][i % 2]} {i}"}
        for i in range(n)
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(line | fields) + "\n" for line in lines))


def rows_of(done: Done) -> list[Row]:
    return flywheel.read_rows(done.folder / "rows.jsonl")


def test_a_teacher_is_asked_once(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)
    run = project("{file: q.jsonl, samples: 3, logprobs: 2}")
    done = run.run("collect")
    rows = rows_of(done)
    assert len(rows) == 40 and all(len(row.samples) == 3 for row in rows)
    first = rows[0].samples[0]
    assert first.text == "Answer: up" and first.reasoning == "hm" and first.logprobs is not None
    assert first.cost_usd == Decimal("0.000022") and first.latency_s == 0.25
    spent = Decimal(done.manifest.counts["spent_usd"])
    assert spent == 120 * Decimal("0.000022")
    again = run.run("collect", anew=True)
    assert again.manifest.outputs == done.manifest.outputs
    assert Decimal(again.manifest.counts["spent_usd"]) == spent  # all from the journal
    assert any("40 usable records, fewer than the 300" in note for note in done.manifest.notes)
    assert "300" in done.manifest.notes[-1] and done.manifest.counts["learning_curve"]["sizes"][-1] == 32


def test_the_budget_holds_and_more_of_it_goes_on(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)
    text = TASK + "limits: {usd: 0.0015, min_rows: 10}\n"
    done = project("{file: q.jsonl, max_tokens: 1000, concurrency: 1}", text).run("collect")
    counts = done.manifest.counts
    assert done.manifest.is_partial and Decimal(counts["spent_usd"]) <= Decimal("0.0015")
    assert 0 < counts["rows"] < 40 and counts["not_asked"] == 40 - counts["rows"]
    text = TASK + "limits: {usd: 5, min_rows: 10}\n"
    more = project("{file: q.jsonl, max_tokens: 1000, concurrency: 1}", text).run("collect")
    assert not more.manifest.is_partial and more.manifest.counts["rows"] == 40


def test_shards_give_the_same_rows(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)

    class Elsewhere:
        """As a cluster would: pickled, out of order."""

        is_local = False

        def map(self, function: Any, parts: Any) -> Any:
            import pickle

            found = {n: function(pickle.loads(pickle.dumps(parts[n]))) for n in reversed(range(len(parts)))}
            return iter([pickle.loads(pickle.dumps(found[n])) for n in range(len(parts))])

    one = rows_of(project("{file: q.jsonl}").run("collect"))
    steps: list[Any] = []
    many = project(
        "{file: q.jsonl, shards: 4}", executor=Elsewhere(), on_step=lambda *step: steps.append(step)
    ).run("collect")
    assert rows_of(many) == one
    assert len(list((tmp_path / "journals").glob("collect-*.jsonl"))) == 4
    assert steps[-1][:2] == (4, 4)


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("unsaid", "write `may_train_on_output: true`"),
        ("forbidden", "do not let a model be trained"),
        ("nobody", "is not in the panel"),
    ],
)
def test_terms_are_kept(project: Make, tmp_path: Path, teacher: str, said: str) -> None:
    queries(tmp_path)
    with pytest.raises(ConfigError, match=said):
        project("{file: q.jsonl}", TASK.replace("teacher: teacher", f"teacher: {teacher}")).run("collect")
    assert not list((tmp_path / "journals").glob("*"))  # nothing was asked


def test_terms_that_were_withdrawn_end_every_stage(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)
    run = project("{file: q.jsonl}", TASK + "curate: {near: 1, group: 1}\n")
    for name in ("collect", "judge"):
        run.run(name)
    panel = tmp_path / "suffice.yaml"
    text = panel.read_text()
    for flag, said in ((", may_train_on_output: false", "do not let"), ("", "nobody has said")):
        panel.write_text(text.replace(", may_train_on_output: true", flag))
        for name in ("collect", "judge", "curate", "train"):
            with pytest.raises(ConfigError, match=said):
                run.run(name)
        with pytest.raises(ConfigError, match=said):
            next(run.run_all())
    panel.write_text(text)
    assert not run.run("collect").is_new


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("train: {trainer: nosuch}", "nosuch"),
        ("train: {trainer: lora, settings: {base: tiny}}", r"needs torch: pip install 'suffice\[torch\]'"),
        ("train: {settings: {bogus: 1}}", "bogus"),
        ("promote: {stages: [5, 1]}", r"distill.yaml:3: promote.stages\[0\]: .*found 5"),
        (
            "evaluate: {judge: nosuch}",
            r"distill.yaml:3: evaluate.judge: 'nosuch' is not in the panel.*it has tea",
        ),
        ("judge: {model: nosuch}", r"distill.yaml:3: judge.model: 'nosuch' is not in the panel"),
        ("curate: {embedder: minlm}", r"distill.yaml:3: curate.embedder: .*minlm"),
        ("baseline: {embedder: hashed, embedder_params: {bogus: 1}}", r"baseline.embedder: .*bogus"),
        ("name: judge", "'judge' is a model of"),
    ],
)
def test_what_is_wrong_later_is_said_before_anything_is_paid(
    project: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, said: str
) -> None:
    queries(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SufficeError, match=said):
        next(project("{file: q.jsonl}", f"{TASK}{more}\n").run_all())
    assert not (tmp_path / "journals").exists()


def test_bad_files_are_named(project: Make, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"query_id":"a","query":"x"}\n{"query_id":"a","query":"y"}\n')
    with pytest.raises(DataError, match="stands for two queries"):
        project("{file: q.jsonl}").run("collect")
    with pytest.raises(ConfigError, match="needs a `file`"):
        project("{}").run("collect")
    with pytest.raises(DataError, match="cannot be read"):
        project("{file: missing.jsonl}").run("collect")


def test_a_file_says_what_it_knows(tmp_path: Path) -> None:
    line = {
        "query_id": "a",
        "query": "x",
        "prompt": "say x",
        "reference": "up",
        "split": "dev",
        "user": "anna",
    }
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    (row,) = read_queries(tmp_path / "q.jsonl")
    assert (row.reference, row.part, row.subject) == ("up", "validation", "anna")
    assert row.asked().chat() == ({"role": "user", "content": "say x"},)


def test_refusals_are_counted_and_none_left_is_an_error(project: Make, tmp_path: Path) -> None:
    lines = [{"query_id": f"q{i}", "query": f"refuse {i}" if i < 3 else f"gold rises {i}"} for i in range(6)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counts = project("{file: q.jsonl}").run("collect").manifest.counts
    assert counts["usable"] == 3 and counts["faults"] == {"refused": 3}
    (tmp_path / "q.jsonl").write_text(json.dumps(lines[0]))
    with pytest.raises(DataError, match=r"none of 1 answers can be learnt from: refused \(1\)"):
        project("{file: q.jsonl}").run("collect")


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (Sample(text=" "), "empty"),
        (Sample(text="up", finish="content_filter"), "refused"),
        (Sample(text="because", finish="length"), "cut off"),
        (Sample(text="up", finish="stop"), None),
    ],
)
def test_faults(sample: Sample, why: str | None) -> None:
    assert fault(sample) == why


def test_labels_are_read_with_care() -> None:
    labels = ("spam", "not spam", "None")
    assert said_label("Answer: **Not spam**", labels) == "not spam"
    assert said_label("It is none of these", labels) == "None"
    assert said_label("spam? no, not spam", labels) is None
    assert said_label("", labels) is None
    assert split_reasoning("no thought")[0] is None


def test_outcomes_give_rows(project: Make, tmp_path: Path) -> None:
    base = {"query_id": "a", "query": "gold rises", "reference": "up", "split": "test", "score": 1.0}
    lines = [base | {"model": "big", "response": "up"}, base | {"model": "small", "response": "down"},
             base | {"model": "big", "response": "down"}]  # fmt: skip
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = TASK.replace("teacher: teacher", "teacher: big")
    with pytest.raises(ConfigError, match="not in the panel"):
        project("{source: outcomes, file: o.jsonl}", text).run("collect")
    may = "{source: outcomes, file: o.jsonl, may_train_on_output: true}"
    (row,) = rows_of(project(may, text).run("collect"))
    assert [sample.text for sample in row.samples] == ["up", "down"]
    assert (row.part, row.reference, row.meta["score"]) == ("test", "up", 1.0)
    with pytest.raises(DataError, match="holds no answer of 'teacher'; it has answers of big, small"):
        project(may).run("collect")


def test_personal_data_are_taken_out() -> None:
    text = (
        "Mail anna.b@example.org or +49 30 1234 5678, IBAN DE89 3704 0044 0532 0130 00, card "
        "4111 1111 1111 1111, host 192.168.1.20, SSN 123-45-6789, key sk-abcdefghijklmnop1234. Again "
        "anna.b@example.org."
    )
    redactor = Redactor()
    row = redactor.row(
        Row(
            id="a",
            query=text,
            messages=({"role": "user", "content": [{"type": "text", "text": text}]},),
            samples=(Sample(text="I wrote to anna.b@example.org and c@d.eu"), Sample(text="fine")),
        )
    )
    for secret in ("anna.b", "1234 5678", "DE89", "4111", "192.168", "123-45", "sk-abc", "c@d.eu"):
        assert secret not in flywheel.rows._encode(row).decode()
    assert row.query.count("[EMAIL_1]") == 2 and row.samples[0].text == "I wrote to [EMAIL_1] and [EMAIL_2]"
    assert redactor.counts["EMAIL"] == 2 and redactor.counts["CARD"] == 1
    plain = "Gold ends at $901.60 on 2024-11-05, 3.5 % up; order 4111111111111112, version 1.2.3"
    assert Redactor().row(Row(id="b", query=plain)).query == plain


def fill(folder: Path, now: float) -> str:
    """A store with one consenting key; the key's id."""
    store = SqliteStore(folder / "s.db")
    _, key, digest = new_key("acme", keep_content=True, now=1.0)
    store.add_key(key, digest)
    store.consents().allow(key.id, 0.0)
    for number in range(12):
        word = "rises" if number % 2 else "falls"
        store.append(
            Record(
                id=f"r{number}",
                created_at=now - number * 10 * DAY,
                tenant="acme",
                key_id=key.id if number != 1 else None,
                user=f"user{number % 3}",
                decision=Decision(plan="single", candidate="teacher", ranking=()),
                attempts=(Attempt(candidate="teacher", latency_s=0.1),),
                candidate="teacher" if number != 2 else "judge",
                query=json.dumps([{"role": "user", "content": f"gold {word} {number}, ask a{number}@b.org"}]),
                answer="up" if number % 2 else "down",
            )
        )
    asyncio.run(store.drain())
    store.close()
    return key.id


def test_records_need_consent_and_expire(project: Make, tmp_path: Path) -> None:
    now = 2_000_000_000.0
    key = fill(tmp_path, now)
    run = project("{source: records, retention_days: 65}", now=now)
    done = run.run("collect")
    rows = rows_of(done)
    assert [row.id for row in rows] == ["r0", "r3", "r4", "r5", "r6"]  # not keyless, not another's, not old
    assert all("@" not in row.query and "[EMAIL_1]" in row.query for row in rows)
    assert b"@b.org" not in (done.folder / "rows.jsonl").read_bytes()
    assert rows[-1].expires_at == pytest.approx(now + 5 * DAY)
    assert not run.run("collect").is_new
    (tmp_path / "journals" / f"judge-until-{int((now + 5 * DAY) // (7 * DAY))}-0.jsonl").write_text("")
    later = project("{source: records, retention_days: 65}", now=now + 12 * DAY).run("collect")
    assert [row.id for row in rows_of(later)] == ["r0", "r3", "r4", "r5"]
    assert not done.folder.exists() and not list((tmp_path / "journals").glob("judge*"))
    store = SqliteStore(tmp_path / "s.db")
    store.consents().withdraw(key)
    store.close()
    (tmp_path / "journals" / "judge-0.jsonl").write_text("")
    with pytest.raises(DataError, match="no record may be used"):
        project("{source: records}", now=now).run("collect")
    assert not later.folder.exists() and not list((tmp_path / "journals").glob("judge*"))


def test_a_user_is_forgotten(project: Make, tmp_path: Path) -> None:
    now = 2_000_000_000.0
    fill(tmp_path, now)
    run = project("{source: records}", TASK + "curate: {test: 0, validation: 0}\n", now=now)
    for name in ("collect", "judge"):
        run.run(name)
    with Journal(tmp_path / "journals" / "judge-0.jsonl") as journal:
        journal.answered("a", Answered(content="[[9]]"), Decimal("0.5"))
    gone = forget(run.project, "user0")
    assert [name.partition("-")[0] for name in gone.folders] == ["collect", "judge"]
    assert gone.journals == ("judge-0.jsonl",)
    with Journal(tmp_path / "journals" / "judge-0.jsonl") as journal:
        assert not journal.answers and journal.spent_usd == Decimal("0.5")
    assert "user0" not in (tmp_path / "forgotten.txt").read_text()
    rows = rows_of(run.run("collect"))
    assert rows and all(row.subject != "user0" for row in rows)
    assert forget(run.project, "user0").folders == ()
    assert expire(run.project, now) == ()


def test_a_forgotten_user_costs_the_others_nothing(project: Make, tmp_path: Path) -> None:
    lines = [{"query_id": f"q{i}", "query": f"gold rises {i}", "user": f"u{i % 4}"} for i in range(20)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = project("{file: q.jsonl}")
    before = run.run("collect").manifest.counts["spent_usd"]
    assert forget(run.project, "u1").journals == ("collect-0.jsonl",)
    with Journal(tmp_path / "journals" / "collect-0.jsonl") as journal:
        assert len(journal.answers) == 15
    after = run.run("collect").manifest.counts
    assert after["rows"] == 15 and Decimal(after["spent_usd"]) == Decimal(before)
    assert not forget(run.project, "u1").journals


def test_a_killed_run_does_not_burn_the_budget(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)
    text = TASK + "limits: {usd: 0.01, min_rows: 1}\n"
    project("{file: q.jsonl, limit: 20}", text).run("collect")
    with Journal(tmp_path / "journals" / "collect-0.jsonl") as journal:
        for number in range(8):
            journal.asked(f"killed{number}", Decimal("0.00104"))
    done = project("{file: q.jsonl}", text).run("collect")
    counts = done.manifest.counts
    assert counts["rows"] == 40 and not done.manifest.is_partial
    assert Decimal(counts["spent_usd"]) == 40 * Decimal("0.000022")
    assert 0 < Decimal(counts["set_aside_usd"]) < Decimal("0.0003")
    assert any("8 calls were under way when a run was killed" in note for note in done.manifest.notes)


def test_a_price_is_the_remedy_where_there_is_none(project: Make, tmp_path: Path) -> None:
    queries(tmp_path)
    run = project("{file: q.jsonl}")
    panel = tmp_path / "suffice.yaml"
    panel.write_text(panel.read_text().replace("input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0", "", 1))
    with pytest.raises(ConfigError, match="no price is known") as found:
        run.run("collect")
    assert "no-budget" not in str(found.value) and "0 is a price too" in str(found.value)


def test_the_learning_curve_rises_where_there_is_something_to_learn() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(60)])
    texts, labels = [], []
    for _ in range(200):
        chosen = rng.choice(60, 5, replace=False)
        texts.append(" ".join(words[chosen]))
        labels.append("a" if (chosen < 30).sum() >= 3 else "b")
    found = learning_curve(texts, labels, at=(1000,))
    assert found is not None
    assert found.agreement[-1] > found.agreement[0] + 0.05 and found.agreement[-1] > 0.7
    low, high = found.forecast[1000]
    assert found.agreement[-1] - 0.03 < low <= high <= 1
    noise = learning_curve(texts, [str(one) for one in rng.integers(0, 2, 200)], at=(1000,))
    assert noise is not None and noise.forecast[1000][1] < 0.75
    assert learning_curve(texts, ["a"] * 200) is None and learning_curve(texts[:10], labels[:10]) is None
