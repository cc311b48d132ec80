"""Reading `agent.toml` and the environment into an `AgentConfig`.

Every key is declared once, in `KEYS`; the environment variable of `[server] url` is
`LONTRA_AGENT__SERVER__URL`, and it wins over the file. Tables and lists are given there as JSON.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import logging
import os
import tomllib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.agent.config import DEFAULT_STATE_DIR, AgentConfig
from targets.agent.errors import InvalidConfig
from targets.agent.policy import Bounds, OnExit, Policy
from targets.errors import InvalidSetting
from targets.settings import Setting

ENVIRONMENT_PREFIX = "LONTRA_AGENT__"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TableKey:
    """A key that holds a list of texts, or a table whose names are the owner's."""

    name: str
    is_list: bool
    help: str

    @property
    def default(self) -> Any:
        """What holds when the key is not given."""
        return [] if self.is_list else {}

    def parse(self, given: object) -> Any:
        """The list or table; a text (from the environment) is read as JSON.

        Raises:
            InvalidSetting: it is not of that form.
        """
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError:
                raise InvalidSetting(f"setting {self.name}={given!r} is no JSON") from None
        if self.is_list:
            if not (isinstance(given, list) and all(isinstance(item, str) for item in given)):
                raise InvalidSetting(f"setting {self.name}={given!r} must be a list of texts")
        elif not isinstance(given, Mapping):
            raise InvalidSetting(f"setting {self.name}={given!r} must be a table")
        return given


KEYS: Mapping[str, tuple[Setting | TableKey, ...]] = {
    "server": (
        Setting(name="url", default="", help="where the server is, e.g. https://lontra.example"),
        Setting(name="token", default="", help="the agent's token; better given by token_file"),
        Setting(name="token_file", default="", help="a file that holds the token and nothing else"),
        Setting(name="ca_file", default="", help="certificates to trust instead of the system's"),
        Setting(
            name="allow_http",
            default=False,
            help="send the token over plain http to another machine",
        ),
    ),
    "agent": (
        Setting(
            name="state_dir",
            default=str(DEFAULT_STATE_DIR),
            help="the agent's own folder: journal, spool, lock; one per target",
        ),
        Setting(
            name="interval_seconds",
            default=5.0,
            low=0.05,
            high=3600.0,
            unit="s",
            help="how often the knobs are compared with what Lontra set",
        ),
        Setting(
            name="dead_man_seconds",
            default=5.0,
            low=0.5,
            high=3600.0,
            unit="s",
            help="how long the agent may be silent before the watchdog takes over",
        ),
        Setting(
            name="idle_grace_seconds",
            default=5.0,
            low=0.0,
            high=86400.0,
            unit="s",
            help="how long a tried configuration stays in force without work from the server",
        ),
        Setting(
            name="log",
            default="info",
            choices=("debug", "info", "warning", "error"),
            help="the least severe level that is logged, on stderr",
        ),
    ),
    "target": (
        Setting(name="name", default="", help="the target's name on the server"),
        Setting(name="adapter", default="", help="what drives it; `lontra targets` lists them"),
        TableKey(name="settings", is_list=False, help="the adapter's own settings"),
    ),
    "policy": (
        TableKey(name="allow", is_list=True, help="knobs that may be changed; absent: all"),
        TableKey(name="deny", is_list=True, help="knobs that may not be changed"),
        TableKey(name="pins", is_list=False, help="knobs fixed to a value"),
        TableKey(name="bounds", is_list=False, help="per knob, low and high"),
        Setting(
            name="allow_restart",
            default=False,
            help="change knobs that need the target restarted or rebuilt",
        ),
        Setting(
            name="allow_durability",
            default=False,
            help="change knobs on which the survival of committed data depends",
        ),
        Setting(
            name="on_exit",
            default="restore",
            choices=("restore", "keep"),
            help="what an agent that is stopped leaves in force",
        ),
    ),
    "spool": (
        Setting(
            name="max_bytes",
            default=64 * 1024 * 1024,
            low=64 * 1024,
            high=2**40,
            unit="B",
            help="how much may wait on disk for the server; the oldest goes first",
        ),
    ),
}
"""Section -> its keys. The example file and docs/agent.md are tested to name each."""

Values = dict[str, dict[str, Any]]


