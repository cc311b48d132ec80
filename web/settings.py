"""How a web application is set up: everything `create_app` may be told, with its limits."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names under which a browser on the same machine reaches the server."""


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Options of the web application; the defaults fit one machine.

    `trusted_hosts` are the names the server answers to (a leading dot covers subdomains); a
    request under any other name is refused, which stops DNS rebinding. `secret_key` signs the
    login cookie: give every web process the same one, or a login works on one of them alone;
    empty means a fresh random one. `open_on_loopback` shows the read-only pages without login to
    a browser on this machine: switch it off behind a reverse proxy that does not add forwarding
    headers. `trusted_proxies` is how many proxies in front may set X-Forwarded-For.

    Leases: an agent unheard of for `agent_lease_seconds` loses its target, a trial not renewed
    for `trial_lease_seconds` returns to the queue. A token that fails `failures_per_minute`
    times, from one address, has to wait for the rest of the minute.
    """

    trusted_hosts: tuple[str, ...] = LOOPBACK_HOSTS
    trusted_proxies: int = 0
    open_on_loopback: bool = True
    secret_key: str = ""
    secure_cookie: bool = False
    login_seconds: float = 12 * 3600.0
    body_bytes: int = 2 * 1024 * 1024
    heartbeat_seconds: float = 5.0
    agent_lease_seconds: float = 30.0
    trial_lease_seconds: float = 30.0
    failures_per_minute: int = 10

    def __post_init__(self) -> None:
        if not self.trusted_hosts:
            raise ValueError("trusted_hosts is empty: name at least one host to answer to")
        if self.secret_key and len(self.secret_key) < 32:
            raise ValueError(
                f"secret_key of {len(self.secret_key)} characters can be guessed: "
                "want at least 32 random ones"
            )
        if self.heartbeat_seconds * 2 > min(self.agent_lease_seconds, self.trial_lease_seconds):
            raise ValueError(
                f"heartbeat_seconds={self.heartbeat_seconds:g} is too long for leases of "
                f"{self.agent_lease_seconds:g} and {self.trial_lease_seconds:g} s: "
                "at most half of a lease, so that one lost heartbeat loses nothing"
            )
