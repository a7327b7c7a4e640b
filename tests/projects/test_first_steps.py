"""The first steps of an empty portal: what is next, for whom."""

from __future__ import annotations

import pytest
from django.urls import reverse

from projects.pages.first_steps import first_steps
from tests import factories as make

pytestmark = pytest.mark.django_db


def states(user) -> list[str]:
    return [step.state for step in first_steps(user).steps]


def test_an_admin_is_led_from_step_to_step() -> None:
    admin = make.make_user("ada", is_admin=True)
    assert states(admin) == ["current", "later", "later", "later"]
    assert first_steps(admin).steps[3].url == ""
    cluster = make.make_cluster()
    assert states(admin) == ["done", "current", "later", "later"]
    project = make.make_project(slug="shop")
    assert states(admin) == ["done", "current", "done", "later"]
    make.make_registry()
    steps = first_steps(admin).steps
    assert steps[3].state == "current"
    assert steps[3].url == reverse("projects:proposals", args=["shop"])
    assert not first_steps(admin).is_done
    make.make_environment(project, cluster=cluster)
    assert first_steps(admin).is_done


def test_others_learn_whom_to_ask(client) -> None:
    make.make_user("ada", is_admin=True)
    somebody = make.make_user("sue")
    assert first_steps(somebody).steps == ()
    assert not first_steps(somebody).is_done
    client.force_login(somebody)
    page = client.get(reverse("projects:first-steps")).content.decode()
    assert "Ask <b>ada</b>" in page
    assert reverse("projects:clusters") not in page


def test_the_page_has_one_primary_action(client) -> None:
    client.force_login(make.make_user(is_admin=True))
    page = client.get(reverse("projects:first-steps")).content.decode()
    assert page.count("button primary") == 1
    assert f'class="button primary" href="{reverse("projects:cluster-new")}"' in page
