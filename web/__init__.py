"""What people and agents see: the REST API and the dashboard, as one Flask application."""

from __future__ import annotations

from web.app import create_app
from web.settings import WebSettings

__all__ = ["WebSettings", "create_app"]
