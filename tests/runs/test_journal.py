"""The log as a worker writes it: in order, fenced, capped, without secrets; and nothing is lost to a database that pauses."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection

from core.redactor import MASK, Redactor
from deployments.models import Deploy
from runs import journal as journals
from runs import waiting
from runs.fence import Fence, FenceLost
from runs.journal import Journal
from runs.life.reconcile import HEARTBEAT_LOST
from runs.log import lines_after
from runs.models import LogChunk, State


def texts(fence: Fence) -> list[str]:
    return [line.text for line in lines_after(fence.run_id, 0)]


def write(journal: Journal, *lines: str) -> None:
    for line in lines:
        journal.line(line)
    journal.flush()


@pytest.mark.django_db
class TestLines:
    def test_lines_that_come_together_are_one_chunk_in_order(self, journal: Journal, fence: Fence) -> None:
        journal.step = "apply"
        write(journal, "one", "two", "three")
        chunk = LogChunk.objects.get()
        assert (chunk.sequence, chunk.first_line, chunk.line_count) == (1, 1, 3)
        found = lines_after(fence.run_id, 0)
        assert [(line.number, line.step, line.text) for line in found] == [
            (1, "apply", "one"), (2, "apply", "two"), (3, "apply", "three"),
        ]  # fmt: skip
        assert Deploy.objects.get().log_lines == 3

    def test_a_text_of_several_lines_is_several_lines(self, journal: Journal, fence: Fence) -> None:
        journal.line("a\nb\r\nc\x00d", level="error")
        journal.line("")
        journal.flush()
        assert texts(fence) == ["a", "b", "cd", ""]
        assert {line.level for line in lines_after(fence.run_id, 0)} == {"error", "info"}

    def test_tabs_stay_in_the_text(self, journal: Journal, fence: Fence) -> None:
        write(journal, "a\tb\tc")
        assert texts(fence) == ["a\tb\tc"]

    def test_a_line_without_end_is_cut(self, journal: Journal, fence: Fence) -> None:
        write(journal, "x" * (journals.LONGEST_LINE + 1))
        assert texts(fence) == ["x" * journals.LONGEST_LINE]

    def test_a_value_in_utf_16_is_replaced(self, fence: Fence) -> None:
        redactor = Redactor()
        redactor.add(["canary-value"])
        write(Journal(fence, redactor), "canary-value".encode("utf-16-le").decode())
        assert texts(fence) == [MASK]

    def test_values_are_replaced_before_they_are_kept(self, fence: Fence) -> None:
        redactor = Redactor()
        redactor.add(["canary-value"])
        write(Journal(fence, redactor), "password=canary-value;")
        assert texts(fence) == [f"password={MASK};"]
        assert "canary" not in LogChunk.objects.get().text

    def test_the_next_attempt_goes_on_where_the_log_ended(self, journal: Journal, fence: Fence) -> None:
        write(journal, "one", "two")
        Deploy.objects.update(attempt=2)
        write(Journal(Fence(Deploy, fence.run_id, 2), Redactor()), "three")
        assert [(line.number, line.text) for line in lines_after(fence.run_id, 1)] == [
            (2, "two"),
            (3, "three"),
        ]

    def test_nothing_to_write_writes_nothing(self, journal: Journal) -> None:
        journal.flush()
        assert not LogChunk.objects.exists()


@pytest.mark.django_db
class TestFence:
    def test_who_was_given_up_writes_nothing_and_learns_it(self, journal: Journal) -> None:
        Deploy.objects.update(attempt=2)
        write(journal, "too late")
        assert journal.lost
        assert not LogChunk.objects.exists()
        write(journal, "still too late")
        assert not LogChunk.objects.exists()

    def test_a_run_that_was_ended_takes_no_lines(self, journal: Journal) -> None:
        Deploy.objects.update(state=State.ABANDONED)
        write(journal, "too late")
        assert journal.lost

    def test_a_beat_tells_of_a_cancel(self, journal: Journal) -> None:
        journal._beat()
        assert not journal.cancelling
        Deploy.objects.update(state=State.CANCELLING)
        journal._beat()
        assert journal.cancelling
        assert not journal.lost

    def test_a_beat_is_a_heartbeat(self, journal: Journal) -> None:
        journal._beat()
        assert Deploy.objects.get().heartbeat_at is not None


@pytest.mark.django_db(transaction=True)
class TestDatabaseThatPauses:
    def test_lines_are_kept_back_and_written_later_in_order(
        self,
        journal: Journal,
        fence: Fence,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        write(journal, "one")

        def gone(**_: Any) -> Any:
            raise OperationalError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(Fence, "held", lambda *_, **__: gone())
            write(journal, "two")
            assert texts(fence) == ["one"]
        assert "kept back" in caplog.text
        write(journal, "three")
        assert texts(fence) == ["one", "two", "three"]
        assert [line.number for line in lines_after(fence.run_id, 0)] == [1, 2, 3]

    def test_what_is_kept_back_has_a_bound_and_the_gap_is_said(
        self, journal: Journal, fence: Fence, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waiting, "MOST_CHARACTERS", 50)

        def gone(**_: Any) -> Any:
            raise OperationalError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(Fence, "held", lambda *_, **__: gone())
            for number in range(100):
                write(journal, f"line {number:04d}")
        write(journal, "it answers")
        found = texts(fence)
        assert found[0] == "96 lines are missing here: the database did not answer for so long."
        assert found[1:] == ["line 0096", "line 0097", "line 0098", "line 0099", "it answers"]

    def test_a_long_backlog_is_written_in_pieces(
        self, journal: Journal, fence: Fence, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waiting, "MOST_AT_ONCE", 3)
        write(journal, *[str(number) for number in range(1)])
        for number in range(1, 8):
            journal.line(str(number))
        journal.flush()
        assert texts(fence) == [str(number) for number in range(8)]
        assert [chunk.line_count for chunk in LogChunk.objects.order_by("sequence")] == [1, 3, 3, 1]

    def test_a_chunk_that_was_written_though_the_answer_was_lost_stops_nothing(
        self, journal: Journal, fence: Fence, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The commit went through, its answer did not: the number is taken, so the journal looks where the log ends."""
        with monkeypatch.context() as patched:
            real = journal._write

            def answer_lost(lines: Any) -> None:
                real(lines)
                journal._sequence, journal._next_line = 1, 1
                raise OperationalError("connection lost")

            patched.setattr(journal, "_write", answer_lost)
            write(journal, "one")
        write(journal, "two")
        assert texts(fence)[-1] == "two"
        assert [line.number for line in lines_after(fence.run_id, 0)] == [1, 2, 3]


