"""Running `suffice` in tests: in this process, or as one that signals can be sent to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

CLOSED = "127.0.0.1:9"
"""Where nothing listens."""
NO_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Commands:
    """Runs commands in an empty folder, without keys, servers or local models."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        for name in NO_KEYS:
            monkeypatch.delenv(name, raising=False)
        self.environ = {
            "SUFFICE_HOME": str(folder / "home"),
            "OLLAMA_HOST": CLOSED,
            "VLLM_HOST": CLOSED,
            "COLUMNS": "120",
            "OPENBLAS_NUM_THREADS": "1",
        }
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, stdin: str | None = None) -> Done:
        from suffice.cli import main

        self._monkeypatch.setattr(sys, "argv", ["suffice", *arguments])
        if stdin is not None:
            import io

            self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(code, *self._capsys.readouterr())

    def start(self, *arguments: str) -> Process:
        """The command as a process of its own."""
        return Process(arguments, self.folder, {**os.environ, **self.environ})

    def write(self, text: str, name: str = "suffice.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


class Process:
    """A running command whose output can be waited for."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]) -> None:
        source = str(Path(__file__).parent.parent / "src")
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "suffice", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environ, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1"},
        )
        self._seen = {"out": "", "err": ""}
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((self._process.stdout, "out"), (self._process.stderr, "err"))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: Any, name: str) -> None:
        while piece := stream.readline():
            self._seen[name] += piece

    @property
    def out(self) -> str:
        return self._seen["out"]

    @property
    def err(self) -> str:
        return self._seen["err"]

    def says(self, text: str, within_s: float = 60.0) -> bool:
        """Whether it says so on stdout or stderr by then."""
        end = time.monotonic() + within_s
        while text not in self.out + self.err:
            if time.monotonic() > end or (
                self._process.poll() is not None and text not in self.out + self.err
            ):
                return text in self.out + self.err
            time.sleep(0.02)
        return True

    def types(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def ends_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signals(self, number: int) -> None:
        self._process.send_signal(number)

    def ends(self, within_s: float = 60.0) -> int:
        """Its exit code."""
        code = self._process.wait(within_s)
        for reader in self._readers:
            reader.join(5)
        return code


class FakeProvider:
    """An OpenAI-shaped server in a thread: echoes, or stalls where the question says "stall"."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.stalled = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                names = ("cheap", "dear")
                rows = [{"id": name, "name": name, "owned_by": "vllm", "size": 1e9} for name in names]
                self._reply({"data": rows, "models": rows})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.asked.append(body)
                question = body["messages"][-1]["content"]
                if "stall" in question:
                    provider.stalled.set()
                    time.sleep(30)
                said = f"{body['model']} says {question}"
                self._stream(said) if body.get("stream") else self._reply(_completion(body["model"], said))

            def _stream(self, said: str) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                for delta in ({"content": said}, {}):
                    reason = None if delta else "stop"
                    choice = {"index": 0, "delta": delta, "finish_reason": reason}
                    self._event({"object": "chat.completion.chunk", "choices": [choice]})
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                self._event({"object": "chat.completion.chunk", "choices": [], "usage": usage})
                self.wfile.write(b"data: [DONE]\n\n")
                self.close_connection = True

            def _event(self, value: Any) -> None:
                self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

            def _reply(self, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def config(self) -> str:
        """A suffice.yaml with two of its models, the dear one thought the better."""
        return f"""\
models:
  - name: cheap
    provider: openai
    base_url: http://{self.address}/v1
    api_key: sk-test-secret
    input_usd_per_mtok: 0.1
    output_usd_per_mtok: 0.4
    strength: 0.5
  - name: dear
    provider: openai
    base_url: http://{self.address}/v1
    api_key: sk-test-secret
    input_usd_per_mtok: 2
    output_usd_per_mtok: 8
    strength: 0.9
"""


def _completion(model: str, said: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": said}
    return {
        "id": "x",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
