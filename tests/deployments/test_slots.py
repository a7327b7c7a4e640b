"""Previews at once are limited for each person and for the site; nothing waits, and every slot comes back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from core.errors import Refused
from core.models import Lease
from deployments.preparation import preview as module
from deployments.preparation import slots
from deployments.preparation.slots import preview_slot

pytestmark = pytest.mark.django_db


def test_a_person_makes_some_at_once_and_others_are_not_in_the_way() -> None:
    with ExitStack() as stack:
        for _ in range(slots.PER_PERSON):
            stack.enter_context(preview_slot(1))
        with pytest.raises(Refused, match="You have 2 previews being made already"), preview_slot(1):
            pass
        with preview_slot(2):
            pass
    with preview_slot(1):
        pass


def test_the_site_makes_some_at_once() -> None:
    with ExitStack() as stack:
        for person in range(slots.ON_THE_SITE):
            stack.enter_context(preview_slot(person))
        with (
            pytest.raises(Refused, match="There are 8 previews being made already") as caught,
            preview_slot(99),
        ):
            pass
        assert caught.value.code == "busy"
        assert "some seconds" in caught.value.hint
    with preview_slot(99):
        pass


def test_a_slot_comes_back_after_an_error() -> None:
    for _ in range(slots.ON_THE_SITE + 1):
        with pytest.raises(ValueError, match="x"), preview_slot(1):
            raise ValueError("x")


def test_a_slot_of_a_killed_process_comes_back() -> None:
    held = [preview_slot(1) for _ in range(slots.PER_PERSON)]
    for number, one in enumerate(held):
        one.__enter__()  # and never left
        assert Lease.objects.filter(name=f"preview-of-1-{number}").exists()
    Lease.objects.update(until="2020-01-01T00:00:00Z")
    with preview_slot(1):
        pass


def test_the_page_says_so_and_the_next_look_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import factories as make

    place = make.make_environment(make.make_project())
    commit: Any = "any"
    made: list[str] = []
    monkeypatch.setattr(module, "key_of", lambda *_: "preview-key")
    monkeypatch.setattr(
        module, "make", lambda *_: made.append("made") or module.Preview(commit=commit, live_revision="")
    )
    with preview_slot(7), preview_slot(7):
        (finding,) = module.preview(place, commit, person_id=7).findings
        assert "You have 2 previews" in finding.text
        assert made == []
    assert module.preview(place, commit, person_id=7).findings == ()
    assert made == ["made"]
