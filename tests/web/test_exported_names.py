"""What `web` offers: neither more nor less, so that a change is a decision."""

from __future__ import annotations

import web


def test_the_public_names() -> None:
    assert web.__all__ == ["WebSettings", "create_app"]
