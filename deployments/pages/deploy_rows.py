"""Deploys as lines of a list or a timeline: what a template needs beside the row itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.git.repository import commit_url
from deployments.gate.marking import warning
from deployments.models import Deploy
from runs.models import State
from ui import days
from ui.days import Day


@dataclass(frozen=True)
class Line:
    """One deploy. `commit`: address or empty."""

    deploy: Deploy
    commit: str

    @property
    def tells(self) -> bool:
        """Whether the result says more than the state: success needs no words."""
        return bool(self.deploy.result) and self.deploy.state != State.SUCCEEDED

    @property
    def bad(self) -> str:
        """What is said against the release that it put in place; empty while nothing is."""
        return warning(self.deploy.release)


def line(deploy: Deploy) -> Line:
    """The line of a deploy that was loaded with its environment, project and release."""
    return Line(deploy, commit_url(deploy.environment.project.repository_url, deploy.revision))


def by_day(deploys: Iterable[Deploy]) -> list[Day]:
    """Lines grouped by day, in the given order."""
    return days.by_day(map(line, deploys), lambda shown: shown.deploy.created_at)
