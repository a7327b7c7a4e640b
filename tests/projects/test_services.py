"""What services do with projects: rights, audit without secrets, the optimistic lock, rules that hold whoever calls."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from audit.reading import changes_of
from audit.record import before_after
from core.errors import Refused, Stale
from projects import infrastructure, memberships, services
from projects.leaving import services as leaving
from projects.models import Allotment, Environment, Image, Membership, Project, SecretsFile
from tests import factories as make
from tests.projects.conftest import World


def last(verb: str) -> AuditEvent:
    event = AuditEvent.objects.exclude(verb="allotment.made").order_by("-id").first()
    assert event is not None
    assert event.verb == verb
    return event


def problems(caught: pytest.ExceptionInfo[ValidationError]) -> dict[str, list[str]]:
    return caught.value.message_dict


def new_project(actor: Any = SYSTEM_ACTOR, **fields: Any) -> Project:
    return services.create_project(
        actor, **{"slug": "blog", "name": "Blog", "repository_url": "https://git.example/blog.git", **fields}
    )


def change(world: World, actor: Any = None, **fields: Any) -> Project:
    p = Project.objects.get(pk=world.project.pk)
    values = {
        "edited": p.edited, "name": p.name, "repository_url": p.repository_url, "default_branch": p.default_branch,
        "credential_kind": p.credential_kind, "slack_channel": p.slack_channel,
    }  # fmt: skip
    return services.change_project(actor or person(world.maintainer), project=p, **{**values, **fields})


def test_only_admins_make_projects(world: World) -> None:
    new_project(person(world.admin))
    with pytest.raises(Refused, match="Only admins"):
        new_project(person(world.maintainer), slug="other")
    assert last("project.created").target_text == "Blog"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "settings"), ("slug", "Shop"), ("slug", "shop"), ("slug", "x" * 41), ("repository_url", "ext::sh -c id"),
        ("repository_url", "https://user:token@git.example/blog.git"), ("repository_url", "/etc"),
        ("default_branch", "--upload-pack=id"), ("default_branch", "a..b"),
    ],
)  # fmt: skip
def test_a_project_that_cannot_be_is_not_made(world: World, field: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        new_project(**{field: value})
    assert field in problems(caught)
    assert not Project.objects.exclude(pk=world.project.pk).exists()


def test_a_credential_reaches_the_database_encrypted_and_the_audit_never(world: World) -> None:
    project = new_project(credential_kind="token", credential="canary-git-token")
    assert last("project.created").data["credential"] == "set"
    stored = (
        Project.objects.filter(pk=project.pk)
        .extra(select={"raw": "credential"})
        .values_list("raw", flat=True)[0]
    )
    assert "canary" not in stored
    services.change_project(
        SYSTEM_ACTOR, project=project, edited=0, name="Blog", repository_url=project.repository_url,
        default_branch="main", credential_kind="token", credential="canary-second",
    )  # fmt: skip
    assert last("project.changed").data == {"credential": "changed"}
    assert "canary" not in str(list(AuditEvent.objects.values()))


def test_an_empty_credential_keeps_the_stored_one(world: World) -> None:
    Project.objects.filter(pk=world.project.pk).update(credential_kind="token", credential="stored")
    assert change(world, name="Store").credential.open() == "stored"
    assert change(world, credential_kind="").credential.open() == ""


def test_a_stored_credential_is_sent_to_allotted_addresses_only(world: World) -> None:
    Project.objects.filter(pk=world.project.pk).update(credential_kind="token", credential="stored")
    same_host = world.project.repository_url.replace("project", "other")
    elsewhere = ("https://evil.example/x.git", "https://git.example:444/x.git", "git@git.example:x.git")
    for url in (same_host, *elsewhere):
        with pytest.raises(ValidationError) as caught:
            change(world, repository_url=url)
        assert "only where an admin allots it" in problems(caught)["credential"][0]
    Allotment.objects.create(project=world.project, kind=Allotment.Kind.GIT, pattern=same_host)
    assert change(world, repository_url=same_host).credential.open() == "stored"
    with pytest.raises(ValidationError):
        change(world, credential_kind="ssh")


def test_of_two_who_edit_at_once_the_second_is_told(world: World) -> None:
    change(world, edited=0, name="First")
    with pytest.raises(Stale, match="changed since you opened this form"):
        change(world, edited=0, name="Second")
    assert Project.objects.get(pk=world.project.pk).name == "First"
    assert AuditEvent.objects.filter(verb="project.changed").count() == 1


def test_nothing_changed_is_no_change(world: World) -> None:
    assert change(world).edited == 0
    assert not AuditEvent.objects.exists()


def test_the_audit_tells_what_was_and_what_is(world: World) -> None:
    change(world, name="Store", slack_channel="#store")
    event = last("project.changed")
    assert event.data == {
        "name": before_after("Shop", "Store"),
        "slack_channel": before_after("#shop", "#store"),
    }
    assert (event.actor_text, event.project_slug) == ("mira", "shop")


@pytest.mark.parametrize("who", ["deployer", "viewer", "staging_maintainer", "auditor", "stranger"])
def test_settings_are_for_maintainers_of_the_whole_project(world: World, who: str) -> None:
    actor = person(getattr(world, who))
    row: dict[str, Any] = {"registry": world.registry, "repository": "a/b"}
    environment: dict[str, Any] = {"cluster": world.cluster, "namespace": "x", "config_directory": "k"}
    attempts = [
        lambda: change(world, actor, name="Mine"),
        lambda: services.create_environment(actor, project=world.project, slug="x", **environment),
        lambda: services.change_environment(actor, environment=world.environment, edited=0, namespace="kube-system"),
        lambda: services.move_environment(actor, environment=world.environment),
        lambda: services.create_image(actor, project=world.project, name="x", **row),
        lambda: services.change_image(actor, image=world.image, edited=0, dockerfile="D", context=".", **row),
        lambda: leaving.archive(actor, thing=world.image),
        lambda: leaving.restore(actor, thing=world.environment),
        lambda: leaving.remove(actor, thing=world.image),
        lambda: services.create_secrets_file(actor, environment=world.environment, path="x.yaml", secret_id="x"),
        lambda: services.change_secrets_file(
            actor, secrets_file=world.secrets_file, edited=0, path="x", secret_id="production", region="eu-west-2"
        ),
        lambda: services.remove_secrets_file(actor, secrets_file=world.secrets_file),
        lambda: memberships.grant(actor, user=world.stranger, project=world.project, role="viewer"),
        lambda: memberships.revoke(actor, membership=Membership.objects.get(user=world.viewer)),
        lambda: new_project(actor),
        lambda: infrastructure.create_cluster(actor, slug="c", name="c", kubeconfig=make.KUBECONFIG),
        lambda: infrastructure.change_cluster(actor, cluster=world.cluster, edited=0, name="c"),
        lambda: infrastructure.create_registry(actor, slug="r", name="r", endpoint="https://r.example", account="1" * 12),
        lambda: infrastructure.change_registry(
            actor, registry=world.registry, edited=0, name="r", endpoint="https://r.example", account="1" * 12, region="eu-west-2"
        ),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(Refused):
            attempt()
    assert not AuditEvent.objects.exists()


# Environments


def new_environment(world: World, **fields: Any) -> Environment:
    values = {
        "slug": "production",
        "cluster": world.cluster,
        "namespace": "shop-live",
        "config_directory": "k/production",
    }
    return services.create_environment(
        person(world.maintainer), project=world.project, **{**values, **fields}
    )


def test_production_is_careful_by_itself_and_the_rest_is_not(world: World) -> None:
    live = new_environment(world, is_production=True)
    test = new_environment(world, slug="test")
    assert live.placeholders_stop
    assert live.secret_rights["edit"] == "maintainer"
    assert not test.placeholders_stop
    assert test.secret_rights["edit"] == "deployer"
    assert [live.order, test.order] == [20, 30]
    assert (
        new_environment(world, slug="soft", is_production=True, placeholders_stop=False).placeholders_stop
        is False
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"slug": "staging"}, "__all__"), ({"slug": "a" * 21}, "slug"), ({"slug": "deploy"}, "slug"),
        ({"namespace": "Shop_Live"}, "namespace"), ({"config_directory": "../etc"}, "config_directory"),
        ({"config_directory": "/etc"}, "config_directory"), ({"deploy_timeout": 100_000}, "deploy_timeout"),
    ],
)  # fmt: skip
def test_an_environment_that_cannot_be_is_not_made(world: World, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        new_environment(world, **fields)
    assert field in problems(caught)
    assert Environment.objects.count() == 1


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ({"name": "REVISION", "value": "x"}, "every deploy"),
        ({"name": "IMAGE_WEB", "value": "x"}, "every deploy"),
        ({"name": "log_level", "value": "x"}, "capital letters"),
        ({"name": "1A", "value": "x"}, "capital letters"),
        ({"name": "A\n", "value": "x"}, "capital letters"),
        ({"name": "REPLICAS", "value": "three", "type": "number"}, "number"),
        ({"name": "REPLICAS", "value": "1e999", "type": "number"}, "number"),
        ({"name": "DEBUG", "value": "yes", "type": "boolean"}, "true or false"),
        ({"name": "DEBUG", "value": "1", "type": "list"}, "types"),
        ({"name": "LONG", "value": "x" * 5000}, "4000"),
    ],
)
def test_variables_are_what_the_engine_can_read(world: World, variable: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        services.change_environment(
            person(world.maintainer), environment=world.environment, edited=0, variables=[variable]
        )
    assert problem in problems(caught)["variables"][0]


def test_variables_are_kept_as_typed(world: World) -> None:
    rows = [
        {"name": "LOG_LEVEL", "value": " debug ", "type": "string"}, {"name": "REPLICAS", "value": "3", "type": "number"},
    ]  # fmt: skip
    saved = services.change_environment(
        person(world.maintainer), environment=world.environment, edited=0, variables=rows
    )
    assert Environment.objects.get(pk=saved.pk).variables == rows
    with pytest.raises(ValidationError, match="more than once"):
        services.change_environment(
            person(world.maintainer), environment=saved, edited=1, variables=[rows[0], rows[0]]
        )


@pytest.mark.parametrize("field", ["slug", "project", "project_id", "id"])
def test_what_the_cluster_keeps_never_changes(world: World, field: str) -> None:
    with pytest.raises(ValidationError, match="never change"):
        services.change_environment(
            person(world.maintainer), environment=world.environment, edited=0, **{field: "x"}
        )


def test_moving_an_environment_gives_all_of_them_numbers(world: World) -> None:
    live = new_environment(world)
    test = new_environment(world, slug="test")
    services.move_environment(person(world.maintainer), environment=test)
    assert list(world.project.environments.values_list("slug", "order")) == [
        ("staging", 10),
        ("test", 20),
        ("production", 30),
    ]
    services.move_environment(person(world.maintainer), environment=world.environment)
    assert last("environment.changed").data == {"order": ["staging", "test", "production"]}
    with pytest.raises(Stale):
        services.change_environment(person(world.maintainer), environment=live, edited=0, name="Live")


# Images, secrets files


def test_images_come_change_and_go(world: World) -> None:
    actor = person(world.maintainer)
    image = services.create_image(
        actor,
        project=world.project,
        name="worker",
        registry=world.registry,
        repository="shop/worker",
        context="",
    )
    assert image.context == "."
    services.change_image(
        actor,
        image=image,
        edited=0,
        registry=world.registry,
        repository="shop/w",
        dockerfile="D",
        context=".",
    )
    assert last("image.changed").data["repository"] == before_after("shop/worker", "shop/w")
    leaving.archive(actor, thing=image)
    leaving.remove(actor, thing=image)
    assert last("image.removed").target_text == "Shop worker"
    assert Image.objects.count() == 1


@pytest.mark.parametrize("folder", ["../..", "/etc", "a/../../b"])
def test_a_build_context_stays_inside_the_repository(world: World, folder: str) -> None:
    with pytest.raises(ValidationError) as caught:
        services.create_image(
            person(world.maintainer), project=world.project, name="w", registry=world.registry,
            repository="a/b", context=folder,
        )  # fmt: skip
    assert "context" in problems(caught)


def test_secrets_files_come_change_and_go(world: World) -> None:
    actor = person(world.maintainer)
    file = services.create_secrets_file(
        actor, environment=world.environment, path="more.yaml", secret_id="shop/more"
    )
    with pytest.raises(ValidationError):
        services.create_secrets_file(actor, environment=world.environment, path="more.yaml", secret_id="x")
    changed = services.change_secrets_file(
        actor, secrets_file=file, edited=0, path="more.yaml", secret_id="shop/other", region="eu-west-1"
    )
    assert last("secrets_file.changed").data["secret_id"] == before_after("shop/more", "shop/other")
    services.remove_secrets_file(actor, secrets_file=changed)
    assert SecretsFile.objects.count() == 1


# Roles


def test_granting_replaces_the_role_held_there(world: World) -> None:
    actor = person(world.maintainer)
    memberships.grant(actor, user=world.viewer, project=world.project, role="deployer")
    assert last("membership.granted").data == {
        "person": "vic",
        "environment": "",
        "role": before_after("viewer", "deployer"),
    }
    memberships.grant(actor, user=world.viewer, project=world.project, role="deployer")
    assert AuditEvent.objects.count() == 1
    memberships.grant(
        actor, user=world.viewer, project=world.project, role="maintainer", environment=world.environment
    )
    assert Membership.objects.filter(user=world.viewer).count() == 2


def test_a_role_on_another_projects_environment_cannot_be_given(world: World) -> None:
    other = make.make_environment()
    with pytest.raises(ValidationError, match="another project"):
        memberships.grant(
            person(world.maintainer),
            user=world.viewer,
            project=world.project,
            role="viewer",
            environment=other,
        )
    with pytest.raises(ValidationError):
        memberships.grant(person(world.maintainer), user=world.viewer, project=world.project, role="owner")


def test_revoking_twice_is_once(world: World) -> None:
    membership = Membership.objects.get(user=world.viewer)
    for _ in range(2):
        memberships.revoke(person(world.maintainer), membership=membership)
    assert AuditEvent.objects.filter(verb="membership.revoked").count() == 1


# Infrastructure


def kubeconfig(user: dict[str, Any] | None = None, **cluster: Any) -> str:
    import json

    config = json.loads(make.KUBECONFIG)
    config["users"][0]["user"] = user if user is not None else {"token": "canary-kubeconfig-token"}
    config["clusters"][0]["cluster"] |= cluster
    return json.dumps(config)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (kubeconfig({"exec": {"command": "sh"}}), "exec"),
        (kubeconfig({"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (kubeconfig({"tokenFile": "/etc/shadow"}), "file path"),
        (kubeconfig({"client-certificate": "/a", "client-key": "/b"}), "file path"),
        (kubeconfig(**{"certificate-authority": "/etc/ca"}), "file path"),
        (kubeconfig(**{"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
        ("{", "YAML"),
    ],
)
def test_a_kubeconfig_that_could_run_or_read_here_is_refused_with_the_reason(
    world: World, text: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        infrastructure.create_cluster(SYSTEM_ACTOR, slug="c", name="c", kubeconfig=text)
    assert reason in problems(caught)["kubeconfig"][0]


def test_a_kubeconfig_is_kept_and_replaced_but_never_told(world: World) -> None:
    admin = person(world.admin)
    cluster = infrastructure.create_cluster(admin, slug="c", name="C", kubeconfig=kubeconfig())
    assert last("cluster.created").data == {"slug": "c", "name": "C", "kubeconfig": "set"}
    kept = infrastructure.change_cluster(admin, cluster=cluster, edited=0, name="D")
    assert kept.kubeconfig.open() == kubeconfig()
    infrastructure.change_cluster(
        admin, cluster=cluster, edited=1, name="D", kubeconfig=kubeconfig({"token": "canary-2"})
    )
    assert last("cluster.changed").data == {"kubeconfig": "changed"}
    assert "canary" not in str(list(AuditEvent.objects.values()))


def test_a_registrys_address_has_no_slash_at_its_end(world: World) -> None:
    registry = infrastructure.create_registry(
        SYSTEM_ACTOR, slug="r", name="R", endpoint="https://r.example/", account="123456789012"
    )
    assert registry.endpoint == "https://r.example"
    changed = infrastructure.change_registry(
        SYSTEM_ACTOR, registry=registry, edited=0, name="R", endpoint="https://r2.example", account="123456789012",
        region="eu-west-1",
    )  # fmt: skip
    assert changed.host == "r2.example"
    with pytest.raises(ValidationError) as caught:
        infrastructure.create_registry(
            SYSTEM_ACTOR, slug="s", name="S", endpoint="https://r2.example", account="12"
        )
    assert problems(caught).keys() == {"account", "endpoint"}


def test_of_two_who_make_the_same_thing_one_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Project, "full_clean", lambda self: None)  # as if both had looked at the same moment
    with pytest.raises(Refused, match="created by another person"):
        new_project(slug="shop")
    assert Project.objects.count() == 1
    assert not AuditEvent.objects.exists()


def test_switches_are_kept_beside_each_other_and_told_one_by_one(world: World) -> None:
    """Off is absent; what another part keeps among the policies stays; the audit names only what was switched."""
    Environment.objects.filter(pk=world.environment.pk).update(policies={"other": True})
    environment = Environment.objects.get(pk=world.environment.pk)
    actor = person(world.maintainer)
    on = services.change_environment(actor, environment=environment, edited=0, automatic_rollback=True)
    assert on.policies == {"other": True, "automatic_rollback": True}
    assert on.rolls_back_by_itself
    same = services.change_environment(actor, environment=on, edited=1, automatic_rollback=True)
    assert same.edited == 1
    off = services.change_environment(actor, environment=on, edited=1, automatic_rollback=False)
    assert off.policies == {"other": True}
    assert not off.rolls_back_by_itself
    events = AuditEvent.objects.filter(verb="environment.changed").order_by("id")
    assert [event.data for event in events] == [
        {"policies": {"automatic_rollback": before_after(False, True)}},
        {"policies": {"automatic_rollback": before_after(True, False)}},
    ]
    told = changes_of(events[0].data)[0]
    assert (told.name, told.before, told.after) == ("policies: automatic rollback", "no", "yes")
    with pytest.raises(Stale):
        services.change_environment(actor, environment=environment, edited=0, automatic_rollback=True)


def test_the_settle_time_is_a_policy_with_a_default(world: World) -> None:
    actor = person(world.maintainer)
    environment = Environment.objects.get(pk=world.environment.pk)
    assert (environment.settling.seconds, environment.settling.keeps_old_pods) == (10, True)
    off = services.change_environment(
        actor, environment=environment, edited=0, settle_seconds=0, no_min_ready=True
    )
    assert off.policies == {"settle_seconds": 0, "no_min_ready": True}
    assert (off.settling.seconds, off.settling.keeps_old_pods) == (0, False)
    usual = services.change_environment(
        actor, environment=off, edited=1, settle_seconds=None, no_min_ready=False
    )
    assert usual.policies == {}
    events = AuditEvent.objects.filter(verb="environment.changed").order_by("id")
    assert events[0].data == {
        "policies": {
            "settle_seconds": {"before": "default", "after": 0},
            "no_min_ready": {"before": False, "after": True},
        }
    }
    for wrong in (-1, 601, True, "10"):
        with pytest.raises(ValidationError, match="Enter whole seconds"):
            services.change_environment(actor, environment=usual, edited=2, settle_seconds=wrong)


def test_the_watch_after_a_deploy_is_a_policy_with_a_default(world: World) -> None:
    actor = person(world.maintainer)
    environment = Environment.objects.get(pk=world.environment.pk)
    assert environment.watch_seconds == 900
    off = services.change_environment(actor, environment=environment, edited=0, watch_seconds=0)
    assert off.watch_seconds == 0
    longer = services.change_environment(actor, environment=off, edited=1, watch_seconds=86_400)
    assert longer.policies == {"watch_seconds": 86_400}
    with pytest.raises(ValidationError, match="from 0 to 86400"):
        services.change_environment(actor, environment=longer, edited=2, watch_seconds=86_401)
