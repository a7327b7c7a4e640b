"""Error reports to Sentry, where SENTRY_DSN is set: without request bodies, local variables or personal data."""

from __future__ import annotations

from typing import Any

import sentry_sdk

from core.redactor import redact_nested


def start_sentry(dsn: str, *, release: str) -> None:
    """Starts reporting. Reports leave out local variables, because these may hold secrets under any name."""
    sentry_sdk.init(
        dsn=dsn,
        release=release,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=redact_report,
    )


def redact_report(report: Any, hint: Any) -> Any:
    """The report with every text passed through the current redactor."""
    return redact_nested(report)
