"""Whose turn it is: what undoes another deploy goes first, all others in the order they were asked for."""

from __future__ import annotations

import pytest

from deployments.gate import turns
from deployments.gate.life import LIFE
from deployments.models import Deploy
from runs.life.claim import claim
from runs.models import State
from tests.factories import make_deploy, make_environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(environment):
    """Two that wait, and a rollback that was asked for after them."""
    stopped = make_deploy(environment, State.CANCELLED)
    first, second = make_deploy(environment, State.QUEUED), make_deploy(environment, State.QUEUED)
    return first, second, make_deploy(environment, State.QUEUED, kind="rollback", undoes=stopped)


def test_the_rollback_goes_first(environment, line):
    first, second, rollback = line
    assert turns.next_in_line(environment.pk) == rollback
    assert list(turns.waiting_before(rollback)) == []
    assert set(turns.waiting_before(first)) == {rollback}
    assert set(turns.waiting_before(second)) == {rollback, first}
    assert sorted(line, key=turns.place) == [rollback, first, second]


def test_of_two_rollbacks_the_older_one(environment, line):
    later = make_deploy(environment, State.QUEUED, kind="rollback", undoes=line[0])
    assert turns.next_in_line(environment.pk) == line[2]
    assert list(turns.waiting_before(later)) == [line[2]]


def test_workers_keep_to_it(environment, line, pushed):
    first, _, rollback = line
    assert claim(LIFE, first.run_id, 1) is None
    assert claim(LIFE, rollback.run_id, 1) is not None


def test_one_number_for_each_environment(environment, line):
    other = make_deploy(make_environment(), State.QUEUED)
    numbers = set(
        turns.first_numbers(Deploy.objects.filter(state=State.QUEUED)).values_list("first", flat=True)
    )
    assert numbers == {line[2].number, other.number}


def test_nothing_waits(environment):
    assert turns.next_in_line(environment.pk) is None
