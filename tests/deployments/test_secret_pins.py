"""A deploy uses the versions of the secrets that were shown before the click, whatever AWS has by then."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from adapters.errors import Unavailable
from audit.actors import person
from core.errors import Refused
from deployments.gate import requests
from deployments.models import Deploy
from deployments.pages.shown_versions import opened, sealed
from deployments.preparation.preview import preview
from runs.life.pipeline import BrokenOff
from runs.models import State
from tests.deployments.driven import OTHER, drive, said, with_secrets, without_cluster  # noqa: F401  (a fixture)
from tests.deployments.outside import VERSION, Outside, commit
from tests.factories import make_environment, make_secrets_file

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("without_cluster", "pushed")]
NEWER = "22222222-2222-4222-8222-222222222222"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def place(environment: Any, outside: Outside) -> Any:
    with_secrets(environment, outside)
    return environment


def ask(deployer: Any, place: Any, versions: dict[str, str] | None = None, **more: Any) -> Deploy:
    return requests.request_deploy(
        person(deployer), environment=place, revision="main", secret_versions=versions, **more
    ).deploy


class TestGate:
    def test_what_a_preview_showed_is_kept(self, place: Any, deployer: Any) -> None:
        assert ask(deployer, place, {"secret.yaml": NEWER}).secret_versions == {"secret.yaml": NEWER}

    def test_without_a_preview_the_current_one(self, place: Any, deployer: Any) -> None:
        assert ask(deployer, place).secret_versions == {"secret.yaml": VERSION}

    def test_aws_that_does_not_answer_is_no_obstacle(
        self, place: Any, deployer: Any, outside: Outside
    ) -> None:
        outside.fails["secrets"] = Unavailable("AWS is away.", system="Secrets Manager")
        assert ask(deployer, place).secret_versions == {}

    @pytest.mark.parametrize(
        "versions",
        [
            {"other.yaml": NEWER},
            {"secret.yaml": NEWER, "other.yaml": NEWER},
            {"secret.yaml": ""},
            {"secret.yaml": "AWSCURRENT; x"},
            {"secret.yaml": "v" * 65},
            {"secret.yaml": f"{NEWER}\n"},
        ],
    )
    def test_what_is_no_version_of_its_files_is_refused(
        self, place: Any, deployer: Any, versions: dict[str, str]
    ) -> None:
        with pytest.raises(Refused, match="Nothing was started") as caught:
            ask(deployer, place, versions)
        assert caught.value.code == "secret-versions"
        assert not Deploy.objects.exists()

    def test_other_secrets_are_another_deploy(self, place: Any, deployer: Any) -> None:
        first = ask(deployer, place, {"secret.yaml": VERSION})
        assert ask(deployer, place, {"secret.yaml": VERSION}) == first
        assert ask(deployer, place, {"secret.yaml": NEWER}) != first


class TestPage:
    @pytest.fixture
    def press(self, client: Client, deployer: Any, place: Any) -> Any:
        client.force_login(deployer)
        address = f"/projects/{place.project.slug}/staging/deploy/"
        return lambda **fields: client.post(
            address, {"revision": "c" * 40, "key": "k", **fields}, headers={"accept": "text/html"}
        )

    def test_the_form_brings_back_what_it_showed(
        self, press: Any, client: Client, place: Any, outside: Outside
    ) -> None:
        page = client.get(f"/projects/{place.project.slug}/staging/deploy/?see=1").content.decode()
        (shown,) = re.findall(r'name="secret_versions" value="([^"]+)"', page)
        outside.store("app", OTHER, NEWER)
        assert press(secret_versions=shown).status_code == 302
        assert Deploy.objects.get().secret_versions == {"secret.yaml": VERSION}

    @pytest.mark.parametrize("how", ["typed", "changed", "of another environment"])
    def test_what_was_not_shown_is_refused(self, press: Any, place: Any, how: str) -> None:
        other = make_environment(place.project, slug="other")
        sent = {
            "typed": '{"secret.yaml": "v"}',
            "changed": f"x{sealed(place, [('secret.yaml', NEWER)])}",
            "of another environment": sealed(other, [("secret.yaml", NEWER)]),
        }[how]
        answer = press(secret_versions=sent)
        assert answer.status_code == 422
        assert "Look at the preview again" in answer.content.decode()
        assert not Deploy.objects.exists()

    def test_sealed_versions_come_back(self, place: Any) -> None:
        assert opened(place, sealed(place, [("a.yaml", "v")])) == {"a.yaml": "v"}
        assert (sealed(place, []), opened(place, "")) == ("", {})

    def test_they_end_after_half_a_day(self, press: Any, place: Any) -> None:
        with time_machine.travel(timezone.now() - timedelta(hours=13)):
            sent = sealed(place, [("secret.yaml", NEWER)])
        answer = press(secret_versions=sent)
        assert answer.status_code == 422
        assert "Look at the preview again" in answer.content.decode()
        assert not Deploy.objects.exists()

    def test_a_file_that_was_removed_meanwhile(self, press: Any, place: Any) -> None:
        sent = sealed(place, [("secret.yaml", VERSION)])
        place.secrets_files.all().delete()
        answer = press(secret_versions=sent)
        assert answer.status_code == 422
        assert "not those of the preview any more" in answer.content.decode()


class TestPreview:
    def test_it_tells_which_versions_it_read(self, place: Any) -> None:
        assert preview(place, commit("c")).secret_versions == (("secret.yaml", VERSION),)

    def test_a_saved_secret_shows_at_once(self, place: Any, outside: Outside) -> None:
        preview(place, commit("c"))
        outside.store("app", OTHER, NEWER)
        assert preview(place, commit("c")).secret_versions == (("secret.yaml", NEWER),)

    def test_it_is_kept_while_nothing_was_saved(self, place: Any, outside: Outside) -> None:
        preview(place, commit("c"))
        outside.fails["files"] = Unavailable("gone", system="Git")
        assert preview(place, commit("c")).errors == ()


class TestStep:
    def test_the_pinned_version_is_deployed_and_a_newer_one_is_told(
        self, place: Any, deployer: Any, outside: Outside
    ) -> None:
        deploy = ask(deployer, place, {"secret.yaml": VERSION})
        outside.store("app", OTHER, NEWER)
        ended = drive(deploy)
        assert ended.state == State.SUCCEEDED
        assert ended.release is not None
        assert ended.release.secret_versions == {"secret.yaml": VERSION}
        note = "AWS has a newer version of secret.yaml by now"
        assert note in said(ended)
        assert [text for text in ended.warnings if note in text]

    def test_nothing_newer_nothing_told(self, place: Any, deployer: Any) -> None:
        ended = drive(ask(deployer, place, {"secret.yaml": VERSION}))
        assert "newer" not in said(ended) + " ".join(ended.warnings)

    def test_what_was_not_pinned_is_pinned_when_it_is_read(
        self, place: Any, deployer: Any, outside: Outside
    ) -> None:
        outside.fails["secrets"] = Unavailable("AWS is away.", system="Secrets Manager")
        deploy = ask(deployer, place)
        outside.fails.clear()
        assert drive(deploy).secret_versions == {"secret.yaml": VERSION}

    def test_a_worker_that_takes_over_reads_the_same(
        self, place: Any, deployer: Any, outside: Outside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outside.fails["secrets"] = Unavailable("AWS is away.", system="Secrets Manager")
        deploy = ask(deployer, place)
        outside.fails.clear()
        with monkeypatch.context() as broken:
            broken.setattr("deployments.pipeline.stages.store_release", dies)
            with pytest.raises(BrokenOff):
                drive(deploy)
        outside.store("app", OTHER, NEWER)
        Deploy.objects.filter(pk=deploy.pk).update(worker="", attempt=2)
        deploy.refresh_from_db()
        ended = drive(deploy)
        assert (ended.state, ended.secret_versions) == (State.SUCCEEDED, {"secret.yaml": VERSION})
        assert ended.release is not None
        assert ended.release.secret_versions == {"secret.yaml": VERSION}

    def test_a_file_that_was_added_meanwhile_is_read_as_it_is(
        self, place: Any, deployer: Any, outside: Outside
    ) -> None:
        deploy = ask(deployer, place, {"secret.yaml": VERSION})
        make_secrets_file(place, path="more.yaml", secret_id="more")
        outside.files["more.yaml"] = outside.files["secret.yaml"].replace(b"name: app", b"name: more")
        outside.secrets["more"] = OTHER.replace("name: app", "name: more")
        assert drive(deploy).secret_versions == {"secret.yaml": VERSION, "more.yaml": VERSION}

    def test_a_version_that_is_gone_says_what_to_do(self, place: Any, deployer: Any) -> None:
        ended = drive(ask(deployer, place, {"secret.yaml": NEWER}))
        assert ended.state == State.ERRORED
        assert "Deploy from a new preview" in ended.hint
        assert "Nothing was changed on the cluster." in ended.hint


def dies(work: Any) -> None:
    """What a killed worker leaves: no end."""
    from django.db import OperationalError

    raise OperationalError("the database went away")
