"""The agent's command line: `lontra agent ...` and `python -m targets.agent ...`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from targets.agent.config import AgentConfig
from targets.agent.errors import InvalidConfig
from targets.agent.statedir import StateDir
from targets.errors import LontraError

DEFAULT_CONFIG = Path("/etc/lontra/agent.toml")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

FAILED = 1
WRONG_USAGE = 2

EPILOG = """\
commands:
  run          the daemon (the default)
  status       what the agent of this state directory does and did
  restore      put the safe configuration back after a crash; --print only shows it
  uninstall    stop the agent, restore, and remove what it left
  print-unit   print a hardened systemd unit for this configuration

examples:
  lontra agent --check --config agent.toml     what could be tuned, what the policy withholds
  lontra agent --dry-run --config agent.toml   what would be sent and applied
  lontra agent --config agent.toml             run until SIGTERM or Ctrl-C
  lontra agent restore --print --config agent.toml
  lontra agent print-unit --config /etc/lontra/agent.toml \\
      > /etc/systemd/system/lontra-agent.service
  LONTRA_AGENT__SERVER__URL=https://lontra.example lontra agent --config agent.toml

exit status: 0 in order, 1 failed (the message says what), 2 wrong usage or configuration
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO, stream=sys.stderr)
    # One line a request would bury the agent's own.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        return _COMMANDS[args.command](args)
    except InvalidConfig as error:
        sys.stderr.write(f"lontra agent: {error}\n")
        return WRONG_USAGE
    except (LontraError, OSError) as error:
        sys.stderr.write(f"lontra agent: {error}\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lontra agent",
        description="The program beside a target: collects, applies, measures, and puts back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", nargs="?", default="run", choices=list(_COMMANDS), help="see below"
    )
    parser.add_argument(
        "--config",
        type=Path,
        help=f"agent.toml (default: {DEFAULT_CONFIG} if there, else the environment alone)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        help="for status, restore and uninstall: instead of the configuration's",
    )
    parser.add_argument(
        "--check", action="store_true", help="connect, read, and say what could be tuned"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be sent and applied"
    )
    parser.add_argument("--json", action="store_true", help="with --check or status: as JSON")
    parser.add_argument(
        "--print", action="store_true", help="with restore: print what would be put back"
    )
    parser.add_argument(
        "--force", action="store_true", help="with restore: also when nothing is to be put back"
    )
    return parser


def _load(args: argparse.Namespace) -> AgentConfig:
    path = args.config
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    config = AgentConfig.load(path)
    logging.getLogger().setLevel(config.log.upper())
    return config


def _state(args: argparse.Namespace) -> StateDir:
    return StateDir(args.state_dir or _load(args).state_dir)


def _run(args: argparse.Namespace) -> int:
    config = _load(args)
    if args.check or args.dry_run:
        from targets.agent.checks import check, dry_run

        return dry_run(config) if args.dry_run else check(config, as_json=args.json)
    return _run_daemon(config)


def _run_daemon(config: AgentConfig) -> int:
    from targets.agent.agent import Agent
    from targets.agent.client import ServerClient

    stop = threading.Event()
    with ServerClient(config.server_url, config.token, ca_file=config.ca_file) as client:
        agent = Agent(config, client)

        def end(name: str) -> None:
            stop.set()
            agent.interrupt(f"the agent was told to end by {name}")

        with _told_by_signals(end):
            reason = "told to end"
            try:
                agent.start()
                agent.run(stop)
            except LontraError as error:
                reason = str(error)
                raise
            finally:
                agent.stop(reason)
    return 0


@contextlib.contextmanager
def _told_by_signals(told: Callable[[str], None]) -> Iterator[None]:
    """Call `told` in a thread of its own when SIGTERM, SIGINT or SIGHUP comes.

    Python runs a signal's handler between any two instructions of the main thread, where it may
    wait for a lock that this very thread holds; so the handler does nothing, and a thread reads
    the number from the wake-up descriptor.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while number := reader.recv(1):
            told(signal.Signals(number[0]).name)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, name="lontra-agent-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        thread.join()
        reader.close()


def _status(args: argparse.Namespace) -> int:
    from targets.agent.status import show_status

    return show_status(_state(args), as_json=args.json)


def _restore(args: argparse.Namespace) -> int:
    from targets.agent import restore

    command = ["--state-dir", str(_state(args).root)]
    command += [f"--{name}" for name in ("print", "force") if getattr(args, name)]
    return restore.main(command)


def _uninstall(args: argparse.Namespace) -> int:
    from targets.agent.uninstall import uninstall

    uninstall(_state(args), tell=lambda line: sys.stdout.write(line + "\n"))
    return 0


def _print_unit(args: argparse.Namespace) -> int:
    from targets.agent.unit import unit_text

    config = _load(args)
    path = (args.config or DEFAULT_CONFIG).absolute()
    sys.stdout.write(unit_text(config=path, state_dir=config.state_dir))
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "status": _status,
    "restore": _restore,
    "uninstall": _uninstall,
    "print-unit": _print_unit,
}
