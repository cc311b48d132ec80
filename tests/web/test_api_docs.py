"""docs/api.md says all there is, and its examples work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge_base.records import Scope
from web import WebSettings
from web.api import api_document
from web.errors import PROBLEMS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text()
EXAMPLE = re.compile(
    r"""```http\n
    (?P<method>[A-Z]+)\ (?P<path>\S+)\n
    (?P<headers>(?:[\w-]+:\ [^\n]+\n)*)
    (?:\n(?P<body>.+?)\n)?
    ```\n\nAnswers\ \*\*(?P<status>\d+)\*\*
    (?:(?:[^\n]|\n(?!\n))*?:\n\n```json\n(?P<answer>.+?)\n```)?""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Example:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any


def examples() -> Iterator[Example]:
    for found in EXAMPLE.finditer(PAGE):
        headers = dict(line.split(": ", 1) for line in found["headers"].splitlines())
        yield Example(
            found["method"],
            found["path"],
            headers,
            json.loads(found["body"]) if found["body"] else None,
            int(found["status"]),
            json.loads(found["answer"]) if found["answer"] else None,
        )


def test_every_operation_has_an_example() -> None:
    documented = {
        (method.upper(), path)
        for path, methods in api_document()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    shown = {(example.method, example.path.partition("?")[0]) for example in examples()}
    assert shown == documented


def test_every_example_is_recognised() -> None:
    assert len(list(examples())) == PAGE.count("```http")


def test_every_problem_is_explained() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE))
    assert rows == {code: str(int(kind.status)) for code, kind in PROBLEMS.items()}


def test_every_metric_is_explained(server: Any, agent: Any) -> None:
    text = server.caller().get("/metrics").get_data(as_text=True)
    names = {name.removesuffix("_created") for name in re.findall(r"# TYPE (\S+)", text)}
    assert names == set(re.findall(r"`(lontra_\w+)`", PAGE))


def test_every_setting_is_explained() -> None:
    page = (DOCS / "dashboard.md").read_text()
    assert [name for name in vars(WebSettings()) if f"`{name}`" not in page] == []


def same_form(shown: Any, real: Any) -> bool:
    """Whether every field that the page shows is there."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(
            key in real and same_form(value, real[key]) for key, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(real, list) and (
            not shown or (bool(real) and same_form(shown[0], real[0]))
        )
    return isinstance(real, type(shown)) or shown is None or real is None


def test_the_examples_work_in_the_order_of_the_page(server: Any) -> None:
    agent = server.agent("orders")
    throwaway, _ = server.store.tokens.create(scope=Scope.VIEWER, label="throwaway")
    callers = {
        None: server.caller(),
        "viewer": server.caller(Scope.VIEWER),
        "operator": server.caller(Scope.OPERATOR),
        "agent": agent,
    }
    for example in examples():
        path = example.path
        for name in ("session_id", "trial_id", "target_id"):
            path = path.replace("{" + name + "}", "1")
        path = path.replace("{token_id}", throwaway.id)
        if path.endswith("/agents/work"):
            server.add_trial(server.store.sessions.get(1))
        headers = {k: v for k, v in example.headers.items() if k != "as"}
        response = callers[example.headers.get("as")].send(
            example.method, path, json=example.body, headers=headers
        )
        assert response.status_code == example.status, (path, response.json)
        if example.answer is not None:
            assert same_form(example.answer, response.json), (path, response.json)
