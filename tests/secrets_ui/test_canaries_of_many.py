"""No value leaves by comparing, copying, importing, downloading or asking: nor by what they write, nor by their errors."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import structlog
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from projects.models import Role
from secrets_ui.models import ChangeRequest
from secrets_ui.pages import bulk_views, compare_views
from tests import factories as make
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import HEAD, b64
from tests.secrets_ui.test_canaries import TYPED, everywhere, loud, tables

__all__ = ["loud"]
pytestmark = pytest.mark.django_db
ENV = f"TOKEN={TYPED}\nNEW='{TYPED} more'\n"


def other_environment(world: World) -> Any:
    place = make.make_environment(
        world.environment.project, slug="live", order=50, policies={"secret_requests": True}
    )
    file = make.make_secrets_file(place, secret_id=f"slipway/{uuid.uuid4().hex}/live")
    world.aws.create_secret(Name=file.secret_id, SecretString=f"{HEAD}data:\n  TOKEN: {b64(CANARY)}\n")
    return file


def quiet_pages(tab: Client, world: World) -> list[Any]:
    """Everything that shows no value by what it is for."""
    file = other_environment(world)
    there = f"/projects/{world.environment.project.slug}/live/secrets/{file.pk}/"
    answers = [
        tab.post(f"{there}read/"),
        tab.get(f"{world.page}compare/"),
        tab.post(f"{world.page}compare/"),
        tab.get(f"{world.url('copy')}?place=app/OLD&to={file.pk}"),
        tab.post(world.url("copy"), {"place": "app/TOKEN", "to": file.pk}),
        tab.post(world.url("import"), {"text": f"{ENV}what {TYPED} is this\n"}),
        tab.post(world.url("import"), {"text": ENV, "file": SimpleUploadedFile("a.env", ENV.encode())}),
        tab.post(world.url("import"), {"file": SimpleUploadedFile("a.env", ENV.encode() + b"\xff")}),
        tab.post(world.url("import"), {"text": f"{TYPED}\0"}),
        tab.post(f"{there}import/", {"text": ENV}),
        tab.get(f"{there}import/preview/"),
        tab.post(f"{there}import/preview/", {"do": "take"}),
        tab.get(f"{there}review/"),
        tab.post(f"{there}review/", {"comment": f"it is {TYPED}", "save_id": str(uuid.uuid4())}),
        tab.get(world.url("download")),
        tab.post(world.url("download"), {"form": "env", "of": TYPED}),
    ]
    asked = ChangeRequest.objects.get()
    olga = make.make_user("olga")
    make.grant(olga, Role.MAINTAINER, world.environment.project)
    second = Client()
    second.force_login(olga)
    page = f"{there}requests/{asked.pk}/"
    answers += [second.get(f"{there}requests/"), second.get(page), second.get(f"{page}?reveal=app/TOKEN")]
    answers += [second.post(page, {"do": "refuse", "note": f"not {TYPED}"}), tab.get(page)]
    return [
        *answers,
        tab.post(f"{page}redo/"),
        tab.get(f"{there}review/"),
        tab.get("/audit/"),
        tab.get("/secrets/"),
    ]


def test_values_stay_where_they_belong(tab: Client, world: World, loud: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as lines:
        answers = quiet_pages(tab, world)
    assert {answer.status_code for answer in answers} <= {200, 302, 403, 422}
    assert ChangeRequest.objects.get().state == "refused"
    for answer in answers:
        if not answer.headers.get("Content-Disposition"):
            text = answer.content.decode() + str(answer.headers) + str(answer.cookies)
            assert everywhere(text) == [], answer.request["PATH_INFO"]
    ours = [record for record in loud.records if not record.name.startswith("django.db")]
    assert everywhere(str([record.getMessage() for record in ours]) + str(lines)) == []
    assert [found for row in tables() if (found := everywhere(row))] == []


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(
    ("module", "name", "address", "data"),
    [
        (bulk_views, "prepare", "import", {"text": ENV}),
        (bulk_views, "download", "download", {"form": "env"}),
        (compare_views, "compare", "../compare", {}),
    ],
)
def test_an_error_of_ours_quotes_nothing(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    accept: str,
    module: Any,
    name: str,
    address: str,
    data: Any,
) -> None:
    tab = Client(raise_request_exception=False)
    tab.force_login(world.maintainer)
    tab.post(world.url("read"))

    def broken(*given: Any, **more: Any) -> Any:
        raise RuntimeError(f"a mistake of ours with {given} {more} {TYPED}")

    monkeypatch.setattr(module, name, broken)
    target = f"{world.page}compare/" if address == "../compare" else world.url(address)
    answer = tab.post(target, data, headers={"accept": accept})
    assert answer.status_code == 500
    assert everywhere(answer.content.decode()) == []


def test_a_form_after_the_session_has_ended_brings_nothing_back(world: World) -> None:
    answer = Client().post(world.url("import"), {"text": ENV})
    assert answer.status_code == 401
    assert TYPED not in answer.content.decode()
