"""Logs: one JSON line an event, and no secret value in any part of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from django.db import connection
from django.template import Context, Template
from django.test.utils import CaptureQueriesContext
from structlog.stdlib import ProcessorFormatter

from core.logs import TALKATIVE
from core.redactor import redacting

CANARY = "canary-77aa-value"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the portal's own handler writes."""
    own = next(
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler.formatter, ProcessorFormatter)
    )
    handler = logging.Handler()
    handler.setFormatter(own.formatter)
    logging.getLogger().addHandler(handler)
    found: list[str] = []
    handler.emit = lambda record: found.append(handler.format(record))  # type: ignore[method-assign]
    yield found
    logging.getLogger().removeHandler(handler)


def test_values_in_lists_dictionaries_and_exceptions(lines: list[str]) -> None:
    with redacting() as redactor:
        redactor.add([CANARY])
        structlog.get_logger("test").warning(
            "seen", many=[CANARY, {"deep": CANARY}], error=ValueError(f"not {CANARY}"), number=3, nothing=None
        )
    line = lines[-1]
    assert CANARY not in line
    event = json.loads(line)
    assert (event["event"], event["number"], event["nothing"]) == ("seen", 3, None)


def test_tracebacks_and_messages_of_other_libraries(lines: list[str]) -> None:
    with redacting() as redactor:
        redactor.add([CANARY])
        try:
            int(CANARY)
        except ValueError:
            logging.getLogger("somebody").exception("failed with %s", CANARY)
    line = lines[-1]
    assert CANARY not in line
    assert "ValueError" in json.loads(line)["exception"]


@pytest.mark.django_db
def test_django_prints_no_context_and_no_parameter_at_debug(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("", "django"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    for name in TALKATIVE:  # levels are remembered by each logger
        monkeypatch.setattr(logging.getLogger(name), "_cache", {})
    logging.getLogger("somebody").debug("DEBUG is on")
    template = Template("{% for one in missing.name %}{{ one }}{% endfor %}{{ nothing }}")
    template.render(Context({"given": CANARY}))
    with CaptureQueriesContext(connection), connection.cursor() as cursor:
        cursor.execute("select %s", [CANARY])
    assert any("DEBUG is on" in line for line in lines)
    assert CANARY not in "".join(lines)
