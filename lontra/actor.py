"""Who acts, as the audit log has it."""

from __future__ import annotations

import getpass
import os


def current_user() -> str:
    """The user's name; the number where there is none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
