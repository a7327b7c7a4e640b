"""Findings of forms about what is not allotted to a project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.actors import person
from core.findings import FAILED, Finding
from projects.allotting.services import refusals
from projects.allotting.wishes import Wish
from projects.models import Project


def not_allotted(user: Any, project: Project, wishes: Sequence[Wish]) -> list[Finding]:
    """A finding at its field for each wish that would be refused. Forms ask this before they try anything outside, because
    the attempt itself would tell about what belongs to others."""
    return [
        Finding(FAILED, text, field=field) for field, text in refusals(person(user), project, wishes).items()
    ]
