"""Fixtures of all tests that need the running sandbox; `tests/e2e` and `tests/chaos` share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import canaries, running, world
from tests.e2e.portal import Person
from tests.e2e.running import Running
from tests.planes import PLANES, need_control_plane

People = Callable[[str], Person]
Slow = Callable[..., str]
SUBJECTS = (
    "Keep a basket for a week",
    "Round totals once, at the end",
    "Warm the cache at start",
    "Send mails by the queue",
)
SLOW = {
    "storefront": {"storefront/web": "slow", "storefront/worker": "job-slow"},
    "catalog": {"catalog/api": "slow", "catalog/search": "slow"},
}


@dataclass
class Memory:
    """What the tests of one sandbox share: who is signed in, how many revisions were made."""

    canaries: canaries.Canaries
    people: dict[str, Person] = field(default_factory=dict)
    slow: list[str] = field(default_factory=list)


_memories: dict[Path, Memory] = {}  # by the folder of the sandbox


@pytest.fixture(scope="session", params=PLANES)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Running]:
    """The one sandbox of the run with that control plane, its canaries planted."""
    if request.param == "real":
        need_control_plane()
    with running.shared(request.param) as found:
        if found.directory not in _memories:
            _memories[found.directory] = Memory(canaries.plant(found))
        yield found


@pytest.fixture(scope="session")
def planted(sandbox: Running) -> canaries.Canaries:
    """The secret values that must be found nowhere."""
    return _memories[sandbox.directory].canaries


@pytest.fixture(scope="session")
def people(sandbox: Running) -> People:
    """Signs in whom a test names (admin, lead, dev, viewer); each once."""
    known = _memories[sandbox.directory].people

    def person(name: str) -> Person:
        if name not in known:
            known[name] = Person(sandbox, name).sign_in()
        return known[name]

    return person


@pytest.fixture(scope="session")
def slow(sandbox: Running) -> Slow:
    """`slow("catalog", 20)`: makes a new revision of a project whose pods, and the Job before them, take so many seconds each
    (three unless told otherwise); its commit."""
    made = _memories[sandbox.directory].slow

    def make(project: str, seconds: int = 3) -> str:
        edits = [canaries.reference_edit()] if project == "storefront" else []
        subject = SUBJECTS[len(made) % len(SUBJECTS)]
        commit = world.push(sandbox, project, "slow", *edits, subject=subject)
        made.append(commit)
        labels = {name: {world.BEHAVIOUR: f"{word}:{seconds}"} for name, word in SLOW[project].items()}
        world.publish(sandbox, commit, labels)
        return commit

    return make


def tell_logs(report: Any) -> None:
    """To a failed test's report: the ends of the sandbox's logs."""
    found = running.current()
    if report.failed and found is not None:
        report.sections.append(("the sandbox's logs", found.tails()))
