"""The gateway at the end of `suffice demo`: the same engine, so that its models stay loaded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket

from rich.console import Console

from suffice.cli.demo_panel import Stage, say
from suffice.engine import Engine
from suffice.errors import ConfigError
from suffice.gateway.app import Gateway
from suffice.gateway.limits import Limits
from suffice.gateway.server import Server, bind

_HOST = "127.0.0.1"
_PORTS = 20
"""How many are tried, from the wanted one on."""


async def serve(engine: Engine, stage: Stage, port: int, out: Console) -> None:
    """Until Ctrl-C or SIGTERM; closes the engine.

    Raises
    ------
    ConfigError
        If no port is free.
    """
    gateway = Gateway(
        lambda: engine,
        demands_key=stage.config.gateway.auth,
        is_loopback=True,
        keep_content=stage.config.gateway.keep_content,
        max_body_bytes=stage.config.gateway.max_body_bytes,
    )
    server = Server(gateway, Limits(body_bytes=stage.config.gateway.max_body_bytes))
    loop = asyncio.get_running_loop()
    with free_port(port) as sock:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, ValueError):
                loop.add_signal_handler(number, server.stop)
        await server.start([sock])
        bound = sock.getsockname()[1]
        if port and bound != port:
            say(out, f"port {port} is taken", "dim")
        _invite(stage, bound, out, has_keys=bool(engine.store.keys()))
        await server.serve()
    say(out, "stopped")


def free_port(port: int) -> socket.socket:
    """A listening socket on this port, or the next one that is free."""
    last = min(port + _PORTS, 65535) if port else port
    for number in range(port, last + 1):
        try:
            return bind(_HOST, number)
        except ConfigError:
            if number == last:
                raise
    raise AssertionError("the last port either binds or raises")


def _invite(stage: Stage, port: int, out: Console, *, has_keys: bool) -> None:
    """Two ways to ask from another terminal."""
    question = stage.queries[0].text
    fields = {"max_tokens": 256} if stage.panel is not None and stage.panel.kind == "local" else {}
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": question}], **fields})
    url = f"http://{_HOST}:{port}/v1"
    key = " -H 'authorization: Bearer YOUR-KEY'" if has_keys else ""
    say(out, f"\nserving {url} until Ctrl-C. From another terminal:\n", "bold")
    say(out, f"curl {url}/chat/completions{key} -H 'content-type: application/json' \\\n  -d '{body}'\n")
    say(out, "from openai import OpenAI")
    say(out, f'client = OpenAI(base_url="{url}", api_key="{"YOUR-KEY" if has_keys else "unused"}")')
    say(out, f"answer = client.chat.completions.create(**{body})")
    say(out, "print(answer.choices[0].message.content)")
