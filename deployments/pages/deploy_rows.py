"""Deploys as lines of a list or a timeline, for templates."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from adapters.git.repository import commit_url
from deployments.gate.marking import warning
from deployments.models import Deploy
from runs.models import State
from ui import days
from ui.days import Day


@dataclass(frozen=True)
class Line:
    """One deploy. `commit`: address of its commit on the Git host, or empty. `is_way_back`: whether a rollback to it can be asked
    for (`going_back.ways`)."""

    deploy: Deploy
    commit: str
    is_way_back: bool = False

    @property
    def tells(self) -> bool:
        """Whether the line shows the result: only when the deploy did not succeed."""
        return bool(self.deploy.result) and self.deploy.state != State.SUCCEEDED

    @property
    def bad(self) -> str:
        """The warning that its release is marked as bad, else empty."""
        return warning(self.deploy.release)


def line(deploy: Deploy, *, is_way_back: bool = False) -> Line:
    """The line of a deploy. Load the deploy with its environment, project and release."""
    url = commit_url(deploy.environment.project.repository_url, deploy.revision)
    return Line(deploy, url, is_way_back)


def lines(deploys: Iterable[Deploy], ways: Container[int] = ()) -> list[Line]:
    """The lines of deploys. `ways`: primary keys of those that a rollback can go back to."""
    return [line(deploy, is_way_back=deploy.pk in ways) for deploy in deploys]


def by_day(deploys: Iterable[Deploy], ways: Container[int] = ()) -> list[Day]:
    """Lines grouped by day, in the given order. `ways`: as for `lines`."""
    return days.by_day(lines(deploys, ways), lambda shown: shown.deploy.created_at)
