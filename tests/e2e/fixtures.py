"""Fixtures of all tests that need the running sandbox; `tests/e2e` and `tests/chaos` share one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e import canaries, running, world
from tests.e2e.portal import Person
from tests.e2e.running import Running

People = Callable[[str], Person]
Slow = Callable[[str], str]
SUBJECTS = (
    "Keep a basket for a week",
    "Round totals once, at the end",
    "Warm the cache at start",
    "Send mails by the queue",
)
SLOW = {
    "storefront": {"storefront/web": "slow:3", "storefront/worker": "job-slow:3"},
    "catalog": {"catalog/api": "slow:3", "catalog/search": "slow:3"},
}
_people: dict[str, Person] = {}
_slow: list[str] = []
_canaries: list[canaries.Canaries] = []


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Running]:
    """The one sandbox of the run, its canaries planted."""
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("KUBEBUILDER_ASSETS names no control plane, which the sandbox needs")
    with running.shared() as found:
        if not _canaries:
            _canaries.append(canaries.plant(found))
        yield found


@pytest.fixture(scope="session")
def planted(sandbox: Running) -> canaries.Canaries:
    """The secret values that must be found nowhere."""
    return _canaries[0]


@pytest.fixture(scope="session")
def people(sandbox: Running) -> People:
    """Signs in whom a test names (admin, lead, dev, viewer); each once."""

    def person(name: str) -> Person:
        if name not in _people:
            _people[name] = Person(sandbox, name).sign_in()
        return _people[name]

    return person


@pytest.fixture(scope="session")
def slow(sandbox: Running) -> Slow:
    """Makes a new revision of a project whose pods, and the Job before them, take three seconds each; its commit."""

    def make(project: str) -> str:
        edits = [canaries.reference_edit()] if project == "storefront" else []
        subject = SUBJECTS[len(_slow) % len(SUBJECTS)]
        commit = world.push(sandbox, project, "slow", *edits, subject=subject)
        _slow.append(commit)
        world.publish(
            sandbox, commit, {name: {world.BEHAVIOUR: words} for name, words in SLOW[project].items()}
        )
        return commit

    return make


def tell_logs(report: Any) -> None:
    """To a failed test's report: the ends of the sandbox's logs."""
    found = running.current()
    if report.failed and found is not None:
        report.sections.append(("the sandbox's logs", found.tails()))
