"""`lontra tune`: one session on this machine, from nothing to a confirmed answer."""

from __future__ import annotations

import getpass
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from knowledge_base import Store, upgrade
from knowledge_base.errors import NotFound
from knowledge_base.records import Session, Trial
from lontra.home import Home
from lontra.ring import Ring, local_ring
from lontra.text import report_text, trial_line
from targets.agent.policy import Policy
from targets.registry import load_adapter
from targets.settings import parse_settings
from tuner.service import SessionRequest
from tuner.view import CONFIRM_TASK, SEARCH_TASK


@click.command("tune")
@click.argument("target")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the target (see `lontra targets TARGET`); repeatable.",
)
@click.option(
    "--trials",
    default=40,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Configurations to try, the baseline and the confirmation not counted.",
)
@click.option(
    "--recommender",
    default="auto",
    show_default=True,
    help="Who chooses them (see `lontra recommenders`).",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the recommender; repeatable.",
)
@click.option("--objective", help="What to improve; the target's first objective by default.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes the search repeatable.")
@click.option(
    "--pin", "pins", multiple=True, metavar="KNOB=VALUE", help="Hold a knob at a value; repeatable."
)
@click.option(
    "--wall-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="End the search after this time.",
)
@click.option(
    "--gain-floor",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="End the search when less further gain is expected (0.02 is 2 %).",
)
@click.option(
    "--confirm-pairs",
    default=16,
    show_default=True,
    type=click.IntRange(12, 1000),
    help="Paired windows that compare the winner with the baseline.",
)
@click.option(
    "--margin",
    default=0.02,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="The relative difference that matters to you.",
)
@click.option(
    "--promote",
    is_flag=True,
    help="Leave a confirmed configuration in force instead of putting the old one back.",
)
@click.option(
    "--allow-restart",
    is_flag=True,
    help="Let knobs be tuned that need a restart or rebuild of a system that is not Lontra's own.",
)
@click.option(
    "--allow-durability",
    is_flag=True,
    help="Let knobs be tuned that decide what survives a power loss.",
)
@click.option("--name", help="The target's name in the history [default: TARGET].")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the report to this file.",
)
@click.option("--resume", is_flag=True, help="Go on with the target's interrupted session.")
@click.option("--quiet", is_flag=True, help="Print the report alone.")
@click.pass_obj
def tune_command(home: Home, /, target: str, **options: Any) -> None:
    """Tune TARGET on this machine and report what was gained, with its 95 % interval.

    Runs server, worker, agent and watchdog here for as long as it takes. Ctrl-C puts the target
    back as it was; `--resume` goes on where it stopped.

    \b
    Examples:
      lontra tune sqlite
      lontra tune sqlite --set baseline=wal --trials 30 --seed 1
      lontra tune matmul --set m=1024 --json r.json
      lontra tune cache-policy --set trace=scan --trials 30
      lontra tune command --set file=my-service.toml --objective latency_p99 --promote
    """
    say: Callable[[str], None] = (lambda text: None) if options["quiet"] else click.echo
    name = options["name"] or target
    given = _pairs(options["settings"], "--set")
    adapter = load_adapter(target)
    settings = parse_settings(adapter.settings_declared, given, owner=f"target {target}")
    if options["resume"]:
        settings = _settings_of_last_run(home, name, settings, given)
    _writable(options["json_file"])
    request = _request(name, options)
    say(f"Setting up target {name} ({adapter.summary})")
    policy = Policy(
        allow_restart=adapter.embedded or options["allow_restart"],
        allow_durability=options["allow_durability"],
    )
    with local_ring(home, adapter=target, settings=settings, target=name, policy=policy) as ring:
        session = _resumed(ring) if options["resume"] else _started(ring, request)
        say(
            f"Session {session.id}: {session.objective['name']}, {session.budget['trials']} trials "
            f"by {session.recommender}, seed {session.seed}"
        )
        try:
            session = ring.run(session.id, on_trial=_teller(ring, session, say))
        except KeyboardInterrupt:
            click.echo(
                f"\nInterrupted: putting the safe configuration back. Go on with:\n  "
                f"{_command(home)} tune {shlex.quote(target)} --resume"
                + (f" --name {shlex.quote(name)}" if name != target else ""),
                err=True,
            )
            raise click.exceptions.Exit(130) from None
        report = ring.service.report(session.id)
    if options["json_file"]:
        _write_json(options["json_file"], report)
    click.echo(report_text(report))
    say(
        f"\nOpen the dashboard on this history with:\n  {_command(home)} serve\n"
        f"then visit http://127.0.0.1:8642/sessions/{session.id}"
    )
    if session.state != "finished":
        raise click.exceptions.Exit(1)


