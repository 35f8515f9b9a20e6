"""Every error that Suffice raises on purpose.

SufficeError
├── ConfigError              suffice.yaml, a command line or a constructor argument
├── DataError                a bad row or file of queries, outcomes or prices
├── NotFitted                a router was asked before it was trained
├── ArtefactError            a saved router that is corrupt, from another version or another embedder
├── MissingDependency        a library of an extra is not installed
├── UnknownName              no router, policy, embedder or provider of that name
├── CatalogueError
│   ├── UnknownModel         no candidate of that name
│   └── PriceUnknown         a cost was asked for where no price is known
├── EmbedderError            an embedder gave no vectors
├── PullError                a local model could not be fetched or its digest does not match
├── StoreError
│   ├── StoreCorrupt
│   ├── StoreLocked
│   ├── StoreFull
│   └── LedgerAway           the server that keeps the budgets cannot be asked; 503
├── RequestError             the caller's fault; 4xx
│   ├── InvalidRequest       400
│   ├── Unauthorized         401
│   ├── Forbidden            403
│   ├── NotFound             404
│   ├── MethodNotAllowed     405
│   ├── RequestTimeout       408
│   ├── RequestTooLarge      413
│   ├── HeadersTooLarge      431
│   └── Overloaded           503, this process is shutting down or full
├── ProviderError            one upstream call failed
│   ├── ProviderTimeout      no connection, first byte, next chunk or end in time
│   ├── ProviderUnavailable  refused, reset, DNS, TLS, 5xx
│   ├── ProviderRateLimited  429; `retry_after_s` where the provider said so
│   ├── ProviderAuthError    401, 403: our key for the provider is wrong
│   ├── ProviderRejected     400, 404, 422: the provider finds the request at fault
│   ├── BudgetExceeded       no budget has room for the call, and it was not made; 429, or 402 for good
│   ├── ContextOverflow      the prompt does not fit this model
│   └── ProviderGarbage      HTML, broken JSON, a cut stream
└── AllAttemptsFailed        every ranked candidate failed; `attempts` says how

`status`, `type` and `code` are what the gateway answers with, in OpenAI's error shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from suffice.types import Attempt


class SufficeError(Exception):
    """Base of all; `str(error)` says value, expectation and remedy."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    code: ClassVar[str | None] = None
    param: str | None = None
    """The request field at fault, where there is one."""
    record_id: str | None = None
    """The record that the failed request left, where it left one."""

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, whatever its constructor takes: errors travel between processes."""
        return _again, (type(self), self.args), self.__dict__

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        return {
            "error": {"message": str(self), "type": self.type, "param": self.param, "code": self.code},
        }


def _again(kind: type[SufficeError], args: tuple[Any, ...]) -> SufficeError:
    return kind.__new__(kind, *args)


class ConfigError(SufficeError):
    """A setting that cannot be used; names file, line and key where known."""

    code = "invalid_config"

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        where = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(": ".join(part for part in (where, key, message) if part))
        self.file, self.line, self.key = file, line, key


class DataError(SufficeError):
    """A file or row that cannot be read; names file, row (1 = first data row) and column where known."""

    code = "invalid_data"

    def __init__(
        self, message: str, *, file: str | None = None, row: int | None = None, column: str | None = None
    ) -> None:
        where = [file] if file else []
        if row is not None:
            where.append(f"row {row}")
        if column:
            where.append(f"column {column!r}")
        super().__init__(f"{', '.join(where)}: {message}" if where else message)
        self.file, self.row, self.column = file, row, column


class NotFitted(SufficeError):
    code = "not_fitted"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has not been trained yet: call fit(outcomes) or load(directory) first")


class ArtefactError(SufficeError):
    """A saved router, index or panel that must not be used."""

    code = "invalid_artefact"


class MissingDependency(SufficeError):
    code = "missing_dependency"

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'suffice[{extra}]'")
        self.package, self.extra = package, extra


class UnknownName(SufficeError):
    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} is called {name!r}; known: {', '.join(sorted(known)) or 'none'}")
        self.kind, self.name = kind, name


class CatalogueError(SufficeError):
    code = "catalogue"


class UnknownModel(CatalogueError):
    status = 404
    type = "invalid_request_error"
    code = "model_not_found"
    param = "model"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"the model {name!r} is not in the panel; known: {', '.join(known) or 'none'}")
        self.name = name


class PriceUnknown(CatalogueError):
    code = "price_unknown"

    def __init__(self, model: str, detail: str = "") -> None:
        super().__init__(
            f"no price is known for {model!r}{detail}; an unknown price is never taken as 0: "
            "give input_usd_per_mtok and output_usd_per_mtok for it in suffice.yaml"
        )
        self.model = model


class EmbedderError(SufficeError):
    code = "embedder_failed"


class PullError(SufficeError):
    code = "pull_failed"


class StoreError(SufficeError):
    code = "store_error"


class StoreCorrupt(StoreError):
    code = "store_corrupt"


class StoreLocked(StoreError):
    status = 503
    code = "store_locked"


class StoreFull(StoreError):
    status = 507
    code = "store_full"


class LedgerAway(StoreError):
    """What clients are told holds no address of the server: that stands in `str(error)`, for logs."""

    status = 503
    code = "ledger_away"

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        found = super().body()
        found["error"]["message"] = (
            "the ledger of budgets cannot be asked, and no call is made on a budget that cannot be kept; "
            "try again in a moment"
        )
        return found


class RequestError(SufficeError):
    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequest(RequestError):
    code = "invalid_request"


class Unauthorized(RequestError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(RequestError):
    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(RequestError):
    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestError):
    status = 408
    code = "request_timeout"


class RequestTooLarge(RequestError):
    status = 413
    code = "request_too_large"


class HeadersTooLarge(RequestError):
    status = 431
    code = "headers_too_large"


class Overloaded(RequestError):
    status = 503
    type = "overloaded_error"
    code = "overloaded"


class ProviderError(SufficeError):
    """One upstream call failed.

    `candidate` is the panel name; `upstream_status` the HTTP status, if one came; `is_retryable`
    says whether the same call may work a moment later.
    """

    status = 502
    type = "upstream_error"
    code = "provider_error"
    is_retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        candidate: str = "",
        upstream_status: int | None = None,
        retry_after_s: float | None = None,
        is_retryable: bool | None = None,
    ) -> None:
        super().__init__(f"{candidate}: {message}" if candidate else message)
        if is_retryable is not None:
            self.is_retryable = is_retryable
        self.candidate = candidate
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s


class ProviderTimeout(ProviderError):
    status = 504
    code = "provider_timeout"
    is_retryable = True


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"
    is_retryable = True


class ProviderRateLimited(ProviderError):
    status = 429
    code = "rate_limit_exceeded"
    is_retryable = True


class ProviderAuthError(ProviderError):
    code = "provider_auth"


class ProviderRejected(ProviderError):
    status = 400
    type = "invalid_request_error"
    code = "provider_rejected"


class ContextOverflow(ProviderError):
    status = 400
    type = "invalid_request_error"
    code = "context_length_exceeded"


class BudgetExceeded(ProviderError):
    """A budget has no room for the call, so it was not made; a plan may find a cheaper candidate.

    429 where waiting helps, 402 where it does not. `details` say which budget, what is left of it, and when
    it begins anew.
    """

    status = 429
    type = "insufficient_quota"
    code = "budget_exceeded"

    def __init__(
        self,
        message: str,
        *,
        candidate: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, candidate=candidate, retry_after_s=retry_after_s)
        self.details = dict(details or {})
        if retry_after_s is None:
            self.status = 402  # type: ignore[misc]  # per instance

    def body(self) -> dict[str, Any]:
        body = super().body()
        body["error"]["budget"] = self.details
        return body


class ProviderGarbage(ProviderError):
    code = "provider_garbage"
    is_retryable = True


class AllAttemptsFailed(SufficeError):
    """Every ranked candidate failed; answered with the last failure's status.

    Where that was a refusal, the request is at fault and the answer says so as the provider would.
    """

    type = "upstream_error"
    code = "all_attempts_failed"

    def __init__(self, attempts: Sequence[Attempt], last: ProviderError) -> None:
        is_refused = isinstance(last, ProviderRejected | ContextOverflow | BudgetExceeded)
        tried = dict.fromkeys((attempt.error or "").partition(": ")[2] for attempt in attempts)
        super().__init__(str(last) if is_refused else f"no candidate answered ({'; '.join(tried)})")
        self.attempts = tuple(attempts)
        self.last = last
        self.status = last.status  # type: ignore[misc]  # the last failure's, per instance
        if is_refused:
            self.type, self.code = last.type, last.code  # type: ignore[misc]

    def body(self) -> dict[str, Any]:
        """OpenAI's error object, with the budget where one has no room."""
        return self.last.body() if isinstance(self.last, BudgetExceeded) else super().body()
