"""The OpenAI-compatible gateway: an ASGI application and an HTTP/1.1 server for it."""

from suffice.gateway.app import Gateway
from suffice.gateway.limits import Limits
from suffice.gateway.server import Server
from suffice.gateway.workers import serve

__all__ = ["Gateway", "Limits", "Server", "serve"]
