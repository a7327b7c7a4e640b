"""The alarms of an environment on its page and on the page of their history, and how Slack and the board lead there."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.models import LiveState, Trouble
from core.keyset import PAGE_SIZE
from deployments.gate.aftermath import tell_troubles
from notify.messages import trouble_text
from notify.models import Outgoing
from runs.models import State
from tests.factories import make_deploy, make_environment

pytestmark = pytest.mark.django_db
BAD = "container web crashed <twice>"


def trouble(environment: Any, name: str = "web", *, minutes: float = 30, **fields: Any) -> Trouble:
    """A trouble that began so many minutes ago, told a minute later."""
    began = timezone.now() - timedelta(minutes=minutes)
    defaults = {
        "began_at": began,
        "seen_at": timezone.now(),
        "told_at": began + timedelta(minutes=1),
        "sentence": BAD,
    }
    ref = f"StatefulSet.apps/shop/{name}"
    return Trouble.objects.create(environment=environment, ref=ref, name=name, **{**defaults, **fields})


def over(
    environment: Any, name: str = "web", *, minutes: float = 60, lasted: float = 12, **fields: Any
) -> Trouble:
    began = timezone.now() - timedelta(minutes=minutes)
    ended = began + timedelta(minutes=lasted)
    times = {"began_at": began, "told_at": began, "well_since": ended, "ended_at": ended}
    return trouble(environment, name, **{**times, **fields})


def address(environment: Any, more: str = "alarms/") -> str:
    return f"/projects/{environment.project.slug}/{environment.slug}/{more}"


@pytest.fixture
def look(client: Client, viewer: Any) -> Any:
    """`look(address)`: what a viewer of the project sees, without spaces between tags."""

    def get(where: str) -> str:
        client.force_login(viewer)
        answer = client.get(where)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", answer.content.decode())

    return get


def rows_of(html: str) -> list[str]:
    """The words of each alarm's line."""
    lines = re.findall(r'<tr id="alarm-\d+">(.*?)</tr>', html)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", line)).strip() for line in lines]


def test_an_open_alarm_says_since_when_why_and_that_it_lasts(look: Any, environment: Any) -> None:
    trouble(environment)
    for where in (address(environment), address(environment, "")):
        (line,) = rows_of(look(where))
        assert line == (
            "Failing StatefulSet web container web crashed &lt;twice&gt; 30 min ago 29 min ago not yet, seen just now"
        )


def test_one_that_is_over_says_when_and_how_long(look: Any, environment: Any) -> None:
    over(environment)
    (line,) = rows_of(look(address(environment)))
    assert line.startswith("Recovered StatefulSet web")
    assert line.endswith("48 min ago after 12 min")


def test_a_recovery_that_has_not_lasted_is_none(look: Any, environment: Any) -> None:
    trouble(environment, well_since=timezone.now() - timedelta(seconds=20))
    (line,) = rows_of(look(address(environment)))
    assert line.startswith("Failing")
    assert line.endswith("not for long enough")


def test_what_came_with_a_deploy_leads_to_it(look: Any, environment: Any) -> None:
    deploy = make_deploy(environment, State.SUCCEEDED)
    trouble(environment, run_id=deploy.run_id)
    html = look(address(environment))
    assert f'with deploy <a href="/deploys/{deploy.number}/">#{deploy.number}</a>' in html


def test_what_came_and_went_untold_is_no_alarm(look: Any, environment: Any) -> None:
    over(environment, told_at=None)
    html = look(address(environment))
    assert rows_of(html) == []
    assert "No alarm yet" in html
    assert "Alarms</h2>" not in look(address(environment, ""))


def test_what_has_not_lasted_yet_is_shown_as_that(look: Any, environment: Any) -> None:
    trouble(environment, minutes=0.2, told_at=None)
    (line,) = rows_of(look(address(environment, "")))
    assert "when it has lasted" in line


def test_the_environments_page_has_the_open_ones_first_and_few_others(look: Any, environment: Any) -> None:
    trouble(environment, "open", minutes=500)
    for number in range(6):
        over(environment, f"old-{number}", minutes=400 - number)
    lines = rows_of(look(address(environment, "")))
    assert [re.findall(r"open|old-\d", line)[0] for line in lines] == ["open", "old-5", "old-4", "old-3"]


def test_other_environments_are_not_shown(look: Any, environment: Any) -> None:
    trouble(make_environment(environment.project, slug="production"), "elsewhere")
    assert rows_of(look(address(environment))) == []


def test_pages_by_key_lead_through_all_of_them(look: Any, environment: Any) -> None:
    made = [over(environment, f"w-{number:02}").pk for number in range(2 * PAGE_SIZE + 3)]
    where, seen = address(environment), []
    while where:
        html = look(where)
        seen += [int(pk) for pk in re.findall(r'id="alarm-(\d+)"', html)]
        older = re.search(r'href="(\?before=\d+)"', html)
        where = address(environment) + older[1] if older else ""
    assert seen == made[::-1]
    assert "No alarm on this page" in look(address(environment) + "?before=0")


def test_the_number_of_queries_does_not_grow(client: Client, viewer: Any, environment: Any) -> None:
    client.force_login(viewer)
    counts = []
    for count in (2, 20):
        for number in range(count):
            deploy = make_deploy(environment, State.SUCCEEDED)
            over(environment, f"w-{count}-{number}", run_id=deploy.run_id)
            trouble(environment, f"open-{count}-{number}")
        taken = []
        for where in (address(environment), address(environment, "")):
            client.get(where)
            with CaptureQueriesContext(connection) as queries:
                client.get(where)
            taken.append(len(queries))
        counts.append(taken)
    assert counts[0] == counts[1]


def test_the_message_leads_to_its_line_however_many_follow(
    look: Any, environment: Any, settings: Any
) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    environment.slack_channel = "#shop"
    environment.save()
    LiveState.objects.create(environment=environment, health="failing", read_at=timezone.now())
    told = trouble(environment, told_at=None)
    tell_troubles()
    payload = Outgoing.objects.get().payload
    assert f"<{payload['url']}|Look>" in trouble_text(payload)
    for number in range(3 * PAGE_SIZE):
        over(environment, f"later-{number}")
    where, _, line = payload["url"].removeprefix(settings.BASE_URL).partition("#")
    assert f'<tr id="{line}">' in look(where)
    assert line == f"alarm-{told.pk}"


def test_strangers_do_not_see_them(client: Client, environment: Any, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("stranger"))
    assert client.get(address(environment)).status_code == 404
