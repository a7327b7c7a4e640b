"""The secrets alone: what runs stays, the secrets files are deployed as they are now, and exactly their readers restart."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from adapters.errors import Unavailable
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from deployments.gate import requests, secrets_alone, undoing
from deployments.models import Deploy, ObjectState
from deployments.preparation.preview import preview
from engine.manifests.digests import SECRETS_ANNOTATION
from notify.messages import deploy_message
from projects.models import Role
from runs.models import State
from secrets_ui.known import people
from secrets_ui.known.secrets import note_address
from secrets_ui.models import Secret, SecretVersion
from tests.deployments.driven import OTHER, drive, reader, said, with_secrets, without_cluster  # noqa: F401
from tests.deployments.outside import POPULATED, REFERENCE, VERSION, Outside
from tests.factories import grant, make_deploy, make_image, make_release, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("without_cluster", "pushed")]
NEWER = "22222222-2222-4222-8222-222222222222"
MORE = "  OTHER: Y2FuYXJ5LW1vcmUtdmFsdWU=\n"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def place(environment: Any, outside: Outside, deployer: Any) -> Any:
    """Two workloads read one key each; the revision `b` runs, and `c` is newer."""
    with_secrets(environment, outside, POPULATED + MORE)
    outside.files |= {"secret.yaml": REFERENCE + b'  OTHER: ""\n', "other.yaml": reader("other", "OTHER")}
    make_image(environment.project)
    answer = requests.request_deploy(person(deployer), environment=environment, revision="b" * 40)
    assert drive(answer.deploy).state == State.SUCCEEDED
    outside.files["new.yaml"] = outside.files["settings.yaml"].replace(b"name: settings", b"name: new")
    outside.store("app", OTHER + MORE, NEWER)
    return environment


def ask(user: Any, place: Any, **more: Any) -> requests.Answer:
    return secrets_alone.request_secrets_deploy(person(user), environment=place, **more)


def versions(place: Any, rows: list[tuple[str, str | None]]) -> None:
    """Versions of the secret behind the one that runs, the last of them the current one; and an older one."""
    file = place.secrets_files.get()
    Secret.objects.all().delete()
    if not rows:
        return
    secret = Secret.objects.create(arn="arn:app", region=file.region, name=file.secret_id)
    note_address(file, secret)
    make: Any = SecretVersion.objects.create
    make(
        secret=secret,
        version_id="older",
        actor_text="before",
        state="stored",
        touched={"changed": ["app/TOKEN"]},
    )
    make(secret=secret, version_id=VERSION, base_version="older", actor_text="before", state="stored",
         touched={"changed": ["app/TOKEN"]})  # fmt: skip
    base = VERSION
    for number, (who, key) in enumerate(rows, 1):
        version = NEWER if number == len(rows) else f"v{number}"
        make(secret=secret, version_id=version, base_version=base, actor_text=who, state="stored",
             touched={"changed": [f"app/{key}"]} if key else {})  # fmt: skip
        base = version


def templates(deploy: Deploy) -> dict[str, Any]:
    """The pod templates of a deploy's release."""
    objects = [entry["object"] for entry in deploy.release.stored_objects if "object" in entry]  # type: ignore[union-attr]
    return {
        body["metadata"]["name"]: body["spec"]["template"]
        for body in objects
        if "template" in body.get("spec", {})
    }


