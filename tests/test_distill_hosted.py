"""Hosted training against a server that speaks the real API's shapes, checked by OpenAI's own types."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill_rows import LABELS, rows
from suffice.distillation.flywheel import Row, Task
from suffice.distillation.students import open_student
from suffice.distillation.trainers import Course
from suffice.distillation.trainers.hosted import STATE, Hosted, HostedSettings
from suffice.errors import ConfigError, DataError, ProviderAuthError, ProviderUnavailable
from suffice.providers.student_card import read_card

types = pytest.importorskip("openai.types", reason="OpenAI's types check the shapes")
from openai.types.fine_tuning import FineTuningJob  # noqa: E402

TASK = Task(kind="classify", labels=LABELS, instruction="Where does the price go?")
KEY = "sk-test-0123456789abcdef"


class Fake:
    """Files and jobs; each look at a job brings it one status further."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.steps = ["validating_files", "queued", "running", "running", "succeeded"]
        self.broken: list[int] = []
        """Statuses that the next looks at a job answer with."""

    def upload(self, body: bytes, kind: str) -> tuple[int, dict[str, Any]]:
        border = re.fullmatch(r"multipart/form-data; boundary=(\w+)", kind)
        assert border is not None
        parts = body.split(b"--" + border[1].encode())[1:-1]
        named = {}
        for part in parts:
            head, _, content = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="(\w+)"', head)
            assert name is not None
            named[name[1].decode()] = content.removesuffix(b"\r\n")
        assert named["purpose"] == b"fine-tune"
        number = f"file-{len(self.files)}"
        self.files[number] = (kind, named["file"])
        found = types.FileObject(
            id=number, bytes=len(named["file"]), created_at=1, filename="train.jsonl", object="file",
            purpose="fine-tune", status="processed",
        )  # fmt: skip
        return 200, found.model_dump()

    def create(self, body: bytes) -> tuple[int, dict[str, Any]]:
        asked = json.loads(body)
        assert set(asked) <= {"model", "training_file", "validation_file", "suffix", "seed", "method"}
        number = f"ftjob-{len(self.jobs)}"
        self.jobs[number] = {
            "id": number, "created_at": 1, "model": asked["model"], "object": "fine_tuning.job",
            "seed": asked["seed"],
            "organization_id": "org-1", "result_files": [], "status": "validating_files", "error": None,
            "training_file": asked["training_file"], "validation_file": asked.get("validation_file"),
            "hyperparameters": asked["method"]["supervised"]["hyperparameters"], "method": asked["method"],
            "fine_tuned_model": None, "finished_at": None, "trained_tokens": None, "looks": 0,
        }  # fmt: skip
        return 200, self.shown(number)

    def look(self, number: str) -> tuple[int, dict[str, Any]]:
        if self.broken:
            return self.broken.pop(0), {"error": {"message": f"no: {KEY}", "type": "server_error"}}
        job = self.jobs[number]
        job["status"] = self.steps[min(job["looks"], len(self.steps) - 1)]
        job["looks"] += 1
        if job["status"] == "succeeded":
            job |= {"fine_tuned_model": "ft:small:org::abc", "finished_at": 9, "trained_tokens": 12_345}
        if job["status"] == "failed":
            job["error"] = {"code": "bad", "message": "the file is odd", "param": "training_file"}
        return 200, self.shown(number)

    def shown(self, number: str) -> dict[str, Any]:
        job = {name: value for name, value in self.jobs[number].items() if name != "looks"}
        return FineTuningJob.model_validate(job, strict=True).model_dump(mode="json")

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        self.requests.append(f"{method} {path}")
        if headers["authorization"] != f"Bearer {KEY}":
            return 401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
        if path == "/v1/files":
            return self.upload(body, headers["content-type"])
        if path == "/v1/fine_tuning/jobs":
            return self.create(body)
        if path.startswith("/v1/fine_tuning/jobs?"):
            return 200, {"object": "list", "data": [self.shown(one) for one in self.jobs], "has_more": False}
        return self.look(path.rpartition("/")[2])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, value = made.answer(self.command, self.path, self.headers, body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"  # type: ignore[attr-defined]
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Killed(BaseException):
    """As Ctrl-C."""


class Nap:
    """Sleeps that are counted, of which one may be the last."""

    def __init__(self, killed_at: int = 0) -> None:
        self.n, self.killed_at = 0, killed_at

    def __call__(self, seconds: float) -> None:
        self.n += 1
        if self.n == self.killed_at:
            raise Killed


def trainer(fake: Fake, nap: Nap | None = None, **settings: Any) -> Hosted:
    own = HostedSettings(**{"base": "small", "base_url": fake.url, "usd_per_mtok": 3.0, **settings})  # type: ignore[attr-defined]
    return Hosted(own, sleep=nap or Nap())


def course(out: Path, n: int = 40, notes: list[str] | None = None) -> Course:
    said = notes.append if notes is not None else lambda _: None
    return Course(rows(n), rows(12, seed=1, part="validation"), TASK, out, said)


def test_a_job_from_files_to_a_student(fake: Fake, tmp_path: Path) -> None:
    notes: list[str] = []
    card = trainer(fake, suffix="prices").train(course(tmp_path, notes=notes))
    assert card.kind == "hosted" and card.model == "ft:small:org::abc" and card.labels == LABELS
    assert card.facts["usd"] == pytest.approx(12_345 * 3e-6) and card.facts["estimated_usd"] > 0
    assert read_card(tmp_path) == card
    first = json.loads(fake.files["file-0"][1].splitlines()[0])
    assert [one["role"] for one in first["messages"]] == ["system", "user", "assistant"]
    assert first["messages"][0]["content"] == TASK.instruction and first["messages"][2]["content"] in LABELS
    assert len(fake.files["file-0"][1].splitlines()) == 40 and len(fake.files["file-1"][1].splitlines()) == 12
    assert any("USD" in note for note in notes) and "ftjob-0: running" in notes
    with pytest.raises(ConfigError, match="panel"):
        open_student(tmp_path)


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4])
def test_a_restart_waits_for_the_job_it_had(fake: Fake, tmp_path: Path, killed_at: int) -> None:
    with pytest.raises(Killed):
        trainer(fake, Nap(killed_at)).train(course(tmp_path))
    card = trainer(fake).train(course(tmp_path))
    assert card.model == "ft:small:org::abc" and len(fake.jobs) == 1 and len(fake.files) == 2
    assert sum(one == "POST /v1/fine_tuning/jobs" for one in fake.requests) == 1


