"""Sentry, where SENTRY_DSN is set: errors without bodies, values or the addresses of people."""

from __future__ import annotations

from typing import Any

import sentry_sdk

from core.redactor import redact_nested


def start_sentry(dsn: str, *, release: str) -> None:
    """Starts reporting. Local variables are left out: they may hold secrets under any name."""
    sentry_sdk.init(
        dsn=dsn,
        release=release,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=redact_report,
    )


def redact_report(report: Any, hint: Any) -> Any:
    """Every text of a report through the redactor of the run or request that it belongs to."""
    return redact_nested(report)