class TestDeploy:
    def test_only_the_readers_of_a_changed_key_get_another_pod_template(
        self, place: Any, deployer: Any
    ) -> None:
        before = Deploy.objects.select_related("release").get()
        after = drive(ask(deployer, place).deploy)
        assert (after.state, after.kind) == (State.SUCCEEDED, "secrets")
        old, new = templates(before), templates(after)
        assert old["other"] == new["other"]
        assert old["web"] != new["web"]
        del old["web"]["metadata"]["annotations"][SECRETS_ANNOTATION]
        del new["web"]["metadata"]["annotations"][SECRETS_ANNOTATION]
        assert old["web"] == new["web"]

    def test_it_is_a_release_of_what_runs_with_other_secrets(self, place: Any, deployer: Any) -> None:
        before = Deploy.objects.select_related("release").get()
        after = drive(ask(deployer, place).deploy)
        was, made = before.release, after.release
        assert was is not None
        assert made is not None
        assert made.pk != was.pk
        assert (made.revision, made.images, made.object_count) == (was.revision, was.images, was.object_count)
        assert (was.secret_versions, made.secret_versions) == (
            {"secret.yaml": VERSION},
            {"secret.yaml": NEWER},
        )
        assert made.verified_at is not None
        assert after.result == "bbbbbbb runs in staging with its new secrets; every object is ready."
        assert "dev deploys the secrets of bbbbbbb" in said(after)

    def test_a_repository_that_is_away_is_no_obstacle(
        self, place: Any, deployer: Any, outside: Outside
    ) -> None:
        outside.fails["git"] = Unavailable("Git does not answer.", system="Git")
        after = drive(ask(deployer, place).deploy)
        assert after.state == State.SUCCEEDED
        assert "The mirror is used as it is." in said(after)

    def test_it_can_be_rolled_back(self, place: Any, deployer: Any) -> None:
        before = Deploy.objects.get()
        drive(ask(deployer, place).deploy)
        answer = requests.request_rollback(person(deployer), environment=place, target=before)
        back = drive(answer.deploy)
        assert (back.state, back.secret_versions) == (State.SUCCEEDED, {"secret.yaml": VERSION})
        again = drive(
            requests.request_rollback(
                person(deployer), environment=place, target=Deploy.objects.get(number=2)
            ).deploy
        )
        assert (again.state, again.secret_versions) == (State.SUCCEEDED, {"secret.yaml": NEWER})

    def test_a_missing_key_stops_it(self, place: Any, deployer: Any, outside: Outside) -> None:
        outside.store("app", POPULATED, "v3")
        after = drive(ask(deployer, place).deploy)
        assert after.state == State.FAILED
        assert "lacks 1 key of its reference file" in after.result
        assert after.release is None

    def test_images_that_are_gone_stop_it(self, place: Any, deployer: Any, outside: Outside) -> None:
        outside.tags.clear()
        after = drive(ask(deployer, place).deploy)
        assert (after.state, "no longer holds" in after.result) == (State.FAILED, True)

    def test_it_goes_onto_what_runs_when_its_turn_comes(self, place: Any, deployer: Any) -> None:
        """A deploy that goes before it is not undone."""
        whole = requests.request_deploy(person(deployer), environment=place, revision="c" * 40).deploy
        alone = ask(deployer, place).deploy
        assert drive(whole).state == State.SUCCEEDED
        after = drive(alone)
        assert (after.state, after.revision, after.subject) == (State.SUCCEEDED, "c" * 40, "Change c")
        assert after.release is not None
        assert after.release.revision == "c" * 40

    def test_what_was_marked_bad_meanwhile_is_left_alone(self, place: Any, deployer: Any) -> None:
        alone = ask(deployer, place).deploy
        release = Deploy.objects.get(number=1).release
        assert release is not None
        release.marked_bad_by = "ana"
        release.save()
        after = drive(alone)
        assert after.state == State.FAILED
        assert "was marked bad by ana" in after.result
        assert "Nothing was changed on the cluster." in after.hint

    def test_a_failure_goes_back_by_itself_where_that_is_wanted(self, place: Any, deployer: Any) -> None:
        place.policies = {**place.policies, "automatic_rollback": True}
        place.save()
        good = Deploy.objects.get()
        failed = make_deploy(place, State.FAILED, kind="secrets", release=make_release(place))
        ObjectState.objects.create(
            run_id=failed.run_id, ref="Deployment.apps/x/web", action="change", progress="failed"
        )
        rollback = undoing.roll_back_after_failure(failed)
        assert rollback is not None
        assert rollback.rolls_back_to == good


