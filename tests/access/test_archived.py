"""In an archived project every page of history opens, and no form is taken: every address of the table is walked, as an admin."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from deployments.models import Deploy
from projects.models import Project
from runs.models import State
from tests.access.table import TABLE
from tests.access.test_table import undone

OF_THE_PROJECT = ("/projects/shop/", "/deploys/{", "/builds/{", "/registry/images/shop/")
LEAVING = {"projects:project-archive", "projects:environment-archive", "projects:image-archive"}
REFUSED = {403, 404, 405, 409}


def test_every_address_of_an_archived_project(world: Any) -> None:
    Deploy.objects.filter(state=State.RUNNING).update(state=State.SUCCEEDED)
    Project.objects.update(archived_at=timezone.now())
    client = Client(raise_request_exception=False)
    client.force_login(world.people["admin"])
    before = AuditEvent.objects.count()
    taken, opened, closed = [], [], []
    for name, address, getting, posting in TABLE:
        if name in LEAVING or not address.startswith(OF_THE_PROJECT):
            continue
        place = address.format(**world.words)
        if posting.split()[5] != "405":
            with undone():
                answer = client.post(place, headers={"accept": "text/html"})
            if answer.status_code not in REFUSED:
                taken.append((name, answer.status_code))
        if getting.split()[5] == "200":
            with undone():
                status = client.get(place, headers={"accept": "text/html"}).status_code
            (opened if status == 200 else closed).append((name, status))
    # Comparing values is refused at the form, for want of environments whose values may be read.
    assert taken == [("secrets:compare", 422)]
    assert [one for one in closed if one[1] not in REFUSED] == []
    assert {name for name, _ in opened} >= {
        "portal:project", "deployments:environment", "deployments:deploy", "deployments:log", "builds:build", "builds:log",
        "deployments:alarms", "secrets:environment", "secrets:versions",
    }  # fmt: skip
    assert not any(name.startswith("projects:") for name, _ in opened)
    assert AuditEvent.objects.count() == before
