"""agent.toml, the environment and secrets by file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from targets.agent import AgentConfig
from targets.agent.config_file import ENVIRONMENT_PREFIX, KEYS
from targets.agent.errors import InvalidConfig
from targets.agent.policy import Bounds, OnExit

EXAMPLE = files("targets.agent") / "agent.example.toml"
SECRET = "lontra_00000000_do-not-show"
MINIMAL = f"""
[server]
url = "https://lontra.example"
token = "{SECRET}"
[target]
name = "box"
adapter = "simulated"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., AgentConfig]:
    def load(text: str, **environment: str) -> AgentConfig:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return AgentConfig.load(path, environment=environment)

    return load


def test_the_example_loads_and_names_every_key(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    token = tmp_path / "token"
    token.write_text(SECRET + "\n")
    # Every commented key, uncommented, must be read too: none may be wrong or outdated.
    whole = re.sub(r'(?m)^# (\w+ = |(?=token = "))', r"\1", text).replace('token = ""', "")
    path = tmp_path / "agent.toml"
    path.write_text(whole.replace("/etc/lontra/token", str(token)))
    config = AgentConfig.load(path, environment={})
    assert config.token == SECRET
    assert config.policy.bounds == {"cache_size": Bounds(low=2000, high=65536)}
    for section, keys in KEYS.items():
        body = text.partition(f"[{section}]")[2]
        for key in keys:
            told = rf"(?m)^(# )?{key.name} = |^\[{section}\.{key.name}\]"
            assert re.search(told, body), f"[{section}] {key.name} is not in the example"


def test_the_example_gives_the_defaults(tmp_path: Path) -> None:
    for line in EXAMPLE.read_text().splitlines():
        if match := re.fullmatch(r"# (\w+) = (.*)", line):
            name, value = match.group(1), tomllib.loads(f"x = {match.group(2)}")["x"]
            defaults = [key.default for keys in KEYS.values() for key in keys if key.name == name]
            if name not in ("allow", "cache_size", "mmap_size"):
                assert value in defaults, f"{name}: the example says {value}, the code {defaults}"


def test_every_key_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()
    for section, keys in KEYS.items():
        for key in keys:
            assert f"`{section}.{key.name}`" in manual


def test_minimal_file_takes_the_defaults(load: Any) -> None:
    config = load(MINIMAL)
    assert (config.interval_seconds, config.dead_man_seconds, config.idle_grace_seconds) == (
        5.0, 5.0, 5.0,
    )  # fmt: skip
    assert config.state_dir == Path("/var/lib/lontra-agent")
    assert config.policy.allow == ("*",)
    assert not config.policy.allow_restart
    assert config.policy.on_exit is OnExit.RESTORE


def test_environment_wins_over_the_file(load: Any) -> None:
    config = load(
        MINIMAL,
        LONTRA_AGENT__SERVER__URL="http://127.0.0.1:8000",
        LONTRA_AGENT__AGENT__INTERVAL_SECONDS="2.5",
        LONTRA_AGENT__POLICY__ALLOW='["cache_*"]',
        LONTRA_AGENT__POLICY__BOUNDS='{"cache_size": {"high": 100}}',
        LONTRA_AGENT__POLICY__ALLOW_RESTART="true",
        LONTRA_AGENT__TARGET__SETTINGS='{"knobs": 3}',
        UNRELATED="x",
    )
    assert config.server_url == "http://127.0.0.1:8000"
    assert config.interval_seconds == 2.5
    assert config.policy.allow == ("cache_*",)
    assert config.policy.bounds == {"cache_size": Bounds(high=100)}
    assert config.policy.allow_restart
    assert config.settings == {"knobs": 3}


def test_the_environment_alone_is_enough() -> None:
    environment = {
        "LONTRA_AGENT__SERVER__URL": "https://lontra.example",
        "LONTRA_AGENT__SERVER__TOKEN": SECRET,
        "LONTRA_AGENT__TARGET__NAME": "box",
        "LONTRA_AGENT__TARGET__ADAPTER": "simulated",
    }
    assert AgentConfig.load(None, environment=environment).target == "box"


@pytest.mark.parametrize("section", KEYS)
def test_every_key_can_come_from_the_environment(section: str, load: Any) -> None:
    for key in KEYS[section]:
        value = key.default if isinstance(key.default, str) else str(key.default).lower()
        variable = f"{ENVIRONMENT_PREFIX}{section}__{key.name}".upper()
        if key.name not in ("url", "token", "token_file", "name", "adapter"):
            load(MINIMAL, **{variable: value})


def test_a_token_file_in_the_environment_replaces_the_token_in_the_file(
    load: Any, tmp_path: Path
) -> None:
    secret = tmp_path / "credential"
    secret.write_text("from-systemd\n")
    assert load(MINIMAL, LONTRA_AGENT__SERVER__TOKEN_FILE=str(secret)).token == "from-systemd"


def test_an_empty_allow_list_allows_nothing(load: Any) -> None:
    assert load(MINIMAL + "[policy]\nallow = []\n").policy.allow == ()


def test_relative_paths_are_meant_from_the_file(load: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    text = MINIMAL.replace(f'token = "{SECRET}"', 'token_file = "secret"')
    config = load(text + '[agent]\nstate_dir = "state"\n')
    assert config.token == SECRET
    assert config.state_dir == tmp_path / "state"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("[agnet]\nlog = 'info'", "no section [agnet]: did you mean agent?"),
        ("[agent]\ninterval_second = 1", "no key interval_second: did you mean interval_seconds?"),
        ("[agent]\ninterval_seconds = 0", "interval_seconds=0 is outside 0.05..3600"),
        ("[agent]\nlog = 'loud'", "log='loud' is none of: debug, info, warning, error"),
        ("[policy]\non_exit = 'explode'", "on_exit='explode' is none of: restore, keep"),
        ("[policy]\nallow = 'cache'", "is no JSON"),
        ("[policy]\npins = { a = [1] }", "[policy.pins] a=[1] is no knob's value"),
        ("[policy.bounds.a]\nmin = 1", "[policy.bounds.a] has the keys low and high only"),
        ("[policy.bounds.a]\nlow = true", "[policy.bounds.a] low=True is no number"),
        ("[spool]\nmax_bytes = 10", "max_bytes=10 is outside 65536"),
    ],
)
def test_wrong_keys_and_values_say_where_what_and_which_rule(
    load: Any, change: str, told: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(MINIMAL + change)
    assert told in str(caught.value)
    assert "agent.toml" in str(caught.value)


def test_a_wrong_variable_is_named(load: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"LONTRA_AGENT__AGENT__LOGG: .* did you mean log"):
        load(MINIMAL, LONTRA_AGENT__AGENT__LOGG="info")


def test_plain_http_to_another_machine_needs_consent(load: Any) -> None:
    text = MINIMAL.replace("https://lontra.example", "http://10.0.0.7:8000")
    with pytest.raises(InvalidConfig, match="unencrypted to another machine"):
        load(text)
    consenting = text.replace("[target]", "allow_http = true\n[target]")
    assert load(consenting).server_url == "http://10.0.0.7:8000"


def test_the_token_is_never_shown(load: Any, tmp_path: Path) -> None:
    assert SECRET not in repr(load(MINIMAL))
    for text in (
        MINIMAL.replace("https://lontra.example", "nonsense"),
        MINIMAL + f'[server.token]\nx = "{SECRET}"',
        MINIMAL.replace(f'token = "{SECRET}"', f'token = ["{SECRET}"]'),
        MINIMAL.replace("[target]", 'token_file = "x"\n[target]'),
    ):
        with pytest.raises(InvalidConfig) as caught:
            load(text)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


def test_a_missing_token_file_says_how_to_get_one(load: Any) -> None:
    with pytest.raises(InvalidConfig, match="lontra token create"):
        load(MINIMAL.replace(f'token = "{SECRET}"', ""))