class TestGate:
    def test_it_is_pinned_to_what_was_shown(self, place: Any, deployer: Any) -> None:
        deploy = ask(deployer, place, secret_versions={"secret.yaml": VERSION}).deploy
        assert (deploy.secret_versions, deploy.requested) == ({"secret.yaml": VERSION}, "secrets")

    def test_asking_twice_is_one_deploy_and_another_kind_is_not(self, place: Any, deployer: Any) -> None:
        first = ask(deployer, place)
        assert ask(deployer, place).deploy == first.deploy
        whole = requests.request_deploy(person(deployer), environment=place, revision="b" * 40)
        assert whole.created

    def test_the_same_key_is_the_same_deploy(self, place: Any, deployer: Any) -> None:
        first = ask(deployer, place, idempotency_key="k").deploy
        Deploy.objects.filter(pk=first.pk).update(state=State.FAILED)
        again = ask(deployer, place, idempotency_key="k")
        assert (again.created, again.deploy.pk) == (False, first.pk)

    def test_it_is_audited_with_its_kind(self, place: Any, deployer: Any) -> None:
        ask(deployer, place)
        event = AuditEvent.objects.filter(verb="deploy.requested").latest("id")
        assert event.data["kind"] == "secrets"

    def test_a_viewer_may_not(self, place: Any, viewer: Any) -> None:
        with pytest.raises(Refused):
            ask(viewer, place)
        assert AuditEvent.objects.filter(verb="deploy.refused").exists()

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"marked_bad_by": "ana"}, "was marked bad by ana"),
            ({"place": "old/place"}, "was made for old/place"),
            ({"secret_versions": {}}, "without a secrets file"),
            ({"verified_at": None}, "left no verified release"),
        ],
    )
    def test_without_a_release_to_put_them_into(
        self, place: Any, deployer: Any, change: dict[str, Any], why: str
    ) -> None:
        release = Deploy.objects.get().release
        assert release is not None
        type(release).objects.filter(pk=release.pk).update(**change)
        with pytest.raises(Refused, match=why) as caught:
            ask(deployer, place)
        assert caught.value.code == "no-release"

    def test_before_the_first_deploy(self, environment: Any, deployer: Any) -> None:
        with pytest.raises(Refused, match="No deploy of this environment has succeeded yet"):
            ask(deployer, environment)


