"""The chain of events: keyed, anchored, in the order of chaining, and verified in pieces."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import anchor, chain, integrity
from audit.actors import SYSTEM_ACTOR
from audit.models import Anchor, AuditEvent, IntegrityCheck
from audit.record import record

pytestmark = pytest.mark.django_db


def tell(count: int, *, verb: str = "deploy.ended") -> list[AuditEvent]:
    """Events that are old enough to be chained."""
    made = [record(SYSTEM_ACTOR, verb, target_text=f"n{number}") for number in range(count)]
    AuditEvent.objects.filter(hash="").update(at=timezone.now() - timedelta(minutes=5))
    return made


def chained(count: int) -> list[AuditEvent]:
    tell(count)
    chain.extend()
    return list(AuditEvent.objects.order_by("id"))


def by_the_old_rule(count: int) -> list[AuditEvent]:
    """Events as an installation has them that comes from before the key."""
    previous = ""
    for event in tell(count):
        event = AuditEvent.objects.get(pk=event.pk)
        event.previous_hash, event.hash = previous, chain.old_digest(event, previous)
        event.save()
        previous = event.hash
    return list(AuditEvent.objects.order_by("id"))


def test_an_event_that_commits_late_is_chained() -> None:
    late = tell(1)[0]
    pk = late.pk
    late.delete()
    chained(3)
    tell(1)
    AuditEvent.objects.order_by("id").filter(hash="").update(id=pk)
    assert chain.extend() == 1
    assert AuditEvent.objects.get(pk=pk).link == 4
    assert not integrity.verify().is_broken


@pytest.mark.parametrize("removed", [1, 2, 5])
def test_the_newest_cannot_be_removed_without_a_trace(removed: int) -> None:
    events = chained(5)
    AuditEvent.objects.filter(pk__in=[event.pk for event in events[-removed:]]).delete()
    answer = integrity.verify()
    assert answer.is_broken
    assert answer.trouble == f"The newest {removed} of 5 events are missing."


def test_events_that_come_later_do_not_hide_that_the_newest_were_removed() -> None:
    events = chained(5)
    AuditEvent.objects.filter(pk=events[-1].pk).delete()
    tell(2)
    assert chain.extend() == 2
    assert integrity.verify().broken_count == 1


def test_without_the_key_nobody_makes_hashes_that_fit(settings: Any) -> None:
    """A forger with the database changes an event, and makes every hash after it anew."""
    events = chained(4)
    settings.DIGEST_KEY, own = "a forger's", settings.DIGEST_KEY
    previous = events[0].hash
    AuditEvent.objects.filter(pk=events[1].pk).update(data={"reason": "none"})
    for event in AuditEvent.objects.filter(pk__gt=events[0].pk).order_by("id"):
        event.previous_hash = previous
        event.hash = previous = chain.digest(event, event.link or 0, previous, anchor.chain_key())
        event.save()
    found = Anchor.objects.get()
    anchor.move(found, count=4, last=previous)
    Anchor.objects.update(key=anchor.fingerprint())
    settings.DIGEST_KEY = own
    assert integrity.verify().is_broken


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"count": 3}, anchor.FORGED),
        ({"hash": "0" * 64}, anchor.FORGED),
        ({"old_count": 1}, anchor.FORGED),
        ({"key": "0"}, anchor.OTHER_KEY),
    ],
)
def test_a_changed_anchor_is_noticed_and_nothing_more_is_chained(damage: dict[str, Any], said: str) -> None:
    chained(4)
    Anchor.objects.update(**damage)
    tell(1)
    assert chain.extend() == 0
    assert integrity.verify().trouble == said


def test_a_removed_anchor_is_noticed_and_nothing_more_is_chained() -> None:
    chained(4)
    Anchor.objects.all().delete()
    tell(1)
    assert chain.extend() == 0
    assert integrity.verify().trouble == anchor.MISSING


def test_another_key_is_said_plainly_and_the_old_one_mends_it(settings: Any) -> None:
    chained(3)
    own, settings.DIGEST_KEY = settings.DIGEST_KEY, "another"
    answer = integrity.verify()
    assert (answer.trouble, answer.broken_count) == (anchor.OTHER_KEY, 0)
    settings.DIGEST_KEY = own
    assert not integrity.verify().is_broken


def test_a_row_with_a_made_up_hash_does_not_fit() -> None:
    chained(3)
    record(SYSTEM_ACTOR, "deploy.ended", target_text="inserted")
    AuditEvent.objects.filter(hash="").update(hash="0" * 64)
    assert integrity.verify().is_broken


# Events of before the key


def test_events_of_before_the_key_are_verified_by_their_rule_and_anchored() -> None:
    by_the_old_rule(3)
    assert not integrity.verify().is_broken
    chained(2)
    answer = integrity.verify()
    assert (answer.is_broken, answer.events, answer.seen) == (False, 5, 5)
    found = Anchor.objects.get()
    assert (found.old_count, found.count) == (3, 2)


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_events_of_before_the_key_cannot_be_removed_either(removed: int) -> None:
    events = by_the_old_rule(3)
    chained(1)
    AuditEvent.objects.filter(pk=events[removed].pk).delete()
    assert integrity.verify().is_broken


def test_events_of_before_the_key_cannot_be_made_anew_by_their_rule() -> None:
    by_the_old_rule(3)
    chained(1)
    previous = ""
    AuditEvent.objects.filter(target_text="n1", link=None).update(data={"reason": "none"})
    for event in AuditEvent.objects.filter(link=None).order_by("id"):
        event.previous_hash, event.hash = previous, chain.old_digest(event, previous)
        event.save()
        previous = event.hash
    assert integrity.verify().trouble == integrity.OLD_CUT


# In pieces


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    monkeypatch.setattr(integrity, "enqueue", lambda name, **more: made.append(more["job_id"]))
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of two events."""
    monkeypatch.setattr(integrity, "BATCH", 2)
    clock = iter(range(10_000))
    monkeypatch.setattr(integrity.time, "monotonic", lambda: next(clock) * 20.0)


