"""Build times of a project as a chart: the bars of an SVG, and the same numbers for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from builds.models import Build
from builds.pages.build_rows import state_of
from projects.models import Project
from runs.models import OPEN, State
from ui.states import look

SHOWN = 30
LATELY = 10  # builds that tell how long the next one takes
# Of a bar, in the units of the drawing; templates/builds/_chart.html has the width of all.
STEP, WIDTH = 10.0, 7.0
HEIGHT = 100.0
LEAST = 1.5  # so that the shortest build can be seen
NICE = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400)


@dataclass(frozen=True)
class Bar:
    """One build. `shape`: "good" (filled), "bad" (hatched) or "none" (hollow). Numbers are text, as SVG writes them."""

    build: Build
    seconds: float
    shape: str
    state: str
    x: str
    y: str
    height: str

    @property
    def label(self) -> str:
        """`#912: Succeeded`, for the bar's title; the duration follows in the template."""
        return f"#{self.build.number}: {look(self.state).word}"


@dataclass(frozen=True)
class Chart:
    """The chart. `bars`: oldest first; `median`: seconds of the builds that succeeded, None without one, with its height in
    the drawing; `top`: seconds at the upper edge."""

    bars: Sequence[Bar]
    median: float | None
    median_y: str
    top: int

    @property
    def half(self) -> float:
        """Seconds at half the height."""
        return self.top / 2

    @property
    def oldest(self) -> Build:
        """The build at the left."""
        return self.bars[0].build

    @property
    def newest(self) -> Build:
        """The build of the last bar."""
        return self.bars[-1].build

    @property
    def rows(self) -> list[Bar]:
        """The rows of the table, newest first."""
        return list(reversed(self.bars))

    @property
    def counts(self) -> dict[str, int]:
        """How many bars have which shape."""
        return {shape: sum(bar.shape == shape for bar in self.bars) for shape in ("good", "bad", "none")}


def usual(project_id: int) -> float | None:
    """The seconds that the last builds of a project took that succeeded, in the median; None without one. One query."""
    good = Build.objects.filter(project=project_id, state=State.SUCCEEDED, started_at__isnull=False)
    rows = good.exclude(cause=Build.Cause.REPORT).order_by("-number").only("started_at", "ended_at")
    return median([build.seconds or 0.0 for build in rows[:LATELY]] or [0.0]) or None


def chart(project: Project) -> Chart | None:
    """The chart of the last ended builds that had started; None without one. One query."""
    ended = Build.objects.filter(project=project, started_at__isnull=False, ended_at__isnull=False)
    rows = ended.exclude(state__in=OPEN).order_by("-number")
    rows = rows.only("number", "state", "revision", "started_at", "ended_at", "created_at")
    return drawn(list(rows[:SHOWN])[::-1])


def drawn(builds: Sequence[Build]) -> Chart | None:
    """The chart of these builds, oldest first."""
    if not builds:
        return None
    top = nice(max(build.seconds or 0.0 for build in builds))
    good = [build.seconds or 0.0 for build in builds if build.state == State.SUCCEEDED]
    middle = median(good) if good else None
    return Chart(
        bars=[bar(build, place, top) for place, build in enumerate(builds)],
        median=middle,
        median_y=number(HEIGHT * (1 - middle / top)) if middle is not None else "",
        top=top,
    )


def bar(build: Build, place: int, top: int) -> Bar:
    """The bar of one build."""
    seconds = build.seconds or 0.0
    height = max(HEIGHT * seconds / top, LEAST)
    return Bar(
        build, seconds, shape_of(build), state_of(build),
        x=number(place * STEP + (STEP - WIDTH) / 2), y=number(HEIGHT - height), height=number(height),
    )  # fmt: skip


def shape_of(build: Build) -> str:
    """The shape of a state, so that colour is not needed to tell them apart."""
    css = look(build.state).css
    return {"succeeded": "good", "failed": "bad"}.get(css, "none")


def nice(seconds: float) -> int:
    """A round number of seconds that is not below `seconds`."""
    return next((round_one for round_one in NICE if round_one >= seconds), int(seconds) + 1)


def number(value: float) -> str:
    """A number for SVG, whatever the language of the page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
