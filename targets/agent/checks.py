"""`--check` and `--dry-run`: what an agent of this configuration would find, send and apply.

Neither changes anything: not the target, not the state directory, nor the server.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from targets.adapter import Adapter, Description
from targets.agent.client import ServerClient, agent_version
from targets.agent.config import AgentConfig
from targets.agent.errors import UnknownToServer
from targets.agent.journal import read_journal
from targets.agent.lock import AgentLock
from targets.agent.recovery import Standing
from targets.agent.statedir import StateDir
from targets.errors import LontraError, TargetDown
from targets.knobs import Value
from targets.machine import host_identity
from targets.protocol import PROTOCOL_VERSION, Heartbeat, Registration
from targets.registry import load_adapter

GOOD = 0
WRONG = 1


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `told` is what was found, or what is wrong and the remedy."""

    name: str
    ok: bool
    told: str


@dataclass(frozen=True)
class KnobFinding:
    """One knob: its value in force, what Lontra may set, or why it may not."""

    name: str
    in_force: Value
    domain: str
    withheld: str


def check(config: AgentConfig, *, as_json: bool = False, client: ServerClient | None = None) -> int:
    """Look at everything an agent needs and print it; answers 0 when all is well, else 1."""
    findings: list[Finding] = []
    knobs: list[KnobFinding] = []

    def look(name: str, act: Callable[[], str]) -> None:
        try:
            findings.append(Finding(name, True, act()))
        except LontraError as error:
            findings.append(Finding(name, False, str(error)))
        # The adapter's code may raise anything; a check tells, it does not break.
        except Exception as error:
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}"))

    def look_at_target() -> str:
        with _opened(config) as adapter:
            description, in_force = adapter.describe(), adapter.read()
            knobs.extend(_knobs(config, description, in_force))
            health = adapter.healthy()
        if health:
            raise TargetDown(health)
        return f"{description.kind} {description.version}, workload {description.workload.name}"

    look("state_dir", lambda: _look_at_state_dir(config))
    with contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(_client(config))
        look("server", lambda: _look_at_server(client))
        look("token", lambda: _look_at_token(client))
    look("target", look_at_target)
    if as_json:
        report = {"findings": [asdict(f) for f in findings], "knobs": [asdict(k) for k in knobs]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(findings, knobs)
    return GOOD if all(finding.ok for finding in findings) else WRONG


def dry_run(config: AgentConfig) -> int:
    """Print, as JSON, what a start would send, journal and put back; answers 0, or 1 when the
    target cannot be read."""
    state = StateDir(config.state_dir)
    standing = Standing.of(read_journal(state.journal))
    with _opened(config) as adapter:
        description, in_force = adapter.describe(), adapter.read()
    space = config.policy.narrow(description.space, in_force)
    registration = Registration(
        protocol=PROTOCOL_VERSION,
        agent_version=agent_version(),
        target=config.target,
        instance=state.instance() if state.mark.exists() else "made at the first start",
        incarnation="made at each start",
        host=host_identity(),
        description={**description.to_dict(), "space": space.to_dict()},
        safe=in_force,
        in_force=in_force,
    )
    plan = {
        "would put back first": standing.snapshot if standing.dirty else None,
        "would send to": config.server_url,
        "would send": {
            "register": registration.to_json(),
            "messages waiting in the spool": len(list(state.spool.glob("*.json"))),
        },
        "would apply": "nothing before the server assigns a trial",
        "would never change": {
            knob.name: reason
            for knob in description.space
            if (reason := config.policy.withheld(knob))
        },
    }
    sys.stdout.write(json.dumps(plan, indent=2) + "\n")
    return GOOD


def _client(config: AgentConfig) -> ServerClient:
    return ServerClient(config.server_url, config.token, ca_file=config.ca_file)


@contextlib.contextmanager
def _opened(config: AgentConfig) -> Iterator[Adapter]:
    """The adapter on the agent's own folder; where there is none yet, on a passing one."""
    with contextlib.ExitStack() as stack:
        workdir = StateDir(config.state_dir).target
        if not workdir.is_dir():
            workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lontra-")))
        adapter = load_adapter(config.adapter)(config.settings, workdir)
        stack.callback(adapter.close)
        yield adapter


def _look_at_state_dir(config: AgentConfig) -> str:
    state = StateDir(config.state_dir)
    if not state.root.exists():
        return f"{state.root} will be made"
    if not any(state.root.iterdir()):
        return f"{state.root} is empty"
    state.instance()
    standing = Standing.of(read_journal(state.journal))
    running = "an agent lives here" if AgentLock(state).holder() else "no agent lives here"
    left = "; something else than the safe configuration may be in force" if standing.dirty else ""
    return f"{state.root}: {running}{left}"


def _look_at_server(client: ServerClient) -> str:
    client.health()
    return f"{client.url} answers"


def _look_at_token(client: ServerClient) -> str:
    """Ask with the token what cannot change anything: a sign of life of an agent that never
    registered, which a server that takes the token answers by not knowing it."""
    stranger = uuid.uuid4().hex
    with contextlib.suppress(UnknownToServer):
        client.heartbeat(Heartbeat(instance=stranger, incarnation=stranger))
    return "the server takes it"


def _knobs(
    config: AgentConfig, description: Description, in_force: dict[str, Value]
) -> Iterator[KnobFinding]:
    space = config.policy.narrow(description.space, in_force)
    for knob in description.space:
        permitted = space[knob.name]
        unit = f" {knob.unit}" if knob.unit else ""
        domain = (
            f"{permitted.low:g}..{permitted.high:g}{unit}"
            if permitted.low is not None and permitted.high is not None
            else ", ".join(map(str, permitted.levels))
        )
        reason = config.policy.withheld(knob)
        yield KnobFinding(knob.name, in_force[knob.name], domain, reason)


def _print(findings: list[Finding], knobs: list[KnobFinding]) -> None:
    for finding in findings:
        sys.stdout.write(f"{'ok' if finding.ok else 'WRONG':6} {finding.name:10} {finding.told}\n")
    tunable = [knob for knob in knobs if not knob.withheld]
    withheld = [knob for knob in knobs if knob.withheld]
    for title, part in (("may be changed", tunable), ("withheld", withheld)):
        sys.stdout.write(f"\n{len(part)} knobs {title}\n")
        for knob in part:
            told = knob.withheld or knob.domain
            sys.stdout.write(f"  {knob.name:32} {knob.in_force!s:>14}   {told}\n")
