"""The builds of one project in short, for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builds.pages import listing, times
from builds.pages.build_rows import Line, line
from builds.pages.times import Chart
from projects.models import Project

NEWEST = 100
SHOWN = 5
MOST_BRANCHES = 6


@dataclass(frozen=True)
class Panel:
    """`lines`: the last builds; `branches`: the newest build of each branch that was built lately; `chart`: build times, or
    None."""

    lines: Sequence[Line]
    branches: Sequence[Line]
    chart: Chart | None


def panel(project: Project) -> Panel:
    """The panel; the number of queries does not depend on the number of builds. The caller has checked the right."""
    lines = [line(build) for build in listing.of_project(project, NEWEST)]
    return Panel(lines[:SHOWN], newest_by_branch(lines)[:MOST_BRANCHES], times.chart(project))


def newest_by_branch(lines: Sequence[Line]) -> list[Line]:
    """The first line of each branch, in the given order; builds without a branch are left out."""
    found: dict[str, Line] = {}
    for one in lines:
        if one.build.branch:
            found.setdefault(one.build.branch, one)
    return list(found.values())
