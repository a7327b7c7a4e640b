"""Names of keys stand on no page, in no export, message or log for a person of the project without the right to see them.

The audit names them: it is read by admins and auditors alone.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import defaultdict
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEvent
from notify.models import Outgoing
from people.models import User
from projects.models import Environment
from runs.models import LogChunk
from secrets_ui.models import ChangeRequest, CreationRequest
from tests import factories as make
from tests.access.table import TABLE
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import World
from tests.secrets_ui.support import HEAD, b64

pytestmark = pytest.mark.django_db
STORED_KEY, ADDED, REMOVED, ASKED, WANTED, MADE, TOLD = NAMES = tuple(
    f"KEYCANARY_{word}" for word in ("STORED", "ADDED", "REMOVED", "ASKED", "WANTED", "MADE", "TOLD")
)
OPEN_TO_ALL = ("deployments:stream", "changes")  # endless answers: the log, and that something changed


@pytest.fixture
def planted(world: World, git: Outside, settings: Any, caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    """A maintainer has done everything there is with keys of these names. What addresses need, by word."""
    caplog.set_level(logging.DEBUG)
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    place = world.environment
    place.slack_channel = "#shop"
    place.save()
    git.files["secret.yaml"] = f'{HEAD}stringData:\n  {STORED_KEY}: ""\n  {WANTED}: ""\n'.encode()
    world.by_hand(f"{HEAD}data:\n  {STORED_KEY}: {b64('value-1')}\n  {REMOVED}: {b64('value-2')}\n")
    tab = signed_in(world.maintainer)
    tab.post(world.url("read"))
    first = world.version

    def post(name: str, **data: Any) -> Any:
        return tab.post(world.url(name), data)

    post("add", of="app", key=ADDED, value="value-3", do="set")
    post("remove", place=f"app/{REMOVED}")
    assert post("review", comment=f"{ADDED} for {REMOVED}", save_id=str(uuid.uuid4())).status_code == 302
    post("reveal", place=f"app/{ADDED}")
    post(
        "versions",
        version=first,
        over=world.version,
        comment=f"{REMOVED} is needed",
        save_id=str(uuid.uuid4()),
    )
    Environment.objects.filter(pk=place.pk).update(policies={"secret_requests": True})
    post("add", of="app", key=ASKED, value="value-4", do="set")
    assert post("review", comment=f"add {ASKED}", save_id=str(uuid.uuid4())).status_code == 302
    git.files["new.yaml"] = f'{HEAD.replace("app", "new")}stringData:\n  {MADE}: ""\n'.encode()
    new = make.make_secrets_file(place, path="new.yaml", secret_id=f"slipway/{uuid.uuid4().hex}/new")
    tab.post(f"{world.page}{new.pk}/create/", {"comment": f"for {MADE}"})
    return {
        **of_deploys(world), "file": world.file.pk, "asked": ChangeRequest.objects.get().pk, "new": new.pk,
        "creation": CreationRequest.objects.get().pk,
    }  # fmt: skip


def of_deploys(world: World) -> dict[str, object]:
    place = world.environment
    keys = {STORED_KEY: "0" * 16, REMOVED: "0" * 16}
    ref = f"Secret/{place.namespace}/app"
    stored = {"secret": {"ref": ref, "apiVersion": "v1", "keys": keys}, "source": "secret.yaml:1",
              "from": {"file": "secret.yaml", "version_id": "old"}}  # fmt: skip
    release = make.make_release(
        place,
        objects_compressed=make.compress([stored]),
        secret_versions={"secret.yaml": "old"},
        revision="a" * 40,
    )
    counted = "The secrets file secret.yaml lacks 1 key of its reference file."
    deploy = make.make_deploy(
        place,
        release=release,
        result=counted,
        key_names={counted: [TOLD]},
        secret_versions={"secret.yaml": "old"},
    )
    return {"good": deploy.number, "running": make.make_deploy(place, "running").number}


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def pages(world: World, words: dict[str, object], user: User) -> dict[str, str]:
    """Every page of the table that this person gets, by its address."""
    client, found = signed_in(user), {}
    base = f"/projects/{world.environment.project.slug}/"
    event = AuditEvent.objects.latest("pk").pk
    known: dict[str, object] = defaultdict(lambda: 1)  # what admins alone see
    known |= {**words, "person": user.pk, "there": words["good"], "event": event}
    for name, address, *_ in TABLE:
        if name in OPEN_TO_ALL:
            continue
        path = address.replace("/projects/shop/", base).replace("requests/7/", "requests/{asked}/")
        path = path.replace("{file}/create/7/", "{new}/create/{creation}/").format_map(known)
        answer = client.get(path, follow=True)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        found[f"{name} {path}"] = body.decode()
    for path in (
        "/deploys/?q=KEYCANARY", f"{base}staging/deploy/?see=1", f"{world.page}?file={words['file']}&find=KEYCANARY",
        f"{world.page}?file={words['new']}", f"{world.page}?show=attention", f"{world.page}?at={'a' * 40}",
    ):  # fmt: skip
        found[path] = client.get(path, follow=True).content.decode()
    return found


def test_no_page_of_the_project_names_them_without_the_right(
    world: World, planted: dict[str, object]
) -> None:
    Environment.objects.update(secret_rights={"names": "maintainer"})
    for user in (world.viewer, world.deployer):
        for address, text in pages(world, planted, user).items():
            assert not [name for name in NAMES if name in text], (user.username, address)


def test_people_with_the_right_see_them(world: World, planted: dict[str, object]) -> None:
    """So the search above looks at the pages that would show them."""
    shown = "".join(pages(world, planted, world.maintainer).values())
    assert [name for name in NAMES if name not in shown] == []


def test_messages_and_logs_name_none(
    world: World, planted: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    told = json.dumps(list(Outgoing.objects.values_list("payload", flat=True)))
    assert "waiting" in told
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("django.db")]
    logged = str(list(LogChunk.objects.all().values()))
    for name in NAMES:
        assert name not in told
        assert name not in logged
        assert not [line for line in ours if name in line and "/secrets/" not in line]


def test_the_audit_names_them_and_is_for_its_readers_alone(world: World, planted: dict[str, object]) -> None:
    event = AuditEvent.objects.filter(verb="secrets.saved").earliest("pk")
    assert f"app/{ADDED}" in event.data["added"]
    auditor = make.make_user("otto", is_auditor=True)
    client = signed_in(auditor)
    for address in ("/audit/export.csv", f"/audit/{event.pk}/"):
        assert ADDED in text_of(client.get(address)), address
    assert client.get(world.page).status_code == 404  # an auditor is no person of the project
    for user in (world.viewer, world.deployer, world.maintainer):
        for address in ("/audit/", "/audit/export.csv", f"/audit/{event.pk}/"):
            assert signed_in(user).get(address).status_code == 403


def text_of(answer: Any) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(body.decode())
