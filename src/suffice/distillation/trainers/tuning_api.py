"""OpenAI's files and fine-tuning jobs over HTTP: the four calls that a hosted training needs."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, TypeVar

import msgspec

from suffice.errors import ProviderGarbage
from suffice.providers.failures import failure
from suffice.providers.http import HttpClient, Response
from suffice.providers.target import Target, Timeouts, versioned

_TIMEOUTS: Final = Timeouts(total_s=600.0)
_LABEL: Final = "fine-tuning"
T = TypeVar("T")


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed."""

    code: str | None = None
    message: str | None = None
    param: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A `fine_tuning.job`, as far as it is used."""

    id: str
    status: str
    """validating_files, queued, running, succeeded, failed or cancelled."""
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    training_file: str | None = None
    error: JobError | None = None


class _File(msgspec.Struct, frozen=True):
    id: str


class _Jobs(msgspec.Struct, frozen=True):
    data: tuple[Job, ...] = ()


class Api:
    """One endpoint. Calls raise ProviderError."""

    def __init__(self, base_url: str, key: str) -> None:
        self._start, self._key = versioned(base_url, "v1"), key

    def upload(self, name: str, content: bytes) -> str:
        """The id of a new file."""
        border = secrets.token_hex(16)
        body = b"".join(
            [
                f'--{border}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'.encode(),
                f'--{border}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
                "content-type: application/jsonl\r\n\r\n".encode(),
                content,
                f"\r\n--{border}--\r\n".encode(),
            ]
        )
        kind = f"multipart/form-data; boundary={border}"
        return self._call("POST", "files", _File, body, kind).id

    def create(self, request: dict[str, Any]) -> str:
        """The id of a new job."""
        body = msgspec.json.encode(request)
        return self._call("POST", "fine_tuning/jobs", Job, body, "application/json").id

    def find(self, training_file: str) -> str | None:
        """The job on a file that was made before a command was killed, if there is one."""
        jobs = self._call("GET", "fine_tuning/jobs?limit=100", _Jobs).data
        alive = (job for job in jobs if job.status not in ("failed", "cancelled"))
        return next((job.id for job in alive if job.training_file == training_file), None)

    def job(self, name: str) -> Job:
        return self._call("GET", f"fine_tuning/jobs/{name}", Job)

    def _call(self, method: str, path: str, kind: type[T], body: bytes = b"", content: str = "") -> T:
        headers = {"authorization": f"Bearer {self._key}", **({"content-type": content} if content else {})}
        target = Target.parse(f"{self._start}/{path}", headers, label=_LABEL, method=method)
        reply = asyncio.run(_sent(target, body))
        if reply.status >= 400:
            raise failure(reply.status, reply.headers, reply.body, candidate=_LABEL, secret=self._key)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.DecodeError as error:
            raise ProviderGarbage(f"{path}: {error}", candidate=_LABEL) from error


async def _sent(target: Target, body: bytes) -> Response:
    async with HttpClient() as http:
        return await http.request(target, body, _TIMEOUTS)