def load_config(path: Path | None, *, environment: Mapping[str, str] | None = None) -> AgentConfig:
    """Read file and environment.

    Raises:
        InvalidConfig: names the file (or variable), the key and the rule.
    """
    given: Values = {section: {} for section in KEYS}
    if path is not None:
        _read_file(path, given)
    _read_environment(os.environ if environment is None else environment, given)
    values: Values = {
        section: {key.name: given[section].get(key.name, key.default) for key in keys}
        for section, keys in KEYS.items()
    }
    # An absent allow-list means all; an empty one means none.
    allow = tuple(given["policy"].get("allow", ("*",)))
    folder = (path.parent if path is not None else Path()).absolute()
    server, target, agent = values["server"], values["target"], values["agent"]
    where = str(path or "the environment")
    for section, key in (("server", "url"), ("target", "name"), ("target", "adapter")):
        if not values[section][key]:
            raise InvalidConfig(f"{where}: [{section}] {key} is missing: set it")
    _check_url(server["url"], allow_http=server["allow_http"], where=where)
    return AgentConfig(
        server_url=server["url"],
        token=_token(server, folder, where),
        ca_file=folder / server["ca_file"] if server["ca_file"] else None,
        target=target["name"],
        adapter=target["adapter"],
        settings=dict(target["settings"]),
        state_dir=folder / agent["state_dir"],
        interval_seconds=agent["interval_seconds"],
        dead_man_seconds=agent["dead_man_seconds"],
        idle_grace_seconds=agent["idle_grace_seconds"],
        policy=_policy(values["policy"], allow, where),
        spool_bytes=values["spool"]["max_bytes"],
        log=agent["log"],
    )


def _read_file(path: Path, given: Values) -> None:
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path} is no TOML: {error}") from error
    for section, table in data.items():
        if section not in KEYS:
            raise InvalidConfig(f"{path}: no section [{section}]{_hint(section, KEYS)}")
        if not isinstance(table, Mapping):
            raise InvalidConfig(f"{path}: {section} is a section: write [{section}]")
        for name, value in table.items():
            given[section][name] = _parse(section, name, value, where=str(path))


def _read_environment(environment: Mapping[str, str], given: Values) -> None:
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        if section not in KEYS:
            raise InvalidConfig(f"{variable}: no section {section}{_hint(section, KEYS)}")
        if name in ("token", "token_file"):
            # The one in the environment replaces the one in the file, whichever form it had.
            given["server"].pop("token", None)
            given["server"].pop("token_file", None)
        given[section][name] = _parse(section, name, text, where=variable)


def _parse(section: str, name: str, value: object, *, where: str) -> Any:
    keys = {key.name: key for key in KEYS[section]}
    if name not in keys:
        raise InvalidConfig(f"{where}: [{section}] has no key {name}{_hint(name, keys)}")
    try:
        return keys[name].parse(value)
    except InvalidSetting as error:
        # The rule's text carries the value, which for the token must not be shown.
        rule = "it must be a text" if name == "token" else str(error)
        raise InvalidConfig(f"{where}: [{section}] {rule}") from None


def _hint(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"


def _token(server: Mapping[str, Any], folder: Path, where: str) -> str:
    if server["token"] and server["token_file"]:
        raise InvalidConfig(f"{where}: [server] has both token and token_file: keep one")
    if server["token"]:
        return str(server["token"])
    if not server["token_file"]:
        raise InvalidConfig(
            f"{where}: [server] token_file is missing: make a token with `lontra token create` "
            "and name the file that holds it"
        )
    path = folder / server["token_file"]
    try:
        token: str = path.read_text().strip()
        if path.stat().st_mode & 0o077:
            logger.warning("token file can be read by others path=%s remedy='chmod 600'", path)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(
            f"{where}: [server] token_file {path} cannot be read: {error}"
        ) from None
    if not token:
        raise InvalidConfig(f"{where}: [server] token_file {path} is empty")
    return token


def _check_url(url: str, *, allow_http: bool, where: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidConfig(f"{where}: [server] url={url!r} must be http(s)://host[:port]")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise InvalidConfig(
            f"{where}: [server] url={url!r} would send the token unencrypted to another machine: "
            "use https, or set allow_http = true"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _policy(values: Mapping[str, Any], allow: tuple[str, ...], where: str) -> Policy:
    bounds = {}
    for knob, table in values["bounds"].items():
        if not isinstance(table, Mapping) or not set(table) <= {"low", "high"}:
            raise InvalidConfig(f"{where}: [policy.bounds.{knob}] has the keys low and high only")
        for end, value in table.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidConfig(f"{where}: [policy.bounds.{knob}] {end}={value!r} is no number")
        bounds[knob] = Bounds(**table)
    for knob, value in values["pins"].items():
        if not isinstance(value, bool | int | float | str):
            raise InvalidConfig(f"{where}: [policy.pins] {knob}={value!r} is no knob's value")
    return Policy(
        allow=allow,
        deny=tuple(values["deny"]),
        pins=dict(values["pins"]),
        bounds=bounds,
        allow_restart=values["allow_restart"],
        allow_durability=values["allow_durability"],
        on_exit=OnExit(values["on_exit"]),
    )
