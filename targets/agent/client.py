"""The server as the agent sees it: one method per message of `targets.protocol`.

Outbound HTTP only. The token goes to the configured server and nowhere else: redirects are not
followed.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from targets.agent.errors import MessageRefused, UnknownToServer, Unreachable
from targets.errors import AgentRefused, ProtocolError, StaleEpoch
from targets.protocol import (
    PROTOCOL_VERSION,
    Assignment,
    Directive,
    EventReport,
    Heartbeat,
    Message,
    Receipt,
    Registration,
    StateReport,
    TrialResult,
    Welcome,
    WorkRequest,
)

BASE_PATH = "/api/v1"
TIMEOUT_SECONDS = 10.0
LATER = frozenset({408, 425, 429})
"""Answers of the 4xx family that ask to be tried again."""

REFUSING_CODES = frozenset({"held", "superseded"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NoWork:
    """The server has nothing to do; it asks to be asked again after so long."""

    retry_after_seconds: float | None = None


class ServerClient:
    """Speaks to one server. Usable from several threads.

    Args:
        url: the server, without `/api/v1`.
        token: the agent's token.
        transport: how requests travel; `httpx2.WSGITransport(app=...)` stays in the process.
        ca_file: certificates to trust instead of the system's.

    An answer is waited for so long as `within_seconds` says, and never longer than
    `timeout_seconds`.

    All methods raise:
        Unreachable: no answer, or one that says "later".
        AgentRefused: another agent holds the target, or the token or the protocol is refused.
        UnknownToServer: the server does not know this agent (any more).
        StaleEpoch: a newer epoch of the trial exists.
        MessageRefused: the server refuses this message for good.
        ProtocolError: the answer does not have the agreed form.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx2.BaseTransport | None = None,
        ca_file: Path | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        verify = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._http = httpx2.Client(
            base_url=self.url + BASE_PATH,
            transport=transport,
            verify=verify,
            follow_redirects=False,
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": f"lontra-agent/{agent_version()}",
            },
        )

    def register(self, message: Registration) -> Welcome:
        """Present the agent; take the lease on its target."""
        return Welcome.from_json(self._post("/agents/register", message, _new_key()))

    def heartbeat(self, message: Heartbeat, *, within_seconds: float = math.inf) -> Directive:
        """Show a sign of life; renew the leases."""
        return Directive.from_json(
            self._post("/agents/heartbeat", message, _new_key(), within_seconds)
        )

    def work(
        self, message: WorkRequest, *, within_seconds: float = math.inf
    ) -> Assignment | NoWork:
        """Ask for something to do."""
        answer = self._post("/agents/work", message, _new_key(), within_seconds)
        return answer if isinstance(answer, NoWork) else Assignment.from_json(answer)

    def state(
        self, trial: int, message: StateReport, *, within_seconds: float = math.inf
    ) -> Directive:
        """Tell that a trial moves on."""
        key = f"state-{trial}-{message.epoch}-{message.state}-{message.incarnation}"
        return Directive.from_json(
            self._post(f"/trials/{trial}/state", message, key, within_seconds)
        )

    def result(self, trial: int, message: TrialResult, *, key: str) -> Receipt:
        """Tell how a trial ended; `key` makes it count once, however often it is sent."""
        return Receipt.from_json(self._post(f"/trials/{trial}/result", message, key))

    def event(self, message: EventReport, *, key: str) -> None:
        """Tell something for the audit log."""
        self._post("/agents/events", message, key)

    def deliver(
        self, path: str, body: Mapping[str, Any], *, key: str, within_seconds: float = math.inf
    ) -> Any:
        """Send a spooled message again as it was made; answers the server's JSON."""
        return self._post(path, body, key, within_seconds)

    def health(self) -> dict[str, Any]:
        """What the server says of itself; needs no token."""
        answer = self._ask("GET", "/health")
        return dict(answer) if isinstance(answer, Mapping) else {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _post(
        self,
        path: str,
        message: Message | Mapping[str, Any],
        key: str,
        within_seconds: float = math.inf,
    ) -> Any:
        body = message.to_json() if isinstance(message, Message) else dict(message)
        headers = {"Idempotency-Key": key}
        return self._ask("POST", path, within_seconds, json=body, headers=headers)

    def _ask(
        self, method: str, path: str, within_seconds: float = math.inf, **arguments: Any
    ) -> Any:
        timeout = min(self._timeout_seconds, within_seconds)
        try:
            response = self._http.request(method, path, timeout=timeout, **arguments)
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"{self.url} does not answer: {type(error).__name__}: {error}"
            ) from error
        if response.is_success:
            return _read(response, path)
        raise self._refusal(response, path)

    def _refusal(self, response: httpx2.Response, path: str) -> Exception:
        """The error that an answer other than 2xx means."""
        status, code, detail = response.status_code, *_problem(response)
        told = f"{self.url}{BASE_PATH}{path} answered {status}: {detail}"
        if status >= 500 or status in LATER:
            return Unreachable(told, retry_after_seconds=_retry_after(response))
        if status in (401, 403):
            return AgentRefused(
                f"{told}; the token must be of scope agent, for this target, not revoked: make "
                "one with `lontra token create` and put it into token_file"
            )
        if status == 426 or code == "protocol-too-old":
            return AgentRefused(
                f"{told}; this agent speaks protocol {PROTOCOL_VERSION}: upgrade it"
            )
        if status == 409 and code == "stale-epoch":
            return StaleEpoch(detail)
        if status == 409 and code in REFUSING_CODES:
            return AgentRefused(f"{told}; one agent per target: stop the other one")
        if status == 409:
            # The same write is under way (idempotency), or the history moved: ask again.
            return Unreachable(told, retry_after_seconds=_retry_after(response))
        if status == 404:
            return UnknownToServer(told)
        if 300 <= status < 400:
            return Unreachable(
                f"{told}; redirects are not followed: put the final url into [server]"
            )
        return MessageRefused(told)


def agent_version() -> str:
    """The version of the installed Lontra."""
    try:
        return importlib.metadata.version("lontra")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _new_key() -> str:
    return uuid.uuid4().hex


def _read(response: httpx2.Response, path: str) -> Any:
    if response.status_code == 204:
        return NoWork(_retry_after(response))
    try:
        return response.json()
    except ValueError as error:
        raise ProtocolError(
            f"{path} answered {response.status_code} with something that is no JSON: {error}"
        ) from error


def _problem(response: httpx2.Response) -> tuple[str, str]:
    """Code and detail of a problem+json body (RFC 9457); what there is of another body."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        return "", response.text[:200] or response.reason_phrase
    code = str(body.get("code") or str(body.get("type", "")).rpartition("/")[2])
    detail = body.get("detail") or body.get("message") or body.get("title")
    return code, str(detail or response.reason_phrase)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the server asked for; the header's date form is not used by this API."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
