"""The looks of states: the one dictionary from a state in the database to word, colour class and icon on a page.

Covers the states of a run and its steps, the progress of an object (`engine.types.Progress`), what applying does to
it (`engine.types.Action`), the health of a workload and the results of checks. Pages use no other looks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a page shows a state: `css` is one of waiting, running, succeeded, failed, stopped; `icon` a lucide name."""

    word: str
    css: str
    icon: str

    @property
    def icon_classes(self) -> str:
        """The spinning class for the icon of running states; empty for all others."""
        return "spin" if self.icon == "loader-circle" else ""


def _group(css: str, icon: str, *words: str) -> dict[str, Look]:
    return {word.lower().replace(" ", "_"): Look(word, css, icon) for word in words}


LOOKS: dict[str, Look] = {
    **_group("waiting", "clock", "Queued", "Waiting", "Needs approval", "Pending"),
    **_group("waiting", "triangle-alert", "Degraded", "Warning", "Ends soon", "Placeholder", "Blank"),
    **_group(
        "running", "loader-circle", "Running", "Deploying", "Building", "Starting", "Progressing", "Checking"
    ),
    **_group("running", "ban", "Cancelling"),
    **_group("running", "pencil", "Changed"),
    **_group("running", "plus", "New"),
    **_group(
        "succeeded", "circle-check", "Succeeded", "Healthy", "Ready", "Valid", "Built", "Applied", "Passed"
    ),
    **_group("succeeded", "circle-check", "Reachable", "Active"),
    **_group(
        "failed",
        "circle-x",
        "Failed",
        "Failing",
        "Build failed",
        "Crashing",
        "Missing",
        "Refused",
        "Unreadable",
    ),
    **_group("failed", "minus", "Removed"),
    **_group("failed", "trash-2", "Deleted", "To be deleted"),
    **_group("waiting", "triangle-alert", "No value yet"),
    **_group("failed", "circle-alert", "Errored", "Error", "Unreachable"),
    **_group("failed", "timer", "Timed out"),
    **_group(
        "stopped",
        "ban",
        "Cancelled",
        "Stopped",
        "Skipped",
        "Not built",
        "Abandoned",
        "Superseded",
        "Inactive",
        "Ignored",
        "No build",
    ),
    **_group("stopped", "pause", "Suspended"),
    **_group("stopped", "circle-question-mark", "Unknown"),
    **_group("stopped", "circle", "Not started"),
    **_group("stopped", "minus", "Unchanged"),
    **_group("stopped", "plus", "Extra"),
    **_group("stopped", "check", "Set"),
    **_group("stopped", "info", "Info"),
    **_group("stopped", "equal", "Same"),
    **_group("stopped", "equal-not", "Different"),
}
# Synonyms that other parts of the product use.
LOOKS |= {
    "ok": LOOKS["passed"],
    "success": LOOKS["succeeded"],
    "create": LOOKS["new"],
    "change": LOOKS["changed"],
    "debug": LOOKS["info"],
}


def look(value: object) -> Look:
    """The look of a state given as its word in the database, an enum member or the shown word (`Needs approval`).

    An unknown state is shown as it is, in grey with a question mark, so that it does not break the page.
    """
    text = str(value or "unknown")
    key = text.strip().lower().replace(" ", "_").replace("-", "_")
    return LOOKS.get(key) or Look(text.replace("_", " ").capitalize(), "stopped", "circle-question-mark")
