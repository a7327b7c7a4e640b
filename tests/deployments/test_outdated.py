"""An answer of the cluster from before the end of the last deploy does not show what that deploy left."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from deployments.pages.overview import EnvironmentView
from runs.models import State

NOW = timezone.now()
BEFORE, AFTER = NOW - timedelta(seconds=20), NOW - timedelta(seconds=1)


def view(health: str, read: Any, *, good: bool = False, failed: bool = False) -> EnvironmentView:
    ended = SimpleNamespace(
        state=State.FAILED if failed else State.SUCCEEDED, release_id=1, ended_at=NOW - timedelta(seconds=5)
    )
    live = SimpleNamespace(health=health, read_at=read, error="", workloads=[{}])
    return EnvironmentView(
        environment=None, live=live, good=ended if good else None, trouble=ended if failed else None, active=None,  # type: ignore[arg-type]
        waiting=(), runs=None, parts=(), drift="", outside=False, behind=None, role=None, now=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view("healthy", BEFORE, failed=True), "unknown"),
        (view("failing", AFTER, failed=True), "failing"),
        (view("failing", BEFORE, good=True), "unknown"),
        (view("healthy", BEFORE, good=True), "healthy"),
        (view("degraded", AFTER, good=True), "degraded"),
    ],
    ids=["healthy, then it failed", "seen since", "failing, then mended", "healthy, then deployed", "still"],
)
def test_the_health_is_of_now(seen: EnvironmentView, expected: str) -> None:
    """A deploy that succeeded has seen every object ready: only what it mended is not known yet."""
    assert seen.health == expected
