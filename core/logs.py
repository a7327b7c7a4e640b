"""Structured logs: one JSON line per event on stderr, with the request's id, and never a secret value.

Everything that reaches Python's logging goes through the redactor of the current run (core/redactor.py).
"""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import structlog

from core.redactor import redact_nested, redact_text

# At DEBUG these print whole requests, secrets included: botocore prints bodies, urllib3 prints paths, Django's templates
# print the context that lacks a name, its database prints every parameter.
TALKATIVE = (
    "botocore",
    "boto3",
    "urllib3",
    "kubernetes",
    "slack_sdk",
    "asyncio",
    "rq.worker",
    "django.template",
    "django.db.backends",
)


def redact_event(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replaces known secret values in every text of an event, also in lists and dictionaries."""
    return {key: redact_nested(value) for key, value in event.items()}


def shown(value: Any) -> str:
    """The `repr` of a value that JSON does not know, e.g. an exception, without secret values."""
    return redact_text(repr(value))


def configure_logging(level: str) -> None:
    """Sets up structlog and Python's logging with the same format. `level`: a name of the logging module."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *shared],
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        redact_event,
                        structlog.processors.JSONRenderer(default=shown),
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in TALKATIVE},
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
