"""The gateways that are measured: how each is configured and started, and what it can do.

Another one is a class with `start` and a row in GATEWAYS.
"""

import shutil
import sys
from pathlib import Path
from typing import Protocol

from panel import ARMS, config, train
from peers import LiteLLM, Portkey


class Gateway(Protocol):
    """One row of the table."""

    cells: tuple[str, ...]
    """Of "chat", "stream", "auto"."""
    key: str | None
    """To be sent as a bearer token."""
    model: str
    """What "chat" and "stream" ask for."""
    headers: str
    """Further lines of the request's head, each ended by CRLF."""

    def start(self, folder: Path, port: int, upstream: int) -> list[str]:
        """Write what it needs into a fresh folder; the command that starts it."""
        ...


class Nginx:
    """A reverse proxy with kept-alive connections on both sides: does nothing but pass bytes."""

    cells = ("chat", "stream")
    key: str | None = None
    model = "mock"
    headers = ""

    def start(self, folder: Path, port: int, upstream: int) -> list[str]:
        (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  keepalive_requests 100000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering on;
    }}
  }}
}}
""")
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if found is None:
            raise FileNotFoundError("nginx is not installed")
        return [found, "-p", str(folder), "-c", str(folder / "nginx.conf")]


class Suffice:
    """This project: a key demanded, metrics on, every request recorded in SQLite."""

    cells = ("chat", "stream", "auto")
    key: str | None = None
    model = ARMS[0]
    headers = ""

    def start(self, folder: Path, port: int, upstream: int) -> list[str]:
        from suffice.store import open_store
        from suffice.store.keys import new_key

        router = folder / "router"
        train(router)
        file = folder / "suffice.yaml"
        file.write_text(config(upstream, router, folder / "bench.db"))
        store = open_store(f"sqlite:///{folder / 'bench.db'}")
        self.key, key, digest = new_key("bench")
        store.add_key(key, digest)
        store.close()
        return [sys.executable, "-m", "suffice.gateway", "--config", str(file), "--port", str(port)]


GATEWAYS: dict[str, type[Gateway]] = {
    "nginx": Nginx,
    "suffice": Suffice,
    "litellm": LiteLLM,
    "portkey": Portkey,
}
"""The first is the yardstick."""
