"""`lontra worker`: the process that plans sessions and computes suggestions."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from typing import Any

import click

from lontra.home import Home


@click.command("worker")
@click.option(
    "--processes",
    default=0,
    show_default=True,
    type=click.IntRange(0, 64),
    help="Compute suggestions in so many processes; 0 computes in the worker itself.",
)
@click.option(
    "--poll-seconds",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0.05, 60),
    help="Pause after a pass that moved nothing.",
)
@click.pass_obj
def worker_command(home: Home, processes: int, poll_seconds: float) -> None:
    """Run the worker until stopped (SIGTERM or Ctrl-C).

    Several workers may share one knowledge base. On a machine that is being measured the worker
    waits until the window is over.
    """
    from knowledge_base import Store
    from tuner.worker import Worker

    stopped = threading.Event()

    def stop(*_: Any) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    executor: Executor | None = _pool(processes) if processes else None
    store = Store.open(home.database_url)
    try:
        click.echo("worker ready")
        Worker(store, executor=executor).run(stopped, poll_seconds=poll_seconds)
    except BrokenExecutor as error:
        raise click.ClickException(
            "a process that computes suggestions died (killed, or out of memory); no session is "
            "harmed: start the worker again, with fewer --processes where memory is short"
        ) from error
    finally:
        store.close()
        if executor is not None:
            executor.shutdown(cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    """Fresh processes: forked ones would share the worker's database connections."""
    return ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_worker
    )


def _follow_worker() -> None:
    """In a process of the pool: leave signals to the worker; end when it ends, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker = multiprocessing.parent_process()
    if worker is None:
        return

    def follow() -> None:
        worker.join()
        os._exit(1)

    threading.Thread(target=follow, name="follow-worker", daemon=True).start()