@pytest.mark.django_db
class TestCap:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "KEPT_HEAD", 5)
        monkeypatch.setattr(journals, "KEPT_TAIL", 10)

    def test_head_and_tail_stay_and_the_numbers_go_on(self, journal: Journal, fence: Fence) -> None:
        for first in range(0, 100, 5):
            write(journal, *[f"line {n}" for n in range(first + 1, first + 6)])
        found = lines_after(fence.run_id, 0)
        assert [line.number for line in found] == [*range(1, 6), *range(91, 101)]
        assert all(line.text == f"line {line.number}" for line in found)

    def test_one_attempt_after_another_does_not_grow_it(self, journal: Journal, fence: Fence) -> None:
        write(journal, *"abcdefghijklmno")
        later = Journal(fence, Redactor())
        write(later, *"pqrst")
        write(later, *"uvwxy")
        assert sum(LogChunk.objects.values_list("line_count", flat=True)) <= 15


@pytest.mark.django_db(transaction=True)
class TestThread:
    def test_lines_are_written_without_being_asked(self, fence: Fence) -> None:
        with Journal(fence, Redactor()) as journal:
            journal.line("by itself")
            deadline = time.monotonic() + 60
            while not LogChunk.objects.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert texts(fence) == ["by itself"]
        assert not any(thread.name == "journal" for thread in threading.enumerate())

    def test_lines_of_many_threads_are_all_there(self, fence: Fence) -> None:
        with Journal(fence, Redactor()) as journal:

            def talk(name: str) -> None:
                for n in range(50):
                    journal.line(f"{name} {n}")

            threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        found = texts(fence)
        assert len(found) == 200
        for name in "abcd":
            assert [text for text in found if text.startswith(name)] == [f"{name} {n}" for n in range(50)]

    def test_what_is_left_at_the_end_is_written(self, fence: Fence) -> None:
        with Journal(fence, Redactor()) as journal:
            journal.line("last words")
        assert texts(fence) == ["last words"]
        assert connection.is_usable()

    def test_without_redis_the_log_is_written_all_the_same(self, fence: Fence) -> None:
        """The tests' Redis does not exist."""
        with Journal(fence, Redactor()) as journal:
            journal.line("a")
            journal.changed()
        assert texts(fence) == ["a"]


@pytest.mark.django_db
class TestBeingSure:
    """Whether another worker may have taken the run over: known from the last heartbeat, by a clock that a stop does not stop."""

    def test_before_the_first_heartbeat_it_is_not(self, fence: Fence) -> None:
        assert not Journal(fence, Redactor()).is_sure()

    def test_for_a_while_after_one_it_is(self, fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = Journal(fence, Redactor())
        now = [1000.0]
        monkeypatch.setattr(journals.time, "monotonic", lambda: now[0])
        with journal.held():
            now[0] += 4  # what a heartbeat takes does not count as known
        assert journal.is_sure()
        now[0] += journals.SURE_SECONDS - 4.5
        assert journal.is_sure()
        now[0] += 1
        assert not journal.is_sure()

    def test_a_lost_fence_ends_it(self, fence: Fence) -> None:
        journal = Journal(fence, Redactor())
        with journal.held():
            pass
        journal.lost = True
        assert not journal.is_sure()

    def test_who_has_lost_the_run_does_not_become_sure(self, fence: Fence) -> None:
        journal = Journal(replace(fence, attempt=fence.attempt + 1), Redactor())
        with pytest.raises(FenceLost), journal.held():
            pass
        assert not journal.is_sure()

    def test_nobody_takes_a_run_from_a_worker_that_is_sure(self) -> None:
        """With seconds in between, for a request that is on its way."""
        assert HEARTBEAT_LOST.total_seconds() - journals.SURE_SECONDS >= 5
        assert journals.SURE_SECONDS >= 3 * journals.BEAT_SECONDS
