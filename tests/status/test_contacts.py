"""Contacts with outside systems: cheap notes, and what counts as no answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.db.models.functions import Now

from adapters.errors import Denied, ExternalError, NotFound, Throttled, TimedOut, Unavailable
from core.models import Contact
from projects import contacts
from projects.contacts import git_host, note_answer, note_error
from tests.factories import make_project

pytestmark = pytest.mark.django_db
GONE = Unavailable("Nobody is there.", system="Git", hint="Look at the network.")


def one(name: str = "git h") -> Contact:
    return Contact.objects.get(name=name)


def test_an_answer_and_a_failure() -> None:
    note_answer("git h")
    assert (one().error, one().failed_at) == ("", None)
    answered = one().answered_at
    assert answered is not None
    note_error("git h", GONE)
    assert (one().error, one().hint, one().answered_at) == (GONE.message, GONE.hint, answered)
    failed = one().failed_at
    note_error("git h", TimedOut("Too slow.", system="Git"))
    assert (one().error, one().failed_at) == ("Too slow.", failed)  # it fails since then
    note_answer("git h")
    assert (one().error, one().hint, one().failed_at) == ("", "", None)


def test_a_first_contact_may_be_a_failure() -> None:
    note_error("git h", GONE)
    assert one().answered_at is None
    assert one().failed_at is not None


def test_notes_of_the_same_are_written_twice_a_minute(django_assert_num_queries) -> None:
    note_answer("git h")
    for _ in range(3):
        with django_assert_num_queries(1):
            note_answer("git h")
    Contact.objects.update(tried_at=Now() - timedelta(seconds=31))
    with django_assert_num_queries(2):
        note_answer("git h")


@pytest.mark.parametrize("error", [Denied("No.", system="AWS"), Throttled("Slower.", system="AWS")])
def test_a_refusal_by_rights_says_nothing_of_the_system(error: ExternalError) -> None:
    note_error("aws r", error)
    assert not Contact.objects.exists()


def test_a_wrong_name_is_an_answer() -> None:
    note_error("aws r", GONE)
    note_error("aws r", NotFound("No such secret.", system="AWS"))
    assert one("aws r").error == ""


def test_asked_only_to_see_whether_it_answers_each_error_counts() -> None:
    note_error("slack", Denied("Slack does not accept the bot's token.", system="Slack"), strict=True)
    assert one("slack").error == "Slack does not accept the bot's token."


def test_a_note_never_fails_the_work_it_is_about(monkeypatch) -> None:
    def gone(*_: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(contacts, "_write", gone)
    note_answer("git h")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example/shop.git", "git git.example"),
        ("https://me:secret@git.example:8443/shop.git", "git git.example:8443"),
        ("git@git.example:shop.git", "git git.example"),
        ("file:///srv/shop.git", "git this machine"),
    ],
)
def test_the_host_of_a_repository(url: str, name: str) -> None:
    assert git_host(make_project(repository_url=url)) == name