@pytest.mark.parametrize("kept", ["training_file", "validation_file"])
def test_a_kill_between_upload_and_job_pays_for_nothing_twice(fake: Fake, tmp_path: Path, kept: str) -> None:
    """Also where the job was made, and the line that says so was not written any more."""
    with pytest.raises(Killed):
        trainer(fake, Nap(1)).train(course(tmp_path))
    state = json.loads((tmp_path / STATE).read_bytes())
    state["job"] = None
    if kept == "training_file":
        state["validation_file"] = None
    (tmp_path / STATE).write_text(json.dumps(state))
    trainer(fake).train(course(tmp_path))
    assert len(fake.jobs) == 1


def test_other_rows_are_another_job(fake: Fake, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trainer(fake, Nap(1)).train(course(tmp_path))
    trainer(fake).train(course(tmp_path, n=50))
    assert len(fake.jobs) == 2


def test_a_cost_above_the_limit_sends_nothing(fake: Fake, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than max_usd"):
        trainer(fake, max_usd=1e-6).train(course(tmp_path))
    with pytest.raises(ConfigError, match="needs usd_per_mtok"):
        trainer(fake, max_usd=1.0, usd_per_mtok=None).train(course(tmp_path))
    assert not fake.requests


def test_a_failed_job_says_why_and_the_next_one_starts_anew(fake: Fake, tmp_path: Path) -> None:
    fake.steps = ["running", "failed"]
    with pytest.raises(DataError, match="ended as failed: the file is odd"):
        trainer(fake).train(course(tmp_path))
    fake.steps = ["succeeded"]
    trainer(fake).train(course(tmp_path))
    assert len(fake.jobs) == 2


def test_a_look_that_fails_is_repeated(fake: Fake, tmp_path: Path) -> None:
    fake.broken = [503, 503, 500]
    assert trainer(fake).train(course(tmp_path)).model is not None
    fake.broken = [503] * 9
    with pytest.raises(ProviderUnavailable) as failed:
        trainer(fake).train(course(tmp_path / "other"))
    assert KEY not in str(failed.value)


def test_patience_ends_and_the_job_does_not(fake: Fake, tmp_path: Path) -> None:
    fake.steps = ["queued"]
    with pytest.raises(DataError, match="the same command waits on"):
        trainer(fake, poll_s=30.0, patience_s=60.0).train(course(tmp_path))
    fake.steps = ["succeeded"]
    trainer(fake).train(course(tmp_path))
    assert len(fake.jobs) == 1


def test_what_cannot_be_sent(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="at least 10"):
        trainer(fake).train(course(tmp_path, n=6))
    one = Course([Row(id=str(n), query="x", label="up") for n in range(20)], [], TASK, tmp_path)
    with pytest.raises(DataError, match="nothing to tell apart"):
        trainer(fake).train(one)
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with pytest.raises(ProviderAuthError):
        trainer(fake).train(course(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        trainer(fake).train(course(tmp_path))


def test_generated_answers_are_sent_as_they_are(fake: Fake, tmp_path: Path) -> None:
    own = [msgspec.structs.replace(row, label=f"I think {row.label}.") for row in rows(20)]
    card = trainer(fake).train(Course(own, [], Task(kind="generate"), tmp_path))
    assert card.labels == () and b"I think" in fake.files["file-0"][1] and len(fake.files) == 1
