"""Forms of settings: what works, what is kept when it does not, concurrent edits, systems that are down."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from core.findings import FAILED, PASSED, Finding
from projects import checking
from projects.models import Cluster, Environment, Image, Membership, Project, Registry, SecretsFile
from tests import factories as make
from tests.projects.conftest import DOWN, REFUSED, World

PROJECT = {
    "name": "Blog", "slug": "blog", "repository_url": "https://git.example/blog.git", "default_branch": "main",
    "credential_kind": "token", "credential": "canary-token", "slack_channel": "#blog",
}  # fmt: skip
NO_ROWS = {"variables-TOTAL_FORMS": "0", "variables-INITIAL_FORMS": "0"}
ENVIRONMENT = {
    "name": "Live", "slug": "production", "order": "", "is_production": "on", "namespace": "shop-live",
    "config_directory": "kubernetes/production", "deploy_timeout": "900", "placeholders": "usual", **NO_ROWS,
}  # fmt: skip


def at(name: str, *args: Any) -> str:
    return reverse(f"projects:{name}", args=args)


def errors(answer: Any) -> dict[str, Any]:
    return dict(answer.context["form"].errors)


def messages(answer: Any) -> str:
    return " ".join(str(m) for m in answer.context["messages"])


# Projects


def test_a_project_is_made_and_leads_to_what_its_repository_has(world: World, sign_in: Any) -> None:
    answer = sign_in(world.admin).post(at("new"), PROJECT)
    assert (answer.status_code, answer["Location"]) == (302, at("proposals", "blog"))
    project = Project.objects.get(slug="blog")
    assert (project.credential_kind, project.credential.open()) == ("token", "canary-token")


@pytest.mark.parametrize(
    ("url", "typed", "name", "slug"),
    [
        ("https://git.example/acme/online-shop.git", {}, "Online shop", "online-shop"),
        ("git@git.example:acme/Shop_API", {}, "Shop API", "shop-api"),
        ("https://git.example/acme/x/", {"name": "The blog"}, "The blog", "the-blog"),
        ("https://git.example/acme/x", {"name": "The blog", "slug": "blog"}, "The blog", "blog"),
    ],
)
def test_the_address_alone_suffices(
    world: World,
    sign_in: Any,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    typed: dict[str, str],
    name: str,
    slug: str,
) -> None:
    def answer(_project: Project, *, own_branch: list[str]) -> list[Finding]:
        own_branch.append("trunk")
        return [Finding(PASSED, "It answers.")]

    monkeypatch.setattr(checking, "repository", answer)
    fields = {"repository_url": url, "credential_kind": "none", **typed}
    assert sign_in(world.admin).post(at("new"), fields).status_code == 302
    made = Project.objects.get(slug=slug)
    assert (made.name, made.default_branch) == (name, "trunk")


def test_mistakes_of_the_form_and_of_the_repository_come_together(
    world: World, sign_in: Any, outside: Any
) -> None:
    outside["repository"] = [Finding(FAILED, "There is no such repository.", field="repository_url")]
    answer = sign_in(world.admin).post(at("new"), {**PROJECT, "slug": "shop", "group": "g" * 50})
    assert {*errors(answer)} == {"slug", "group", "repository_url"}
    assert errors(answer)["slug"] == ["There is a project “shop” already."]


def test_what_was_typed_is_kept_but_never_the_credential(world: World, sign_in: Any, outside: Any) -> None:
    outside["repository"] = [REFUSED]
    answer = sign_in(world.admin).post(at("new"), {**PROJECT, "save_anyway": "on"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "It refused the credential. Enter another." in page
    assert "https://git.example/blog.git" in page
    assert "canary-token" not in page
    assert 'name="save_anyway"' not in page
    assert not Project.objects.filter(slug="blog").exists()


def test_a_system_that_is_down_can_be_overridden_knowingly(world: World, sign_in: Any, outside: Any) -> None:
    outside["repository"] = [DOWN]
    client: Client = sign_in(world.admin)
    answer = client.post(at("new"), PROJECT)
    assert answer.status_code == 422
    assert 'name="save_anyway"' in answer.content.decode()
    assert client.post(at("new"), {**PROJECT, "save_anyway": "on"}).status_code == 302
    assert Project.objects.filter(slug="blog").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("slug", "shop", "already"), ("slug", "new", "Choose another"), ("slug", "Ü", "lower-case"),
        ("repository_url", "file:///etc", "not allowed"), ("default_branch", "-x", "not a revision"),
        ("credential", "   ", "Enter the token or key"), ("credential_kind", "", "required"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_at_its_field(
    world: World, sign_in: Any, field: str, value: str, words: str
) -> None:
    answer = sign_in(world.admin).post(at("new"), {**PROJECT, field: value})
    assert answer.status_code == 422
    assert words in str(errors(answer)[field])
    assert not Project.objects.filter(slug="blog").exists()


@pytest.mark.parametrize("typed", ["", "   "])
def test_without_the_chosen_credential_nothing_is_tried(
    world: World, sign_in: Any, outside: Any, typed: str
) -> None:
    outside["repository"] = [REFUSED]
    answer = sign_in(world.admin).post(at("new"), {**PROJECT, "credential": typed})
    assert errors(answer) == {"credential": ["Enter the token or key, or choose “None (public)”."]}


def general(world: World, **fields: Any) -> dict[str, Any]:
    p = world.project
    return {
        "edited": p.edited, "name": p.name, "repository_url": p.repository_url, "default_branch": "main",
        "credential_kind": "none", "slack_channel": p.slack_channel, **fields,
    }  # fmt: skip


def test_settings_are_saved(world: World, sign_in: Any) -> None:
    answer = sign_in(world.maintainer).post(at("settings", "shop"), general(world, name="Store"), follow=True)
    assert "Saved." in messages(answer)
    assert Project.objects.get(pk=world.project.pk).name == "Store"


def test_a_stale_edit_loses_nothing_and_saves_nothing(world: World, sign_in: Any) -> None:
    client = sign_in(world.maintainer)
    client.post(at("settings", "shop"), general(world, name="First"))
    answer = client.post(at("settings", "shop"), general(world, name="Second"))
    assert answer.status_code == 422
    assert "changed since you opened this form" in str(errors(answer))
    assert 'value="Second"' in answer.content.decode()
    assert Project.objects.get(pk=world.project.pk).name == "First"


def test_another_host_needs_its_own_credential_before_it_is_tried(
    world: World, sign_in: Any, outside: Any
) -> None:
    Project.objects.filter(pk=world.project.pk).update(credential_kind="token")
    outside["repository"] = [REFUSED]
    fields = general(world, credential_kind="token", repository_url="https://other.example/shop.git")
    answer = sign_in(world.maintainer).post(at("settings", "shop"), fields)
    assert list(errors(answer)) == ["credential"]
    assert "This is another address" in str(errors(answer)["credential"])


def test_nothing_is_tried_when_nothing_outside_changed(world: World, sign_in: Any, outside: Any) -> None:
    outside["repository"] = outside["namespace"] = outside["config_directory"] = [REFUSED]
    client = sign_in(world.maintainer)
    assert client.post(at("settings", "shop"), general(world, name="Store")).status_code == 302
    assert (
        client.post(at("settings", "shop"), general(world, edited=1, default_branch="trunk")).status_code
        == 422
    )


def test_the_stored_credential_stays_unseen_and_says_when_it_was_set(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    client.post(at("new"), PROJECT)
    page = client.get(at("settings", "blog")).content.decode()
    assert "canary-token" not in page
    assert re.search(r"Set <time [^>]*>just now</time>, and never shown again", page)


def test_a_lost_access_field_does_not_make_a_repository_public(world: World, sign_in: Any) -> None:
    Project.objects.filter(pk=world.project.pk).update(credential_kind="token", credential="stored")
    sent = general(world)
    del sent["credential_kind"]
    assert sign_in(world.maintainer).post(at("settings", "shop"), sent).status_code == 422
    assert Project.objects.get(pk=world.project.pk).credential.open() == "stored"


# Environments


def test_an_environment_is_added(world: World, sign_in: Any) -> None:
    rows = {
        "variables-TOTAL_FORMS": "3", "variables-INITIAL_FORMS": "0",
        "variables-0-name": "LOG_LEVEL", "variables-0-value": "info", "variables-0-type": "string",
        "variables-1-name": "", "variables-1-value": "", "variables-1-type": "number",
        "variables-2-name": "EMPTY", "variables-2-value": "", "variables-2-type": "string",
    }  # fmt: skip
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk, **rows}
    assert sign_in(world.maintainer).post(at("environment-new", "shop"), sent).status_code == 302
    made = Environment.objects.get(slug="production")
    assert made.variables == [
        {"name": "LOG_LEVEL", "value": "info", "type": "string"},
        {"name": "EMPTY", "value": "", "type": "string"},
    ]
    assert (made.order, made.placeholders_stop, made.deploy_timeout) == (20, True, 900)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"name": "lower", "value": "x", "type": "string"}, "capital letters"),
        ({"name": "REVISION", "value": "x", "type": "string"}, "every deploy"),
        ({"name": "N", "value": "many", "type": "number"}, "Write a number"),
        ({"name": "", "value": "orphan", "type": "string"}, "Give the variable a name"),
    ],
)
def test_a_wrong_variable_is_explained_and_kept(
    world: World, sign_in: Any, row: dict[str, str], words: str
) -> None:
    rows = {f"variables-0-{key}": value for key, value in row.items()}
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk, **rows, "variables-TOTAL_FORMS": "1"}
    answer = sign_in(world.maintainer).post(at("environment-new", "shop"), sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert words in page
    assert f'value="{row["value"]}"' in page
    assert not Environment.objects.filter(slug="production").exists()


def existing(world: World, **fields: Any) -> dict[str, Any]:
    e = Environment.objects.get(pk=world.environment.pk)
    return {
        "edited": e.edited, "name": e.name, "order": e.order, "cluster": e.cluster_id, "namespace": e.namespace,
        "config_directory": e.config_directory, "deploy_timeout": e.deploy_timeout, "placeholders": "warn",
        **NO_ROWS, **fields,
    }  # fmt: skip


def test_an_environment_is_changed_and_its_variables_emptied(world: World, sign_in: Any) -> None:
    Environment.objects.update(variables=[{"name": "A", "value": "1", "type": "number"}])
    rows = {
        "variables-TOTAL_FORMS": "1",
        "variables-INITIAL_FORMS": "1",
        "variables-0-name": "",
        "variables-0-value": "",
        "variables-0-type": "number",
    }
    answer = sign_in(world.maintainer).post(
        at("environment", "shop", "staging"), existing(world, namespace="elsewhere", **rows)
    )
    assert answer.status_code == 302
    saved = Environment.objects.get(pk=world.environment.pk)
    assert (saved.namespace, saved.variables) == ("elsewhere", [])


def test_rolling_back_by_itself_is_off_until_somebody_switches_it_on(world: World, sign_in: Any) -> None:
    client, address = sign_in(world.maintainer), at("environment", "shop", "staging")

    def switch() -> str:
        page = client.get(address).content.decode()
        return re.search(r"<input[^>]*automatic_rollback[^>]*>", page)[0]  # type: ignore[index]

    assert "checked" not in switch()
    assert client.post(address, existing(world, automatic_rollback="on")).status_code == 302
    assert Environment.objects.get(pk=world.environment.pk).rolls_back_by_itself
    assert "checked" in switch()
    assert "rolls back by itself" in client.get("/projects/shop/staging/").content.decode()
    assert client.post(address, existing(world)).status_code == 302
    assert not Environment.objects.get(pk=world.environment.pk).rolls_back_by_itself


def test_a_stale_environment_is_not_overwritten(world: World, sign_in: Any) -> None:
    sent = existing(world, namespace="mine")
    Environment.objects.update(edited=5)
    answer = sign_in(world.maintainer).post(at("environment", "shop", "staging"), sent)
    assert answer.status_code == 422
    assert "changed since you opened this form" in str(errors(answer))


def test_a_form_that_lost_its_counter_saves_nothing(world: World, sign_in: Any) -> None:
    sent = existing(world, namespace="mine")
    del sent["edited"]
    answer = sign_in(world.maintainer).post(at("environment", "shop", "staging"), sent)
    assert answer.status_code == 422
    assert Environment.objects.get(pk=world.environment.pk).namespace == "shop"


def test_sharing_a_namespace_is_never_unnoticed(world: World, sign_in: Any) -> None:
    client = sign_in(world.maintainer)
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk, "namespace": "shop"}
    answer = client.post(at("environment-new", "shop"), sent)
    assert answer.status_code == 422
    assert "Shop Staging deploys into shop" in str(errors(answer)["namespace"])
    assert client.post(at("environment-new", "shop"), {**sent, "save_anyway": "on"}).status_code == 302
    page = client.get(at("environment", "shop", "production")).content.decode()
    assert "Shop Staging deploys into shop, too." in page


def test_who_shares_a_namespace_is_not_named_to_strangers(world: World, sign_in: Any) -> None:
    other = make.make_environment(
        make.make_project(name="Secretive"), cluster=world.cluster, namespace="shop"
    )
    page = sign_in(world.maintainer).get(at("environment", "shop", "staging")).content.decode()
    assert "an environment of another project deploys into shop" in page.lower()
    assert "Secretive" not in page
    assert (
        other.project.name in sign_in(world.admin).get(at("environment", "shop", "staging")).content.decode()
    )


def test_warnings_follow_to_the_next_page(world: World, sign_in: Any, outside: Any) -> None:
    from core.findings import WARNING, Finding

    outside["namespace"] = [
        Finding(WARNING, "The namespace is not there yet.", "It may come with the deploy.")
    ]
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk}
    answer = sign_in(world.maintainer).post(at("environment-new", "shop"), sent, follow=True)
    assert "The namespace is not there yet. It may come with the deploy." in messages(answer)


def test_trying_everything_shows_what_was_found(world: World, sign_in: Any, outside: Any) -> None:
    outside["secrets_file"] = [REFUSED]
    page = sign_in(world.maintainer).post(at("environment-check", "shop", "staging")).content.decode()
    assert "Tried just now" in page
    for words in (
        "namespace is well",
        "config_directory is well",
        "It refused the credential",
        "image_repository is well",
    ):
        assert words in page


def test_moving_up(world: World, sign_in: Any) -> None:
    make.make_environment(world.project, slug="production", order=20)
    sign_in(world.maintainer).post(at("environment-up", "shop", "production"))
    assert list(world.project.environments.values_list("slug", flat=True)) == ["production", "staging"]


# Images, secrets files, members


def test_images(world: World, sign_in: Any, outside: Any) -> None:
    client = sign_in(world.maintainer)
    sent = {
        "name": "worker",
        "registry": world.registry.pk,
        "repository": "shop/worker",
        "dockerfile": "Dockerfile",
        "context": ".",
    }
    assert client.post(at("image-new", "shop"), sent).status_code == 302
    answer = client.post(at("image-new", "shop"), sent)
    assert "already" in str(errors(answer)["name"])
    outside["image_repository"] = [DOWN]
    edit = {**sent, "edited": 0, "repository": "shop/w"}
    assert client.post(at("image", "shop", "worker"), edit).status_code == 422
    assert client.post(at("image", "shop", "worker"), {**edit, "save_anyway": "on"}).status_code == 302
    assert (
        client.post(
            at("image", "shop", "worker"), {**edit, "repository": "x", "save_anyway": "on"}
        ).status_code
        == 422
    )
    assert client.post(at("image-archive", "shop", "worker"), {"do": "archive"}).status_code == 302
    assert (
        client.post(at("image-archive", "shop", "worker"), {"do": "remove", "confirm": "worker"}).status_code
        == 422
    )
    assert (
        client.post(
            at("image-archive", "shop", "worker"), {"do": "remove", "confirm": "Shop worker"}
        ).status_code
        == 302
    )
    assert list(Image.objects.values_list("name", flat=True)) == ["web"]


def test_secrets_files(world: World, sign_in: Any, outside: Any) -> None:
    client = sign_in(world.maintainer)
    sent = {
        "environment": world.environment.pk,
        "path": "more.yaml",
        "secret_id": "shop/more",
        "region": "eu-west-2",
        "role_arn": "",
    }
    assert client.post(at("secrets-file-new", "shop"), sent).status_code == 302
    assert "already" in str(errors(client.post(at("secrets-file-new", "shop"), sent)))
    made = SecretsFile.objects.get(path="more.yaml")
    outside["secrets_file"] = [REFUSED]
    edit = {**sent, "edited": 0, "secret_id": "shop/other"}
    answer = client.post(at("secrets-file", "shop", made.pk), {**edit, "save_anyway": "on"})
    assert answer.status_code == 422
    del outside["secrets_file"]
    assert client.post(at("secrets-file", "shop", made.pk), edit).status_code == 302
    assert client.post(at("secrets-file-remove", "shop", made.pk)).status_code == 302
    assert list(SecretsFile.objects.values_list("path", flat=True)) == ["secret.yaml"]


def test_another_projects_environment_cannot_be_chosen(world: World, sign_in: Any) -> None:
    other = make.make_environment()
    sent = {"environment": other.pk, "path": "a.yaml", "secret_id": "x", "region": "eu-west-2"}
    answer = sign_in(world.maintainer).post(at("secrets-file-new", "shop"), sent)
    assert "environment" in errors(answer)


def test_members(world: World, sign_in: Any) -> None:
    client = sign_in(world.maintainer)
    sent = {"user": world.stranger.pk, "environment": world.environment.pk, "role": "deployer"}
    assert client.post(at("members", "shop"), sent).status_code == 302
    given = Membership.objects.get(user=world.stranger)
    assert (given.role, given.environment) == ("deployer", world.environment)
    assert "Staging only" in client.get(at("members", "shop")).content.decode()
    assert client.post(at("member-revoke", "shop", given.pk)).status_code == 302
    assert not Membership.objects.filter(user=world.stranger).exists()
    assert client.post(at("members", "shop"), {**sent, "role": "owner"}).status_code == 422


# Clusters and registries


def test_a_cluster_is_registered_by_text_or_file(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    sent = {"name": "Two", "slug": "two", "kubeconfig": make.KUBECONFIG}
    assert client.post(at("cluster-new"), sent).status_code == 302
    file = SimpleUploadedFile("config", make.KUBECONFIG.encode())
    assert (
        client.post(at("cluster-new"), {"name": "3", "slug": "three", "kubeconfig_file": file}).status_code
        == 302
    )
    two, three = Cluster.objects.get(slug="two"), Cluster.objects.get(slug="three")
    assert two.kubeconfig.open() == three.kubeconfig.open() == make.KUBECONFIG
    assert two.version == "v1.34.2"
    assert two.last_seen is not None
    assert "canary" not in client.get(at("cluster", "two")).content.decode()


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({}, "kubeconfig", "Paste the kubeconfig"),
        ({"kubeconfig": "a: [", "save_anyway": "on"}, "kubeconfig", "not valid YAML"),
        ({"kubeconfig": "x", "kubeconfig_file": SimpleUploadedFile("c", b"y")}, "kubeconfig", "not both"),
        ({"kubeconfig_file": SimpleUploadedFile("c", b"\xff\xfe\x00")}, "kubeconfig_file", "no text"),
        ({"kubeconfig_file": SimpleUploadedFile("c", b"x" * 1_000_001)}, "kubeconfig_file", "1 MB"),
    ],
)
def test_a_kubeconfig_that_is_none_is_refused_at_its_field(
    world: World, sign_in: Any, sent: dict[str, Any], field: str, words: str
) -> None:
    for value in sent.values():
        if hasattr(value, "seek"):
            value.seek(0)
    answer = sign_in(world.admin).post(at("cluster-new"), {"name": "Two", "slug": "two", **sent})
    assert answer.status_code == 422
    assert words in str(errors(answer)[field])
    assert not Cluster.objects.filter(slug="two").exists()


def test_a_refused_kubeconfig_is_not_shown_again(world: World, sign_in: Any, outside: Any) -> None:
    outside["cluster"] = [REFUSED]
    sent = {"name": "Two", "slug": "two", "kubeconfig": make.KUBECONFIG, "save_anyway": "on"}
    answer = sign_in(world.admin).post(at("cluster-new"), sent)
    assert answer.status_code == 422
    assert "canary-kubeconfig-token" not in answer.content.decode()
    assert 'value="Two"' in answer.content.decode()


def test_a_cluster_keeps_its_kubeconfig_when_only_its_name_changes(
    world: World, sign_in: Any, outside: Any
) -> None:
    outside["cluster"] = [REFUSED]
    answer = sign_in(world.admin).post(at("cluster", "lon1"), {"edited": 0, "name": "Paris", "notice": ""})
    assert answer.status_code == 302
    saved = Cluster.objects.get(slug="lon1")
    assert (saved.name, saved.kubeconfig.open()) == ("Paris", make.KUBECONFIG)


def test_trying_a_cluster_notes_what_was_found(world: World, sign_in: Any, outside: Any) -> None:
    client = sign_in(world.admin)
    client.post(at("cluster-check", "lon1"))
    seen = Cluster.objects.get(slug="lon1")
    assert (seen.version, seen.last_error) == ("v1.34.2", "")
    outside["cluster"] = [DOWN]
    page = client.post(at("cluster-check", "lon1")).content.decode()
    assert "It is not reachable." in page
    down = Cluster.objects.get(slug="lon1")
    assert (down.last_error, down.version, down.last_seen) == (
        "It is not reachable.",
        "v1.34.2",
        seen.last_seen,
    )
    assert "It is not reachable." in client.get(at("cluster", "lon1")).content.decode()


def test_registries(world: World, sign_in: Any, outside: Any) -> None:
    client = sign_in(world.admin)
    sent = {
        "name": "Two",
        "slug": "two",
        "endpoint": "https://two.example/",
        "account": "123456789012",
        "region": "eu-west-2",
    }
    assert client.post(at("registry-new"), {**sent, "account": "12"}).status_code == 422
    assert client.post(at("registry-new"), sent).status_code == 302
    assert Registry.objects.get(slug="two").host == "two.example"
    outside["registry"] = [REFUSED]
    edit = {**sent, "edited": 0, "endpoint": "https://two.example", "name": "Zwei"}
    assert client.post(at("registry", "two"), edit).status_code == 302
    assert client.post(at("registry", "two"), {**edit, "edited": 1, "region": "eu-west-1"}).status_code == 422
    assert "It refused the credential" in client.post(at("registry-check", "two")).content.decode()


# What holds for all


def test_a_form_sent_again_asks_for_the_secret_that_was_not_kept(world: World, sign_in: Any) -> None:
    Project.objects.filter(pk=world.project.pk).update(credential_kind="token", credential="stored")
    sent = general(world, credential_kind="token", name="Store", typed_again="credential")
    answer = sign_in(world.maintainer).post(at("settings", "shop"), sent)
    assert "Enter this again" in str(errors(answer)["credential"])
    assert Project.objects.get(pk=world.project.pk).name == "Shop"


@pytest.mark.parametrize(
    ("name", "args", "most"),
    [
        ("environments", ["shop"], 9), ("images", ["shop"], 9), ("secrets-files", ["shop"], 9), ("members", ["shop"], 11),
        ("clusters", [], 8), ("registries", [], 8), ("environment", ["shop", "staging"], 12),
    ],
)  # fmt: skip
def test_lists_ask_the_same_number_of_questions_however_long(
    world: World, sign_in: Any, django_assert_max_num_queries: Any, name: str, args: list[str], most: int
) -> None:
    for n in range(15):
        environment = make.make_environment(
            world.project, slug=f"e{n}", cluster=world.cluster, namespace="shop"
        )
        make.make_secrets_file(environment)
        make.make_image(world.project, name=f"i{n}", registry=world.registry)
        make.grant(make.make_user(), "viewer", world.project)  # type: ignore[arg-type]
        make.make_cluster(), make.make_registry()
    client = sign_in(world.admin)
    with django_assert_max_num_queries(most):
        assert client.get(at(name, *args)).status_code == 200


@pytest.mark.parametrize("name", ["images", "secrets-files", "environments", "members"])
def test_empty_lists_say_what_this_is(world: World, sign_in: Any, name: str) -> None:
    make.make_project(slug="bare", name="Bare")
    page = sign_in(world.admin).get(at(name, "bare")).content.decode()
    assert 'class="empty"' in page


def test_empty_infrastructure_gives_the_first_step(db: None, client: Client) -> None:
    client.force_login(make.make_user(is_admin=True))
    for name, new in (("clusters", "cluster-new"), ("registries", "registry-new")):
        assert f'href="{at(new)}"' in client.get(at(name)).content.decode()


def test_a_new_environment_comes_after_the_others_by_itself(world: World, sign_in: Any) -> None:
    page = sign_in(world.maintainer).get(at("environment-new", "shop"))
    assert page.context["form"]["order"].value() is None


def test_a_wrong_variable_alone_is_said_at_the_head(world: World, sign_in: Any) -> None:
    row = {
        "variables-0-name": "lower",
        "variables-0-value": "",
        "variables-0-type": "string",
        "variables-TOTAL_FORMS": "1",
    }
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk, **row}
    page = sign_in(world.maintainer).post(at("environment-new", "shop"), sent).content.decode()
    assert "Not saved: a variable needs a look." in page


def test_all_who_share_a_namespace_are_named_at_once(world: World, sign_in: Any) -> None:
    make.make_environment(world.project, slug="more", name="More", cluster=world.cluster, namespace="shop")
    sent = {**ENVIRONMENT, "cluster": world.cluster.pk, "namespace": "shop"}
    answer = sign_in(world.maintainer).post(at("environment-new", "shop"), sent)
    assert "Shop More, Shop Staging deploy into shop" in str(errors(answer)["namespace"])


def test_asking_for_changes_of_secrets_is_off_until_somebody_switches_it_on(
    world: World, sign_in: Any
) -> None:
    client, address = sign_in(world.maintainer), at("environment", "shop", "staging")
    assert client.post(address, existing(world, secret_requests="on")).status_code == 302
    assert Environment.objects.get(pk=world.environment.pk).asks_for_secrets
    assert re.search(r"<input[^>]*secret_requests[^>]*checked", client.get(address).content.decode())
    assert client.post(address, existing(world)).status_code == 302
    assert not Environment.objects.get(pk=world.environment.pk).asks_for_secrets