def _request(name: str, options: Mapping[str, Any]) -> SessionRequest:
    return SessionRequest(
        target=name,
        objective=options["objective"],
        trials=options["trials"],
        wall_seconds=options["wall_seconds"],
        gain_floor=options["gain_floor"],
        recommender=options["recommender"],
        recommender_options=_pairs(options["options"], "--option"),
        seed=options["seed"],
        confirm_pairs=options["confirm_pairs"],
        margin=options["margin"],
        pins={knob: _literal(text) for knob, text in _pairs(options["pins"], "--pin").items()},
        promote=options["promote"],
        actor=getpass.getuser(),
    )


def _started(ring: Ring, request: SessionRequest) -> Session:
    open_ = _open_session(ring)
    if open_ is not None:
        raise click.ClickException(
            f"target {ring.target} has session {open_.id}, which has not ended: go on with "
            f"--resume, or end it with `lontra sessions cancel {open_.id}`"
        )
    return ring.service.start(request)


def _resumed(ring: Ring) -> Session:
    session = _open_session(ring)
    if session is None:
        raise _nothing_to_resume(ring.target)
    if session.state == "paused":
        return ring.service.resume(session.id, actor=getpass.getuser(), reason="--resume")
    return session


def _open_session(ring: Ring) -> Session | None:
    target = ring.store.targets.by_name(ring.target)
    newest = ring.store.sessions.list(target_id=target.id, limit=1).items
    return newest[0] if newest and not newest[0].state.ended else None


def _settings_of_last_run(
    home: Home, name: str, settings: Mapping[str, Any], given: Mapping[str, str]
) -> dict[str, Any]:
    """A resumed session goes on with the settings it began with; `--set` may not change them."""
    upgrade(home.prepare().database_url)
    with Store.open(home.database_url) as store:
        try:
            description = store.targets.by_name(name).description
        except NotFound:
            raise _nothing_to_resume(name) from None
    stored = dict(description.get("settings", {}))
    changed = [key for key in given if settings[key] != stored.get(key)]
    if changed:
        raise click.ClickException(
            f"--resume goes on with the session's own settings; {', '.join(changed)} differs: "
            "leave it out, or start a new session without --resume"
        )
    return stored or dict(settings)


def _nothing_to_resume(name: str) -> click.ClickException:
    return click.ClickException(
        f"target {name} has no interrupted session: leave --resume out to start one"
    )


def _teller(ring: Ring, session: Session, say: Callable[[str], None]) -> Callable[[Trial], None]:
    """Tells each finished trial in a line, with the time that is left by what was seen so far."""
    began = time.monotonic()
    done = [0]
    blocks = -(-session.budget["confirm_pairs"] // 2)
    total = session.budget["trials"] + blocks

    def tell(trial: Trial) -> None:
        if trial.task == SEARCH_TASK:
            report = ring.service.report(session.id)
            rows = {row["number"]: row for row in report["trials"]}
            text = trial_line(rows[trial.number], report)
        elif trial.task == CONFIRM_TASK:
            text = f"confirming, block {trial.block + 1} of {blocks}: {trial.state}"
        else:
            return
        done[0] += 1
        left = (time.monotonic() - began) / done[0] * max(0, total - done[0])
        say(f"{text}  [about {left:.0f} s left]")

    return tell


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=option)
        pairs[key] = value
    return pairs


def _literal(text: str) -> Any:
    """A pin's value: a number or true/false where it reads as one, else the text itself."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _writable(path: Path | None) -> None:
    """Say now, not after minutes of measuring, that the report cannot be written."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise click.ClickException(f"--json {path}: {error.strerror}") from error


def _write_json(path: Path, report: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _command(home: Home) -> str:
    """How this program was called, with the home folder where it is not the default."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "lontra" else "lontra"
    return f"{program} --home {shlex.quote(str(home.path))}" if home.named_by_option else program
