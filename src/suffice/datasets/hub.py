"""Sets from the Hugging Face hub: its dataset server names Parquet files, plain HTTPS fetches them.

No library of the hub is needed, and no code of a repository runs: Parquet files are data. A gated set wants
`$HF_TOKEN`, which is sent to the hub's own hosts and not along with a redirect.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from suffice.datasets.base import Info
from suffice.errors import DataError

SERVER: Final = "https://datasets-server.huggingface.co"
_TIMEOUT_S: Final = 10.0
_PROBE_S: Final = 2.0
_MAX_LISTING: Final = 10 << 20


def is_reachable(server: str = SERVER) -> bool:
    """Whether the dataset server answers within 2 seconds."""
    try:
        with _open(f"{server}/is-valid?dataset=openai%2Fgsm8k", timeout_s=_PROBE_S):
            return True
    except (DataError, OSError):
        return False


def fetch(
    info: Info,
    folder: Path,
    *,
    server: str = SERVER,
    report: Callable[[str, int], None] = lambda what, done: None,
) -> list[Path]:
    """The set's Parquet files, fetched into `folder/NAME` where they are not there yet.

    Parameters
    ----------
    report : told file name and bytes so far

    Raises
    ------
    DataError
        If the hub cannot be reached, or has no such part.
    """
    if not info.hub:
        raise DataError(f"{info.name} has no copy on the hub; give its files with --from PATH")
    place = folder / info.name
    listed = _files(info, server)
    place.mkdir(parents=True, exist_ok=True)
    return [_download(one, place, report) for one in listed]


def _files(info: Info, server: str) -> list[dict[str, Any]]:
    url = f"{server}/parquet?dataset={urllib.parse.quote(info.hub, safe='')}"
    try:
        with _open(url, timeout_s=_TIMEOUT_S) as response:
            found = json.loads(response.read(_MAX_LISTING))["parquet_files"]
        chosen = [
            {"url": str(one["url"]), "name": f"{one['config']}-{one['filename']}", "size": int(one["size"])}
            for one in found
            if one["split"] == info.split and (not info.hub_config or one["config"] == info.hub_config)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the answer lists no Parquet files ({error})", file=url) from error
    if not chosen:
        raise DataError(
            f"{info.hub} has no split {info.split!r} of config {info.hub_config or 'any'!r}", file=url
        )
    return sorted(chosen, key=lambda one: str(one["name"]))


def _download(one: dict[str, Any], place: Path, report: Callable[[str, int], None]) -> Path:
    """A file of the right size under a safe name; under a scratch name until it is whole."""
    name = "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in one["name"])
    path = place / name
    if path.is_file() and path.stat().st_size == one["size"]:
        return path
    with tempfile.NamedTemporaryFile(dir=place, prefix=".part-", delete=False) as scratch:
        part = Path(scratch.name)
        try:
            with _open(one["url"], timeout_s=_TIMEOUT_S) as response:
                done = 0
                while block := response.read(1 << 20):
                    scratch.write(block)
                    done += len(block)
                    report(name, done)
            scratch.close()
            if done != one["size"]:
                raise DataError(f"{done:,} bytes came, {one['size']:,} were announced", file=one["url"])
            shutil.move(part, path)
        except (http.client.HTTPException, OSError) as error:
            raise DataError(f"broke off: {error}", file=one["url"]) from error
        finally:
            part.unlink(missing_ok=True)
    return path


def _open(url: str, *, timeout_s: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "suffice"})
    host = urllib.parse.urlsplit(url).hostname or ""
    token = os.environ.get("HF_TOKEN")
    if token and (host == "huggingface.co" or host.endswith(".huggingface.co")):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            gate = "; a gated set wants $HF_TOKEN of an account that accepted its terms"
            more = gate if error.code in (401, 403, 404) else ""
            raise DataError(f"answered {error.code} {error.reason}{more}", file=url) from None
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"no connection to {host} ({reason}); give local files with --from PATH") from None
    assert isinstance(response, http.client.HTTPResponse)
    return response
