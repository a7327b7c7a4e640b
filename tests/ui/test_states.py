"""Every state that can stand in the database has its word, colour and icon in the one dictionary."""

from __future__ import annotations

import pytest

from engine.types import Action, Progress
from runs.models import State, StepState
from ui import icons
from ui.states import LOOKS, look
from ui.templatetags import ui

TONES = {"waiting", "running", "succeeded", "failed", "stopped"}
HEALTH = ("healthy", "progressing", "degraded", "failing", "suspended", "unknown")


@pytest.mark.parametrize("value", [*State, *StepState, *Progress, *Action, *HEALTH], ids=repr)
def test_every_state_has_a_look_of_its_own(value: object) -> None:
    assert str(value) in LOOKS


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_can_be_drawn(name: str) -> None:
    shown = LOOKS[name]
    assert shown.css in TONES
    assert shown.word in ui.state(name)
    assert icons.shapes(shown.icon) in ui.state(name)


def test_the_two_kinds_of_failure_do_not_look_alike() -> None:
    assert look("failed").icon != look("errored").icon != look("timed_out").icon


def test_only_what_runs_moves() -> None:
    assert "spin" in ui.state("running")
    assert not any("spin" in ui.state(word) for word in ("cancelling", "queued", "succeeded", "changed"))


def test_words_enum_members_and_shown_words_mean_the_same() -> None:
    assert look("timed_out") == look(State.TIMED_OUT) == look(Progress.TIMED_OUT) == look("Timed out")


def test_an_unknown_state_is_shown_grey_and_escaped() -> None:
    drawn = ui.state("<odd>")
    assert "stopped" in drawn
    assert "&lt;odd&gt;" in drawn


def test_an_icon_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(icons.UnknownIcon, match="no icon 'nope'"):
        icons.render("nope")


def test_a_labelled_icon_is_an_image() -> None:
    assert 'role="img" aria-label="Locked"' in icons.render("lock", label="Locked")
    assert 'aria-hidden="true"' in icons.render("lock")
