"""`lontra tune`: one session on this machine, from nothing to a confirmed answer."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from knowledge_base import Store, upgrade
from knowledge_base.errors import NotFound
from knowledge_base.records import Session, Target, Trial
from lontra.actor import current_user
from lontra.home import Home
from lontra.ring import Ring, local_ring
from lontra.text import duration, report_text, trial_line
from targets.agent.policy import Policy
from targets.registry import load_adapter
from targets.settings import parse_settings
from tuner.confirmation import PAIRS_PER_BLOCK
from tuner.limits import SessionLimit
from tuner.service import SessionRequest
from tuner.view import CONFIRM_TASK, SEARCH_TASK, is_baseline

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A target's name is also that of its folder."""

_PERMISSIONS = ("allow-restart", "allow-durability")


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
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="What to improve; the target's first objective by default. Repeatable: the first is what "
    "the confirmation compares, and the report tells the front of all.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME<=NUMBER",
    help="What an objective or metric must keep meanwhile: 'latency_p99<=20', 'hit_ratio>=0.5', or "
    "times the baseline's, 'latency_p99<=1.2x'; repeatable.",
)
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
    type=click.IntRange(12, 1000),
    help="The most paired windows that compare the winner with the baseline; by default as many "
    "as the noise study calls for, 12 to 60. Fewer are measured where fewer tell.",
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
    "--no-history",
    is_flag=True,
    help="Begin as if nothing were known: learn from no past session (see `lontra history`).",
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
      lontra tune sqlite --limit 'latency_p99<=1.2x'
      lontra tune simulated --objective throughput --objective memory
    """
    # Asked to end by a service manager or a shell: the same orderly way out as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say: Callable[[str], None] = (lambda text: None) if options["quiet"] else click.echo
    name = options["name"] or target
    if not NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r}: take letters, digits, '.', '_' and '-', a letter or digit first",
            param_hint="--name",
        )
    given = _pairs(options["settings"], "--set")
    adapter = load_adapter(target)
    settings = parse_settings(adapter.settings_declared, given, owner=f"target {target}")
    _writable(options["json_file"])
    left = _left_open(home, name, kind=adapter.kind)
    if options["resume"]:
        if left is None:
            raise click.ClickException(
                f"target {name} has no interrupted session: leave --resume out to start one"
            )
        settings = _settings_left(left[0], settings, given)
    elif left is not None:
        raise click.ClickException(
            f"target {name} has session {left[1].id}, which has not ended: go on with "
            f"--resume, or end it with `lontra sessions cancel {left[1].id}`"
        )
    request = _request(name, options)
    say(f"Setting up target {name} ({adapter.summary})")
    policy = Policy(
        allow_restart=adapter.embedded or options["allow_restart"],
        allow_durability=options["allow_durability"],
    )
    with local_ring(home, adapter=target, settings=settings, target=name, policy=policy) as ring:
        session = _resumed(ring, left[1].id) if left else ring.service.start(request)
        say(
            f"Session {session.id}: {_aims(session)}, {session.budget['trials']} trials "
            f"by {session.recommender}, seed {session.seed}"
        )
        try:
            session = ring.run(session.id, on_trial=_teller(ring, session, say))
        except KeyboardInterrupt:
            click.echo(
                "\nInterrupted: putting the safe configuration back. Go on with:\n  "
                f"{_command(home)} tune {target} --resume{_repeated(target, options)}",
                err=True,
            )
            raise
        report = ring.service.report(session.id)
    click.echo(report_text(report))
    if options["json_file"]:
        _write_json(options["json_file"], report)
    say(
        f"\nOpen the dashboard on this history with:\n  {_command(home)} serve\n"
        f"then visit http://127.0.0.1:8642/sessions/{session.id}"
    )
    if session.state != "finished":
        raise click.exceptions.Exit(1)


def _aims(session: Session) -> str:
    """What is improved, and what is to be kept."""
    aims = " and ".join(one["name"] for one in session.objectives)
    limits = [SessionLimit.from_dict(one).text for one in session.limits]
    return f"{aims} within {', '.join(limits)}" if limits else aims


def _request(name: str, options: Mapping[str, Any]) -> SessionRequest:
    first, *further = options["objectives"] or (None,)
    return SessionRequest(
        target=name,
        objective=first,
        objectives=further,
        limits=options["limits"],
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
        use_history=not options["no_history"],
        actor=current_user(),
    )


def _left_open(home: Home, name: str, *, kind: str) -> tuple[Target, Session] | None:
    """The target and its session that has not ended; None when there is none.

    Asked before the agent starts, which describes the target anew.
    """
    upgrade(home.prepare().database_url)
    with Store.open(home.database_url) as store:
        try:
            target = store.targets.by_name(name)
        except NotFound:
            return None
        if target.kind not in ("", kind):
            raise click.ClickException(
                f"target {name} is of kind {target.kind} in this history: give this one of kind "
                f"{kind} another name (--name)"
            )
        newest = store.sessions.list(target_id=target.id, limit=1).items
    return (target, newest[0]) if newest and not newest[0].state.ended else None


def _settings_left(
    target: Target, settings: Mapping[str, Any], given: Mapping[str, str]
) -> dict[str, Any]:
    """A resumed session goes on with the settings it began with; `--set` may not change them."""
    stored = dict(target.description.get("settings", {}))
    changed = [key for key in given if settings[key] != stored.get(key)]
    if changed:
        raise click.ClickException(
            f"--resume goes on with the session's own settings; {', '.join(changed)} differs: "
            "leave it out, or start a new session without --resume"
        )
    return stored


def _resumed(ring: Ring, session_id: int) -> Session:
    session = ring.store.sessions.get(session_id)
    if session.state.ended:
        return session  # the agent found a knob changed meanwhile, and stood down
    if ring.store.targets.get(session.target_id).space_id != session.space_id:
        raise click.ClickException(
            f"session {session_id} began with other knobs than may be tuned now: repeat its "
            "--allow-restart and --allow-durability, or end it with "
            f"`lontra sessions cancel {session_id}`"
        )
    if session.state == "paused":
        return ring.service.resume(session_id, actor=current_user(), reason="--resume")
    return session


def _teller(ring: Ring, session: Session, say: Callable[[str], None]) -> Callable[[Trial], None]:
    """Tells each finished trial in a line, with the time that is left by what was seen so far."""
    began = ring.clock.monotonic()
    trials = ring.store.trials.all(session.id)
    ended = sum(trial.fidelity for trial in trials if trial.state.ended)
    done = 0.0

    def tell(trial: Trial) -> None:
        nonlocal done
        if trial.task not in (SEARCH_TASK, CONFIRM_TASK):
            return
        report = ring.service.report(session.id)
        looks = report["measurement"]["looks"] if report["measurement"] else [0]
        blocks = looks[-1] // PAIRS_PER_BLOCK
        if trial.task == SEARCH_TASK:
            rows = {row["number"]: row for row in report["trials"]}
            text = trial_line(rows[trial.number], report)
        else:
            text = f"confirming, block {trial.block + 1} of at most {blocks}: {trial.state}"
        done += trial.fidelity
        left = max(0.0, 1 + session.budget["trials"] + blocks - ended)
        seconds = (ring.clock.monotonic() - began) / done * max(0, left - done)
        say(f"{text}  [about {duration(seconds)} left]")
        if is_baseline(trial) and report["measurement"]:
            say(report["measurement"]["words"])

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
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"--json {path}: {error.strerror}; the report is kept: "
            f"`lontra report {report['session']} --json` prints it"
        ) from error


def _command(home: Home) -> str:
    """How this program was called, with its home and database where they were given."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "lontra" else "lontra"
    return f"{shlex.quote(program)}{home.options}"


def _repeated(target: str, options: Mapping[str, Any]) -> str:
    """The options that a resumed session needs again: its other settings are in its record."""
    name = options["name"]
    words = [f"--name {name}"] if name not in (None, target) else []
    words += [f"--{flag}" for flag in _PERMISSIONS if options[flag.replace("-", "_")]]
    return "".join(f" {word}" for word in words)
