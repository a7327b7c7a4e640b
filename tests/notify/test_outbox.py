"""What is told is told once, in order, and again when it failed; what cannot be told changes nothing else."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from rq.timeouts import JobTimeoutException

from adapters.errors import Denied, NotFound, Throttled, TimedOut, Unavailable
from adapters.slack import LONGEST_REQUEST, TIMEOUT
from notify import outbox, pruning
from notify.models import Outgoing
from portal.ticks import send_waiting
from tests.notify.conftest import FakeSlack

DOWN = Unavailable("Slack does not answer.", system="Slack")


def again(row: Outgoing) -> Outgoing:
    row.refresh_from_db()
    return row


def make_due(row: Outgoing) -> None:
    Outgoing.objects.filter(pk=row.pk).update(next_try_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
class TestWriting:
    def tell(self, **more: Any) -> None:
        given = {"key": "k", "thread": "t", "payload": {"a": 1}, **more}
        outbox.slack_message(given.pop("channel", "#shop"), **given)

    def test_a_row_and_a_bell_after_the_commit(
        self, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
    ) -> None:
        pushed: list[str] = []
        monkeypatch.setattr("core.jobs.push", lambda func, ids, queue, job_id, **_: pushed.append(job_id))
        with django_capture_on_commit_callbacks(execute=True):
            self.tell()
            self.tell(payload={"a": 2})
            assert pushed == []
        row = Outgoing.objects.get()
        assert (row.payload, row.state) == ({"a": 1}, "waiting")
        assert pushed == [f"send-{row.pk}"]

    def test_what_is_rolled_back_was_never_told(self) -> None:
        with transaction.atomic():
            self.tell()
            transaction.set_rollback(True)
        assert not Outgoing.objects.exists()

    def test_without_a_channel_there_is_nobody_to_tell(self) -> None:
        self.tell(channel="")
        assert not Outgoing.objects.exists()

    def test_without_a_token_there_is_nobody_to_tell(self, settings: Any) -> None:
        settings.SLACK_BOT_TOKEN = ""
        self.tell()
        assert not Outgoing.objects.exists()


class TestSending:
    def test_one_message_a_deploy_which_is_updated(self, row: Any, slack: Any) -> None:
        first = row("started")
        outbox.send_due()
        last = row("ended", state="failed", result="It crashed.", hint="Look at the log.")
        outbox.send_due()
        again(first)
        assert [call[0] for call in slack.calls] == ["post", "update", "post"]
        posted, updated, details = slack.calls
        assert posted[1] == "#shop"
        assert updated[1:3] == ("C1", "ts1")
        assert details[1:] == ("C1", "It crashed.\nLook at the log.", "ts1")
        assert [again(one).state for one in (first, last)] == ["sent", "sent"]
        assert first.external_id == last.external_id == "C1:ts1"

    def test_a_state_that_is_over_is_not_told(self, row: Any, slack: Any) -> None:
        """Slack was away for an hour. What has details is told all the same."""
        rows = [row(f"{n}", state="running") for n in range(20)]
        failed, last = row("ended", state="failed", result="It crashed."), row("undone", state="succeeded")
        outbox.send_due()
        assert [call[0] for call in slack.calls] == ["post", "post", "update"]
        assert {again(one).state for one in rows} == {"skipped"}
        assert [again(one).state for one in (failed, last)] == ["sent", "sent"]

    def test_what_was_tried_may_have_arrived_and_is_not_skipped(self, row: Any, slack: Any) -> None:
        first, slack.lost = row("started"), 1
        assert not outbox.send(first.pk)
        make_due(first)
        row("ended", state="succeeded")
        outbox.send_due()
        assert [call[0] for call in slack.calls] == ["post", "update"]
        assert again(first).state == "sent"

    @pytest.mark.parametrize(
        "error",
        [
            NotFound("The Slack message to be updated is gone.", system="Slack"),
            Denied("Slack does not let messages of that age be changed.", system="Slack"),
        ],
    )
    def test_a_message_that_cannot_be_changed_is_posted_anew_once(
        self, row: Any, slack: Any, error: Any
    ) -> None:
        row("started")
        outbox.send_due()
        slack.errors.append(error)
        row("ended", channel="#moved", state="failed", result="It crashed.")
        outbox.send_due()
        row("undone", channel="#moved", state="failed", result="It crashed.", rollback_number=13,
            rollback_revision="4a91d7e", rollback_url="https://d.example/13/", rollback_state="succeeded")  # fmt: skip
        outbox.send_due()
        assert [call[:2] for call in slack.calls] == [
            ("post", "#shop"), ("post", "#moved"), ("post", "C1"), ("update", "C1"), ("post", "C1"),
        ]  # fmt: skip
        assert [call[-1] for call in slack.calls[2:3]] == ["ts2"]
        assert slack.calls[3][2] == "ts2"

    def test_a_message_is_finished_in_the_channel_where_it_is(self, row: Any, slack: Any) -> None:
        row("started")
        outbox.send_due()
        row("ended", channel="#moved", state="succeeded")
        outbox.send_due()
        assert [call[:3] for call in slack.calls[1:]] == [("update", "C1", "ts1")]

    def test_nothing_is_sent_twice(self, row: Any, slack: Any) -> None:
        row("started")
        outbox.send_due()
        outbox.send_due()
        assert len(slack.calls) == 1

    def test_the_end_waits_until_the_start_was_told(self, row: Any, slack: Any) -> None:
        first, last = row("started"), row("ended", state="succeeded")
        assert not outbox.send(last.pk)
        assert slack.calls == []
        assert outbox.send(first.pk)
        assert outbox.send(last.pk)

    def test_another_thread_waits_for_nothing(self, row: Any, slack: Any) -> None:
        row("started")
        other = row("started", thread="deploy-13", number=13)
        assert outbox.send(other.pk)

    def test_a_failure_is_tried_again_later_and_later(self, row: Any, slack: Any) -> None:
        one = row("started")
        waits = []
        for _ in outbox.BACKOFF_SECONDS:
            slack.errors.append(DOWN)
            make_due(one)
            before = timezone.now()
            assert not outbox.send(one.pk)
            waits.append(round((again(one).next_try_at - before).total_seconds()))
            assert (one.state, one.result) == ("waiting", "Slack does not answer.")
            assert not outbox.send(one.pk)  # not due yet
        assert waits == list(outbox.BACKOFF_SECONDS)
        make_due(one)
        assert outbox.send(one.pk)
        assert (again(one).state, one.result) == ("sent", "")

    def test_it_is_given_up_after_a_day_and_not_by_the_number_of_tries(self, row: Any, slack: Any) -> None:
        """A Slack that is away for hours loses nothing."""
        one = row("started")
        for _ in range(len(outbox.BACKOFF_SECONDS) + 5):
            slack.errors.append(DOWN)
            make_due(one)
            outbox.send(one.pk)
        assert again(one).state == "waiting"
        Outgoing.objects.update(created_at=timezone.now() - outbox.GIVEN_UP)
        slack.errors.append(DOWN)
        make_due(one)
        assert outbox.send(one.pk)
        assert again(one).state == "failed"

    def test_slacks_own_pause_is_kept(self, row: Any, slack: Any) -> None:
        one = row("started")
        slack.errors.append(Throttled("Too many messages.", system="Slack", retry_after=120))
        outbox.send(one.pk)
        assert again(one).next_try_at > timezone.now() + timedelta(seconds=100)

    @pytest.mark.parametrize("error", [Denied, NotFound])
    def test_what_cannot_get_better_is_not_tried_again(self, row: Any, slack: Any, error: Any) -> None:
        one = row("started")
        slack.errors.append(error("There is no channel #shop.", system="Slack"))
        assert outbox.send(one.pk)
        assert (again(one).state, one.result) == ("failed", "There is no channel #shop.")

    def test_a_first_message_that_failed_for_good_does_not_silence_the_end(
        self, row: Any, slack: Any
    ) -> None:
        first = row("started")
        slack.errors.append(Denied("Not in the channel.", system="Slack"))
        outbox.send_due()
        last = row("ended", state="failed", result="It crashed.")
        outbox.send_due()
        assert again(first).state == "failed"
        assert again(last).state == "sent"
        assert [call[0] for call in slack.calls] == ["post", "post"]
        assert slack.calls[1] == ("post", "C1", "It crashed.", "ts1")

    def test_a_sender_that_died_leaves_the_row_to_the_next(self, row: Any, slack: Any) -> None:
        one = row("started")
        assert outbox.claim(one.pk) is not None
        assert outbox.claim(one.pk) is None
        make_due(one)  # a minute later
        assert outbox.send(one.pk)
        assert again(one).tries == 2

    def test_a_lost_bell_is_rung_by_the_tick(
        self, row: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
    ) -> None:
        pushed: list[str] = []
        monkeypatch.setattr("core.jobs.push", lambda func, ids, queue, job_id, **_: pushed.append(job_id))
        with django_capture_on_commit_callbacks(execute=True):
            send_waiting()
            assert pushed == []
            one = row("started")
            send_waiting()
        assert [job_id.rpartition("-")[0] for job_id in pushed] == [f"send-due-{one.pk}-0"]


@pytest.mark.django_db(transaction=True)
def test_of_two_senders_one_gets_the_row(row: Any, slack: Any) -> None:
    one = row("started")
    barrier, claimed = threading.Barrier(2), []

    def sender() -> None:
        try:
            barrier.wait()
            claimed.append(outbox.claim(one.pk) is not None)
        finally:
            connection.close()

    threads = [threading.Thread(target=sender) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [False, True]


@pytest.mark.django_db
def test_a_row_that_cannot_be_told_keeps_back_no_other(row: Any, slack: Any) -> None:
    broken = row("started", thread="deploy-1")
    Outgoing.objects.filter(pk=broken.pk).update(payload={})
    good = row("started", thread="deploy-2")
    outbox.send_due()
    assert (again(broken).state, again(good).state) == ("failed", "sent")


TROUBLE = {
    "about": "began", "project": "The Shop", "environment": "Staging", "number": 12, "since": 1782914520, "clock": "14:02 UTC",
    "url": "https://deploy.example/deploys/12/", "troubles": [{"name": "web", "sentence": "container web crashed <twice>"}],
}  # fmt: skip


def note(key: str, thread: str, **facts: Any) -> Outgoing:
    return Outgoing.objects.create(
        kind="slack_note", recipient="#shop", key=key, thread=thread, payload={**TROUBLE, **facts},
        next_try_at=timezone.now() - timedelta(seconds=1),
    )  # fmt: skip


def test_a_note_is_a_reply_and_leaves_the_first_message_alone(row: Any, slack: FakeSlack) -> None:
    row("started")
    note("n1", "deploy-12")
    row("again", state="succeeded")
    outbox.send_due()
    first, reply, update = slack.calls
    assert reply[:2] == ("post", "C1")
    assert reply[3] == "ts1"
    assert "succeeded, but since <!date^1782914520^{time}|14:02 UTC> it fails" in reply[2]
    assert "• web: container web crashed &lt;twice&gt;" in reply[2]
    assert (first[0], update[:3]) == ("post", ("update", "C1", "ts1"))


def test_a_note_whose_first_message_is_gone_is_posted_outside(row: Any, slack: FakeSlack) -> None:
    row("started")
    outbox.send_due()
    slack.errors.append(NotFound("The Slack thread is gone.", system="Slack"))
    one = note("n1", "deploy-12")
    outbox.send_due()
    assert [(call[1], call[3]) for call in slack.calls[1:]] == [("#shop", "")]
    assert again(one).external_id == "C1:ts2"


def test_a_note_without_a_first_message_is_the_first_itself(db: None, slack: FakeSlack) -> None:
    note("n1", "trouble-5", number=None)
    note("n2", "trouble-5", number=None, about="over", names=["web"])
    outbox.send_due()
    assert [(call[1], call[3]) for call in slack.calls] == [("#shop", ""), ("C1", "ts1")]
    assert slack.calls[0][2].startswith(":rotating_light: *The Shop in Staging fails since")
    assert "The Shop in Staging recovered (web)" in slack.calls[1][2]


class TestLostAnswers:
    """Slack has the message, and its answer does not arrive: the next try finds it."""

    def test_a_first_message(self, row: Any, slack: Any) -> None:
        one, slack.lost = row("started"), 1
        assert not outbox.send(one.pk)
        make_due(one)
        assert outbox.send(one.pk)
        assert len(slack.calls) == 1
        assert (again(one).state, one.external_id) == ("sent", "C1:ts1")
        assert slack.looked == [("#shop", "deploy-12-started/message")]

    def test_the_details_below_it(self, row: Any, slack: Any) -> None:
        first = row("started")
        outbox.send(first.pk)
        last = row("ended", state="failed", result="It crashed.")
        slack.lost = 1
        assert not outbox.send(last.pk)
        make_due(last)
        assert outbox.send(last.pk)
        assert [call[0] for call in slack.calls] == ["post", "update", "post", "update"]
        assert slack.looked == [("C1", "deploy-12-ended/details")]

    def test_a_sender_that_was_killed_after_posting(self, row: Any, slack: Any) -> None:
        one = row("started")
        claimed = outbox.claim(one.pk)
        assert claimed is not None
        outbox.deliver(claimed)  # and before the row was written it was gone
        make_due(one)
        assert outbox.send(one.pk)
        assert len(slack.calls) == 1

    def test_while_it_cannot_be_known_nothing_is_posted(self, row: Any, slack: Any) -> None:
        one, slack.lost = row("started"), 1
        outbox.send(one.pk)
        slack.errors.append(DOWN)
        make_due(one)
        assert not outbox.send(one.pk)
        assert len(slack.calls) == 1

    def test_a_bot_that_may_not_look_posts_again(self, row: Any, slack: Any) -> None:
        """Twice is better than never."""
        one, slack.lost = row("started"), 1
        outbox.send(one.pk)
        slack.errors.append(Denied("The Slack bot lacks a permission (scope).", system="Slack"))
        make_due(one)
        assert outbox.send(one.pk)
        assert len(slack.calls) == 2

    def test_the_id_of_a_channel_is_known_from_earlier_messages(self, row: Any, slack: Any) -> None:
        row("started", thread="deploy-1")
        outbox.send_due()
        one, slack.lost = row("started", thread="deploy-2"), 1
        outbox.send(one.pk)
        make_due(one)
        outbox.send(one.pk)
        assert slack.looked == [("C1", "deploy-2-started/message")]


class TestARound:
    def test_a_channel_that_fails_takes_no_time_of_the_others(self, row: Any, slack: Any) -> None:
        bad = [row("started", thread=f"deploy-{n}", channel="#bad") for n in range(5)]
        good = row("started", thread="deploy-9", channel="#good")
        slack.errors.append(DOWN)
        outbox.send_due()
        assert again(good).state == "sent"
        assert [again(one).tries for one in bad] == [1, 0, 0, 0, 0]

    def test_a_slack_that_hangs_ends_it(self, row: Any, slack: Any) -> None:
        rows = [row("started", thread=f"deploy-{n}", channel=f"#c{n}") for n in range(5)]
        slack.errors += [TimedOut("No answer.", system="Slack")] * 5
        outbox.send_due()
        assert [again(one).tries for one in rows] == [1, 1, 0, 0, 0]
        slack.errors.clear()
        outbox.send_due()  # the next one takes it up where it ended
        assert [again(one).state for one in rows] == ["waiting", "waiting", "sent", "sent", "sent"]

    def test_it_ends_in_time(self, row: Any, slack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [row("started", thread=f"deploy-{n}") for n in range(5)]
        clock = iter(range(0, 1000, 12))
        monkeypatch.setattr(outbox.time, "monotonic", lambda: float(next(clock)))
        outbox.send_due()
        assert [again(one).state for one in rows] == ["sent", "sent", "waiting", "waiting", "waiting"]

    def test_the_end_of_the_jobs_time_is_no_error_of_the_row(self, row: Any, slack: Any) -> None:
        rows = [row("started", thread=f"deploy-{n}") for n in range(2)]
        slack.errors.append(JobTimeoutException("Task exceeded maximum timeout value"))
        with pytest.raises(JobTimeoutException):
            outbox.send_due()
        assert [(again(one).state, one.tries) for one in rows] == [("waiting", 1), ("waiting", 0)]
        assert rows[0].next_try_at > timezone.now()

    def test_nor_is_a_database_that_is_gone(self, row: Any, slack: Any) -> None:
        one = row("started")
        slack.errors.append(OperationalError("server closed the connection"))
        with pytest.raises(OperationalError):
            outbox.send(one.pk)
        assert again(one).state == "waiting"

    def test_the_times_fit(self, settings: Any) -> None:
        """A delivery ends within its claim, and a round with its last delivery within the job."""
        slowest = outbox.DELIVERY_SECONDS + LONGEST_REQUEST
        assert TIMEOUT < outbox.DELIVERY_SECONDS
        assert slowest < outbox.CLAIM_SECONDS
        assert outbox.ROUND_SECONDS + slowest < settings.RQ_QUEUES["messages"]["DEFAULT_TIMEOUT"]
        assert settings.RQ_QUEUES["messages"]["DEFAULT_TIMEOUT"] > outbox.CLAIM_SECONDS


def test_many_rows_of_one_recipient_keep_back_no_other(row: Any, slack: Any) -> None:
    """A hundred rows of a channel that cannot be reached were all that a round looked at."""
    for number in range(outbox.MOST_ROWS + 5):
        row("started", thread=f"many-{number}", channel="#many")
    good = row("started", thread="deploy-9", channel="#good")
    slack.errors.append(DOWN)
    outbox.send_due()
    assert again(good).state == "sent"
    assert Outgoing.objects.filter(tries__gt=0).count() == 2


def test_rows_that_wait_for_an_earlier_one_take_no_place(row: Any, slack: Any) -> None:
    first = row("started")
    for number in range(outbox.MOST_ROWS + 5):
        row(f"later-{number}")
    other = row("started", thread="deploy-13")
    Outgoing.objects.filter(pk=first.pk).update(next_try_at=timezone.now() + timedelta(hours=1))
    assert outbox.in_order() == [(other.pk, "#shop", outbox.SLACK)]


def aged(days: float, state: str, thread: str = "") -> Outgoing:
    """A row that was written so long ago."""
    number = Outgoing.objects.count()
    made = Outgoing.objects.create(
        kind="slack", recipient="#shop", key=f"k{number}", thread=thread, state=state
    )
    Outgoing.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(days=days))
    return made


def test_old_rows_are_forgotten_and_failed_ones_later(db: None) -> None:
    kept = [aged(29, "sent"), aged(31, "failed"), aged(500, "waiting"), aged(29, "skipped")]
    for days, state in ((31, "sent"), (91, "failed"), (31, "skipped")):
        aged(days, state)
    pruning.forget_old()
    assert list(Outgoing.objects.all()) == kept


def test_a_thread_stays_whole_while_one_of_its_rows_is_young_or_waits(db: None) -> None:
    kept = [aged(60, "sent", "a"), aged(1, "sent", "a"), aged(60, "sent", "b"), aged(59, "waiting", "b")]
    aged(60, "sent", "c")
    aged(60, "sent", "c")
    pruning.forget_old()
    assert list(Outgoing.objects.all()) == kept


def test_many_old_rows_go_in_small_parts(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 2)
    monkeypatch.setattr(pruning, "MOST_AT_ONCE", 6)
    for _ in range(9):
        aged(60, "sent")
    pruning.forget_old()
    assert Outgoing.objects.count() == 3
    pruning.forget_old()
    assert Outgoing.objects.count() == 0


def test_many_waiting_rows_of_github_do_not_keep_back_slack(row: Any) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Outgoing.objects.bulk_create(
        Outgoing(kind="github_status", recipient="acme/shop", key=f"status-{number}", next_try_at=long_ago)
        for number in range(outbox.MOST_ROWS + 5)
    )
    message = row("started")
    found = outbox.in_order()
    assert found[0] == (message.pk, "#shop", outbox.SLACK)
    assert len(found) == outbox.MOST_ROWS + 1
