"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # Started in the background, a process ignores Ctrl-C, and so would all that tests start and
    # interrupt as a user at a terminal would.
    signal.signal(signal.SIGINT, signal.default_int_handler)
