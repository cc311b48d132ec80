"""The dashboard: read-only pages."""

from __future__ import annotations

from flask import Flask


def register_pages(app: Flask) -> None:
    """Put the pages into the application."""