class TestPages:
    @pytest.fixture
    def address(self, place: Any) -> str:
        return f"/projects/{place.project.slug}/staging/"

    def test_the_preview_shows_what_restarts(self, place: Any) -> None:
        release, _ = secrets_alone.base_of(place)
        assert release is not None
        made = preview(place, secrets_alone.commit_of(release), "secrets")
        assert made.errors == ()
        assert [(change.key, change.kind) for change in made.secret_changes] == [("TOKEN", "changed")]
        assert (made.commits, made.secret_versions) == ((), (("secret.yaml", NEWER),))
        assert {change.ref.name for change in made.changes} == {"settings", "app", "web", "other"}

    def test_the_page_asks_for_it(self, client: Client, deployer: Any, address: str) -> None:
        client.force_login(deployer)
        page = client.get(f"{address}deploy/?kind=secrets&see=1").content.decode()
        assert "Deploy the secrets of bbbbbbb to staging" in page
        assert 'name="kind" value="secrets"' in page
        assert "Find a revision" not in page
        answer = client.post(f"{address}deploy/", {"kind": "secrets", "revision": "b" * 40, "key": "k"})
        deploy = Deploy.objects.latest("number")
        assert (answer.status_code, answer["Location"]) == (302, f"/deploys/{deploy.number}/")
        assert deploy.kind == "secrets"
        shown = client.get(f"/deploys/{deploy.number}/").content.decode()
        assert "secrets alone" in shown
        assert "secrets alone" not in client.get("/deploys/1/").content.decode()

    def test_the_fragment_keeps_its_address(self, client: Client, deployer: Any, address: str) -> None:
        client.force_login(deployer)
        answer = client.get(f"{address}deploy/preview/?kind=secrets", headers={"HX-Request": "true"})
        assert answer["HX-Replace-Url"] == f"{address}deploy/?kind=secrets"

    def test_production_asks_for_its_name(
        self, client: Client, deployer: Any, place: Any, address: str
    ) -> None:
        place.is_production = True
        place.save()
        client.force_login(deployer)
        answer = client.post(f"{address}deploy/", {"kind": "secrets", "revision": "b" * 40, "key": "k"})
        assert answer.status_code == 422
        assert "Deploy the secrets of bbbbbbb" in answer.content.decode()

    def test_where_nothing_can_be_deployed_so_it_says_why(
        self, client: Client, deployer: Any, environment: Any, outside: Outside
    ) -> None:
        client.force_login(deployer)
        page = client.get(
            f"/projects/{environment.project.slug}/staging/deploy/?kind=secrets"
        ).content.decode()
        assert "No deploy of this environment has succeeded yet." in page

    def test_the_environment_says_what_changed(
        self, client: Client, deployer: Any, viewer: Any, address: str
    ) -> None:
        client.force_login(deployer)
        assert f'hx-get="{address}changed-secrets/"' in client.get(address).content.decode()
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert "1 key changed since what runs" in part
        assert "TOKEN" in part
        assert f'href="{address}deploy/?kind=secrets"' in part
        client.force_login(viewer)
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert "1 key changed since what runs" in part
        assert "kind=secrets" not in part

    def test_names_are_for_people_with_the_right(
        self, client: Client, deployer: Any, place: Any, address: str
    ) -> None:
        place.secret_rights = {"names": "maintainer"}
        place.save()
        client.force_login(deployer)
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert ("1 key changed" in part, "TOKEN" in part) == (True, False)
        maintainer = make_user("mira")
        grant(maintainer, Role.MAINTAINER, place.project)
        client.force_login(maintainer)
        assert "TOKEN" in client.get(f"{address}changed-secrets/").content.decode()

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([("dev", "TOKEN"), ("lead", "TOKEN")], "since what runs, by dev and lead"),
            (
                [("ana", "TOKEN"), ("dev", "TOKEN"), ("lead", "TOKEN")],
                "since what runs, by ana, dev and lead",
            ),
            ([("dev", "TOKEN"), ("lead", "OTHER")], "since what runs, by dev"),
            ([("dev", "TOKEN"), ("", "TOKEN")], "since what runs, by dev, and outside the portal"),
            ([("", None)], "since what runs, outside the portal"),
            ([("dev", "OTHER"), ("", None)], "since what runs, outside the portal"),
            ([], "since what runs"),
        ],
    )
    def test_the_people_who_changed_them_are_named(
        self, client: Client, deployer: Any, place: Any, address: str, rows: list[Any], said: str
    ) -> None:
        """Only those of the versions behind the one that runs, and only who touched a key that differs."""
        versions(place, rows)
        client.force_login(deployer)
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert f"1 key changed {said}</b>" in part
        page = client.get(f"{address}deploy/?revision={'b' * 40}&see=1").content.decode()
        assert f"1 changed {said};" in page
        place.secret_rights = {"names": "maintainer"}
        place.save()
        cache.clear()
        for shown in ("changed-secrets/", f"deploy/?revision={'b' * 40}&see=1"):
            text = client.get(f"{address}{shown}").content.decode()
            assert "changed since what runs" in text
            assert not any(word in text for word in (", by ", "outside the portal"))

    def test_naming_them_takes_one_query_for_all_files(
        self, place: Any, django_assert_num_queries: Any
    ) -> None:
        versions(place, [("dev", "TOKEN"), ("lead", "TOKEN")])
        file = place.secrets_files.get()
        spans = [
            people.Span(file, VERSION, NEWER, [("", "TOKEN")]),
            people.Span(file, "v1", NEWER, [("", "TOKEN")]),
        ]
        with django_assert_num_queries(1):
            assert people.changed_by(spans) == "by dev and lead"
        with django_assert_num_queries(1):
            assert people.changed_by(spans[1:]) == "by lead"
        with django_assert_num_queries(0):
            assert people.changed_by([]) == ""

    def test_a_way_between_versions_that_is_not_known_names_nobody(
        self, client: Client, deployer: Any, place: Any, address: str
    ) -> None:
        versions(place, [("dev", "TOKEN")])
        SecretVersion.objects.filter(version_id=NEWER).update(base_version="")
        client.force_login(deployer)
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert "1 key changed since what runs</b>" in part

    def test_values_are_read_once_for_a_version(
        self, client: Client, deployer: Any, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        from tests.deployments.outside import FakeSecrets

        get = FakeSecrets.get
        monkeypatch.setattr(FakeSecrets, "get", lambda *a: asked.append("value") or get(*a))
        client.force_login(deployer)
        for _ in range(3):
            client.get(f"{address}changed-secrets/")
        assert asked == ["value"]

    def test_nothing_changed_needs_no_value(
        self, client: Client, deployer: Any, address: str, outside: Outside
    ) -> None:
        outside.versions["app"] = VERSION
        client.force_login(deployer)
        assert "No key has changed" in client.get(f"{address}changed-secrets/").content.decode()

    @pytest.mark.parametrize("text", [None, "[canary-value"])
    def test_what_cannot_be_compared_is_said(
        self, client: Client, deployer: Any, address: str, outside: Outside, text: str | None
    ) -> None:
        if text is None:
            outside.fails["secrets"] = Unavailable("AWS is away.", system="Secrets Manager")
        else:
            outside.store("app", text, "v9")
        client.force_login(deployer)
        part = client.get(f"{address}changed-secrets/").content.decode()
        assert "Not known whether the keys have changed" in part
        assert "canary" not in part

    def test_lists_and_messages_tell_the_kind(self, client: Client, deployer: Any, place: Any) -> None:
        deploy = ask(deployer, place).deploy
        client.force_login(deployer)
        assert (
            "the secrets alone: everything else stayed"
            in client.get("/deploys/?kind=secrets").content.decode()
        )
        assert f"Secrets #{deploy.number}" in client.get(f"/projects/{place.project.slug}/").content.decode()
        facts = {"kind": "secrets", "state": "succeeded", "project": "Shop", "revision": "bbbbbbb", "environment": "Staging",
                 "url": "u", "number": 2, "subject": "s", "actor": "dev"}  # fmt: skip
        assert deploy_message(facts).text == "Shop bbbbbbb (secrets alone) runs in Staging (#2)"


class TestCommandLine:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("deploy", *arguments, stdout=out)
        return out.getvalue()

    def test_it_asks_for_the_secrets_alone(self, place: Any) -> None:
        said = self.run(place.project.slug, "staging", "--secrets-only", "--as", "dev", "--reason", "rotated")
        deploy = Deploy.objects.latest("number")
        assert said.startswith(f"#{deploy.number} queued")
        assert (deploy.kind, deploy.actor_text, deploy.reason) == ("secrets", "dev", "rotated")
        assert deploy.secret_versions == {"secret.yaml": NEWER}

    def test_what_is_refused_is_status_two(self, environment: Any) -> None:
        with pytest.raises(CommandError, match="cannot be deployed alone") as caught:
            self.run(environment.project.slug, "staging", "--secrets-only")
        assert caught.value.returncode == 2

    @pytest.mark.parametrize("arguments", [(), ("--secrets-only", "--revision", "main")])
    def test_one_of_the_two_is_needed(self, environment: Any, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            self.run(environment.project.slug, "staging", *arguments)
