"""What is told of credentials that nobody renews: banners, the status page, metrics, and one message for each trouble."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import F
from django.test import Client

from core import status
from notify.models import Alarm
from registry import ending
from registry.models import Credential, RegistryToken, State, Watch
from registry.pages.links import line_of_cluster, line_of_environment
from registry.pages.totals import totals
from tests.factories import make_cluster
from tests.registry.pages import Portal, make_portal

pytestmark = pytest.mark.django_db


@pytest.fixture
def portal(settings: Any) -> Portal:
    settings.OPERATIONS_CHANNEL, settings.SLACK_BOT_TOKEN = "#ops", "xoxb-of-tests"
    return make_portal()


def keys() -> list[str]:
    return sorted(Alarm.objects.filter(ended_at=None, well_since=None).values_list("key", flat=True))


def left(hours: float, portal: Portal, **fields: Any) -> None:
    """All credentials have so much left, and their renewal is overdue."""
    ends = portal.now + timedelta(hours=hours)
    Credential.objects.update(expires_at=ends, half_life_at=ends - timedelta(hours=6, minutes=11), **fields)


def test_nothing_is_told_while_all_is_well(portal: Portal) -> None:
    portal.credential("foreign", State.FOREIGN, hours=None)
    portal.credential(
        "short", hours=0.9, half_life_at=portal.now + timedelta(minutes=20)
    )  # a session of one hour
    ending.warn()
    assert (keys(), ending.notices()) == ([], [])


def test_levels_are_told_once_each_and_are_over_together(portal: Portal) -> None:
    pk = portal.cluster.pk
    for hours, expected in ((5.9, "6h"), (5, "6h"), (2.5, "3h"), (0.5, "1h"), (-1, "0h")):
        left(hours, portal, state=State.FAILING, last_error="The cluster refuses.")
        for _ in range(3):
            ending.warn()
            Alarm.objects.filter(told_at=None).update(told_at=F("began_at"))
        assert f"pulls.cluster.{pk}.{expected}" in keys()
    assert keys() == [f"pulls.cluster.{pk}.{hours}h" for hours in (0, 1, 3, 6)]
    assert "New pods cannot pull their images since" in Alarm.objects.get(key__endswith=".0h").text
    assert "hel/shop: The cluster refuses." in Alarm.objects.get(key__endswith=".3h").text
    left(8, portal)
    ending.warn()
    assert keys() == []
    assert Alarm.objects.exclude(well_since=None).count() == 4


def test_what_is_found_late_is_one_message(portal: Portal) -> None:
    left(0.5, portal)
    ending.warn()
    assert keys() == [f"pulls.cluster.{portal.cluster.pk}.1h"]


def test_a_token_that_fails_is_one_trouble_in_all_clusters(portal: Portal) -> None:
    for n in range(5):
        portal.credential("shop", cluster=make_cluster(slug=f"c{n}"))
    RegistryToken.objects.update(last_error="AWS does not answer.")
    left(2, portal, state=State.FAILING, last_error="AWS does not answer.")
    ending.warn()
    assert keys() == [f"pulls.token.{portal.token.pk}.3h"]
    assert "and 3 more" in Alarm.objects.get().text


def test_a_cluster_that_is_away_for_a_day_is_one_warning(portal: Portal) -> None:
    Watch.objects.update(failing_since=portal.now, last_error="No route to host.")
    Credential.objects.update(state=State.UNKNOWN, last_error="No route to host.")
    start = portal.now
    for hour in range(25):
        with time_machine.travel(start + timedelta(hours=hour), tick=False):
            ending.warn()
            Alarm.objects.filter(told_at=None).update(told_at=F("began_at"))
    assert list(Alarm.objects.values_list("key", flat=True)) == [f"pulls.away.{portal.cluster.pk}"]


def test_without_a_channel_nothing_is_kept(portal: Portal, settings: Any) -> None:
    settings.OPERATIONS_CHANNEL = ""
    left(1, portal)
    ending.warn()
    assert not Alarm.objects.exists()


def test_the_banner_counts_and_names_nobody(portal: Portal) -> None:
    left(2, portal)
    [notice] = ending.notices()
    assert notice.text == "Image pulls stop within 3 h in 1 namespace: the credential is not renewed."
    assert (notice.state, notice.url) == ("warning", "/registry/")
    portal.credential("two", hours=-1, half_life_at=portal.now - timedelta(hours=7))
    [notice] = ending.notices()
    assert notice.text.startswith("Image pulls fail in 1 namespace: the credential has ended.")
    assert notice.state == "failed"


def test_the_status_page_and_metrics_have_them(portal: Portal) -> None:
    portal.credential("gone", State.MISSING, hours=None, failing_since=portal.now, last_error="refused")
    portal.credential("none", State.MISSING, hours=None, last_error="The namespace does not exist yet.")
    portal.credential("theirs", State.FOREIGN, hours=None)
    [row] = [row for row in status.registered_rows() if row.group == "Pull credentials"]
    assert (row.state, row.sentence) == ("valid", "Pulls work in 1 of 4 namespaces.")
    samples = [one for one in status.registered_samples() if one.name == "slipway_pull_credential_hours_left"]
    hours = {one.labels["namespace"]: one.value for one in samples}
    assert hours == {"gone": 0.0, "shop": pytest.approx(8.0, abs=0.01)}
    left(0.5, portal)
    [row] = [row for row in status.registered_rows() if row.group == "Pull credentials"]
    assert row.state == "failed"


def test_other_pages_have_one_line(portal: Portal, client: Client) -> None:
    line = line_of_environment(portal.environment)
    assert "Valid" in line
    assert "/registry/?cluster=hel&amp;q=shop" in line
    assert "1 of 1 namespaces pull" in line_of_cluster(portal.cluster)
    client.force_login(portal.people["admin"])
    for address in ("/projects/shop/staging/", "/admin/clusters/hel/"):
        assert "/registry/?cluster=hel" in client.get(address).content.decode()
    Credential.objects.all().delete()
    assert "Not looked at yet" in line_of_environment(portal.environment)
    assert "no namespace has one yet" in line_of_cluster(portal.cluster)
    portal.environment.pull_secret = ""
    assert line_of_environment(portal.environment) == ""


@pytest.mark.parametrize(("hours", "is_told"), [(4, False), (6, True), (None, True)])
def test_a_pause_that_is_over_in_time_is_no_trouble(
    portal: Portal, hours: float | None, is_told: bool
) -> None:
    """`hours`: None for a pause without an end of its own, of the whole cluster."""
    until = portal.now + timedelta(hours=hours) if hours else None
    portal.credential("sleeps", State.PAUSED)
    left(5, portal, paused_until=until)
    assert bool(ending.notices()) is is_told
    (total,) = totals(Credential.objects.filter(namespace="sleeps"), portal.now)
    assert total.stops == int(is_told)
