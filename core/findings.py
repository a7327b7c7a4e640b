"""Results of checks: of a form's values tried against outside systems, or of a deploy before its first write."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import Cause

PASSED, WARNING, FAILED = "passed", "warning", "failed"


@dataclass(frozen=True)
class Finding:
    """One result of a check, as `{% checks %}` shows it.

    `state`: passed, warning or failed (a failed check stops the request); `text`: a sentence; `detail`: what to do;
    `field`: name of the form's field; `can_override`: the person may save anyway; `subject`: the object or file checked;
    `keys`: names of secret keys that `text` only counts, because not every reader may see them; `cause`: why,
    where a page knows how to mend it.
    """

    state: str
    text: str
    detail: str = ""
    field: str = ""
    can_override: bool = False
    subject: str = ""
    keys: tuple[str, ...] = ()
    cause: Cause | None = None

    @property
    def level(self) -> str:
        """The log level: error, warning or info."""
        return {FAILED: "error", WARNING: "warning"}.get(self.state, "info")

    @property
    def line(self) -> str:
        """The log line: subject, text and detail, without `keys`."""
        return f"{f'{self.subject}: ' if self.subject else ''}{self.text} {self.detail}".strip()
