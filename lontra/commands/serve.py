"""`lontra serve`: the REST API and the dashboard, under gunicorn."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import click

from lontra.home import Home

if TYPE_CHECKING:
    from flask import Flask

DEFAULT_PORT = 8642
SECRET_VARIABLE = "LONTRA_SECRET_KEY"  # noqa: S105 - its name, not its value
"""Signs login cookies; give all servers of one address the same. Random at each start else."""


@click.command("serve")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Beyond loopback put TLS in front, or give --certificate.",
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one and prints it.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes; more than one needs PostgreSQL.",
)
@click.option(
    "--threads",
    default=8,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Requests served at once in each process.",
)
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="TLS chain, PEM.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="TLS key, PEM.")
@click.option("--require-login", is_flag=True, help="Ask for a token on loopback too.")
@click.option(
    "--trusted-host",
    "trusted_hosts",
    multiple=True,
    help="A name the server is reached by, when it listens beyond loopback; repeatable.",
)
@click.option(
    "--trusted-proxies",
    default=0,
    show_default=True,
    type=click.IntRange(0, 5),
    help="How many proxies in front may say who the client is.",
)
@click.pass_obj
def serve_command(home: Home, /, **options: Any) -> None:
    """Run the API and the dashboard until stopped.

    \b
    Examples:
      lontra serve
      lontra --database postgresql+psycopg://lontra@/lontra serve --workers 4 \\
          --host 0.0.0.0 --certificate chain.pem --key key.pem --trusted-host tuner.example
    """
    from gunicorn.app.base import BaseApplication

    from knowledge_base import Store

    if options["workers"] > 1 and home.database_url.startswith("sqlite"):
        raise click.UsageError(
            "--workers above 1 needs PostgreSQL: SQLite has one writer at a time"
        )
    if bool(options["certificate"]) != bool(options["key"]):
        raise click.UsageError("--certificate and --key go together")
    Store.open(home.database_url).close()  # a schema mismatch is said here, before forking
    secret_key = os.environ.get(SECRET_VARIABLE) or secrets.token_hex(32)

    class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
        def load_config(self) -> None:
            for name, value in _gunicorn_settings(options).items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return _application(home, options, secret_key)

    Server().run()


def _application(home: Home, options: dict[str, Any], secret_key: str) -> Flask:
    from knowledge_base import Store
    from web import WebSettings, create_app
    from web.settings import LOOPBACK_HOSTS

    settings = WebSettings(
        open_on_loopback=not options["require_login"],
        trusted_hosts=(*LOOPBACK_HOSTS, *options["trusted_hosts"]),
        trusted_proxies=options["trusted_proxies"],
        secret_key=secret_key,
        secure_cookie=bool(options["certificate"]),
    )
    return create_app(Store.open(home.database_url), settings)


def _gunicorn_settings(options: dict[str, Any]) -> dict[str, Any]:
    scheme = "https" if options["certificate"] else "http"

    def ready(server: Any) -> None:
        for listener in server.LISTENERS:
            host, port = listener.sock.getsockname()[:2]
            click.echo(f"Lontra serves {scheme}://{_bracketed(host)}:{port}")

    return {
        "bind": f"{_bracketed(options['host'])}:{options['port']}",
        "workers": options["workers"],
        "threads": options["threads"],
        "worker_class": "gthread",
        "certfile": options["certificate"],
        "keyfile": options["key"],
        "proc_name": "lontra serve",
        "when_ready": ready,
        "loglevel": "warning",
        "graceful_timeout": 5,
        "limit_request_line": 4094,
    }


def _bracketed(host: str) -> str:
    """An address as it stands before a port: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
