"""What every provider is built from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.protocols import Model
    from suffice.providers.http import HttpClient
    from suffice.types import Candidate


class Secret:
    """A string that shows itself only when asked: never in a repr, a log line or an f-string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a provider: from the configuration only, never from a request."""

    base_url: str | None = None
    """None takes the provider's own."""
    api_key: Secret | None = None
    timeout_s: float = 120.0
    """For the whole call; `Options.timeout_s` of a request may shorten it."""
    connect_timeout_s: float = 10.0
    """Name look-up, TCP and TLS."""
    first_byte_timeout_s: float | None = None
    """From sending the request to the response's first byte; None leaves it to `timeout_s`."""
    chunk_timeout_s: float | None = 60.0
    """Longest silence within a response."""
    headers: Mapping[str, str] = {}
    """Sent with every call."""
    extra: Mapping[str, Any] = {}
    """What only one provider knows, such as Azure's `api_version`."""


def check_options(candidate: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise a ConfigError for options that the provider does not know: they would do nothing."""
    if unknown := sorted(set(given) - set(known)):
        names = f"known: {', '.join(sorted(known))}" if known else "it takes none"
        raise ConfigError(f"{candidate}: unknown options {', '.join(unknown)}; {names}")


class Provider(Protocol):
    """A class in the registry: makes the Model of one candidate."""

    @classmethod
    def from_config(cls, candidate: Candidate, settings: ProviderSettings, http: HttpClient) -> Self | Model:
        """Raises ConfigError where the settings cannot work. Connects to nothing."""
        ...