@pytest.mark.usefixtures("small")
def test_a_verification_goes_on_in_pieces_with_its_progress(rung: list[str], client: Any) -> None:
    from tests.factories import make_user

    by_the_old_rule(3)
    chained(4)
    integrity.verify_job()
    going = integrity.running_check()
    assert going is not None
    assert 0 < going.seen < 7
    assert len(rung) == 1
    client.force_login(make_user("ada", is_admin=True))
    assert f"{going.seen} of 7 events read" in client.get("/audit/").content.decode()
    for _ in range(10):
        if integrity.running_check():
            integrity.verify_job()
    answer = integrity.last_check()
    assert answer is not None
    assert (answer.seen, answer.is_broken, answer.running) == (7, False, False)


@pytest.mark.usefixtures("small")
def test_events_chained_meanwhile_do_not_disturb_it(rung: list[str]) -> None:
    chained(4)
    integrity.verify_job()
    chained(3)
    while integrity.running_check():
        integrity.verify_job()
    answer = integrity.last_check()
    assert answer is not None
    assert (answer.seen, answer.is_broken) == (4, False)


@pytest.mark.usefixtures("small")
def test_a_break_in_a_later_piece_is_found(rung: list[str]) -> None:
    events = chained(6)
    integrity.verify_job()
    AuditEvent.objects.filter(pk=events[4].pk).update(verb="deploy.started")
    while integrity.running_check():
        integrity.verify_job()
    answer = integrity.last_check()
    assert answer is not None
    assert answer.broken == [events[4].pk]


@pytest.mark.usefixtures("small")
def test_two_jobs_at_once_do_not_count_twice(rung: list[str]) -> None:
    chained(6)
    integrity.verify_job()
    one, two = integrity.running_check(), integrity.running_check()
    assert one is not None
    assert two is not None
    integrity.advance(one)
    assert integrity.advance(two) is True  # the other one goes on
    kept = IntegrityCheck.objects.get(pk=one.pk)
    assert (kept.seen, kept.link_at) == (one.seen, one.link_at)


@pytest.mark.usefixtures("small")
def test_what_got_stuck_is_taken_up_again_under_a_new_id(rung: list[str]) -> None:
    chained(6)
    integrity.verify_job()
    rung.clear()
    integrity.verify_due()
    assert rung == []  # it goes on
    IntegrityCheck.objects.update(moved_at=timezone.now() - timedelta(minutes=4))
    integrity.verify_due()
    assert len(rung) == 1


def test_the_page_names_the_end_of_the_chain(client: Any) -> None:
    from tests.factories import make_user

    events = chained(3)
    client.force_login(make_user("ada", is_admin=True))
    html = client.get("/audit/").content.decode()
    assert "ends with its event 3" in html
    assert events[-1].hash[:12] in html


def test_the_page_says_that_the_newest_are_missing(client: Any) -> None:
    from tests.factories import make_user

    events = chained(3)
    events[-1].delete()
    integrity.verify()
    client.force_login(make_user("ada", is_admin=True))
    assert "The newest 1 of 3 events are missing." in client.get("/audit/").content.decode()
