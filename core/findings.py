"""What a check found: of what was typed into a form, tried just now, or of a deploy before its first write."""

from __future__ import annotations

from dataclasses import dataclass

PASSED, WARNING, FAILED = "passed", "warning", "failed"


@dataclass(frozen=True)
class Finding:
    """One result of a check, as `{% checks %}` shows it.

    `state`: passed, warning (to be read) or failed (stops what was asked for); `text`: a sentence; `detail`: what to do;
    `field`: of the form; `can_override`: may be saved nevertheless; `subject`: the object or file that it is about.
    """

    state: str
    text: str
    detail: str = ""
    field: str = ""
    can_override: bool = False
    subject: str = ""

    @property
    def level(self) -> str:
        """As logs call it."""
        return {FAILED: "error", WARNING: "warning"}.get(self.state, "info")

    @property
    def line(self) -> str:
        """As the log has it: where, what, and what to do."""
        return f"{f'{self.subject}: ' if self.subject else ''}{self.text} {self.detail}".strip()
