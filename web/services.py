"""What every request may need, made once with the application and found through Flask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from knowledge_base.store import Store
from targets.clock import Clock
from tuner.service import SessionService
from web.in_flight import InFlight
from web.settings import WebSettings
from web.throttle import FailureLimiter

EXTENSION = "lontra"


@dataclass(frozen=True, kw_only=True)
class Services:
    """The parts behind the routes. Stateless but for two short memories:
    the limiter's and that of the writes under way."""

    store: Store
    sessions: SessionService
    clock: Clock
    settings: WebSettings
    limiter: FailureLimiter
    in_flight: InFlight


def services() -> Services:
    """Those of the application that serves this request."""
    return cast(Services, current_app.extensions[EXTENSION])
