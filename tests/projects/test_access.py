"""Every page of settings and infrastructure × every role: who gets it, who is told why not, who learns nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from projects.urls import urlpatterns
from tests.projects.conftest import World

# name: (arguments, method, who may). Settings: maintainers of the whole project and admins; the rest: admins.
SETTINGS = {
    "settings": (["shop"], "get"),
    "settings-check": (["shop"], "post"),
    "environments": (["shop"], "get"),
    "environment-new": (["shop"], "get"),
    "environment": (["shop", "staging"], "get"),
    "environment-check": (["shop", "staging"], "post"),
    "environment-up": (["shop", "staging"], "post"),
    "variable-add": (["shop", "staging"], "get"),
    "namespace_create": (["shop", "staging"], "post"),
    "proposals": (["shop"], "get"),
    "images": (["shop"], "get"),
    "image-new": (["shop"], "get"),
    "image": (["shop", "web"], "get"),
    "environment-archive": (["shop", "staging"], "get"),
    "image-archive": (["shop", "web"], "get"),
    "secrets-files": (["shop"], "get"),
    "secrets-file-new": (["shop"], "get"),
    "secrets-file": (["shop", "FILE"], "get"),
    "secrets-file-remove": (["shop", "FILE"], "post"),
    "members": (["shop"], "get"),
    "member-revoke": (["shop", "MEMBER"], "get"),
}
ADMIN = {
    "new": ([], "get"),
    "allotments": ([], "get"),
    "allotment-new": ([], "get"),
    "allotment-withdraw": (["ALLOTMENT"], "post"),
    "clusters": ([], "get"),
    "cluster-new": ([], "get"),
    "cluster": (["lon1"], "get"),
    "project-archive": (["shop"], "get"),
    "cluster-archive": (["lon1"], "get"),
    "registry-archive": (["ecr"], "get"),
    "cluster-check": (["lon1"], "post"),
    "registries": ([], "get"),
    "registry-new": ([], "get"),
    "registry": (["ecr"], "get"),
    "registry-check": (["ecr"], "post"),
    "person-roles": (["PERSON"], "get"),
}
EVERYBODY = {"first-steps": ([], "get"), "archived": ([], "get")}
WITH_CLUSTER = {"namespace_create"}  # asks a cluster: test_namespaces.py, tests/access/table.py


def ask(world: World, sign_in: Any, who: str, name: str, arguments: list[str], method: str) -> Any:
    ids = {
        "FILE": world.secrets_file.pk, "MEMBER": world.project.memberships.get(user=world.viewer).pk,
        "PERSON": world.viewer.pk, "ALLOTMENT": world.project.allotments.filter(pattern="arn:*").first().pk,
    }  # fmt: skip
    client = sign_in(getattr(world, who))
    return getattr(client, method)(reverse(f"projects:{name}", args=[ids.get(a, a) for a in arguments]))


def test_every_address_is_in_the_tables() -> None:
    assert {
        pattern.name for pattern in urlpatterns
    } == SETTINGS.keys() | ADMIN.keys() | EVERYBODY.keys() | WITH_CLUSTER


@pytest.mark.parametrize("who", ["admin", "maintainer"])
@pytest.mark.parametrize("name", SETTINGS)
def test_maintainers_change_settings(world: World, sign_in: Any, who: str, name: str) -> None:
    assert ask(world, sign_in, who, name, *SETTINGS[name]).status_code in (200, 302)


@pytest.mark.parametrize("who", ["deployer", "viewer", "staging_maintainer"])
@pytest.mark.parametrize("name", SETTINGS)
def test_weaker_roles_learn_why_not_and_whom_to_ask(world: World, sign_in: Any, who: str, name: str) -> None:
    answer = ask(world, sign_in, who, name, *SETTINGS[name])
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "you need the role maintainer on Shop" in page
    assert "mira" in page
    assert answer["X-Request-ID"] in page


@pytest.mark.parametrize("who", ["stranger", "auditor"])
@pytest.mark.parametrize("name", SETTINGS)
def test_strangers_learn_nothing(world: World, sign_in: Any, who: str, name: str) -> None:
    answer = ask(world, sign_in, who, name, *SETTINGS[name])
    assert answer.status_code == 404
    assert "Shop" not in answer.content.decode()


@pytest.mark.parametrize("name", ADMIN)
def test_admins_see_infrastructure(world: World, sign_in: Any, name: str) -> None:
    goes_on = name == "allotment-withdraw"
    assert ask(world, sign_in, "admin", name, *ADMIN[name]).status_code == (302 if goes_on else 200)


@pytest.mark.parametrize("who", ["maintainer", "deployer", "viewer", "auditor", "stranger"])
@pytest.mark.parametrize("name", ADMIN)
def test_infrastructure_is_for_admins(world: World, sign_in: Any, who: str, name: str) -> None:
    answer = ask(world, sign_in, who, name, *ADMIN[name])
    assert answer.status_code == 403
    assert "Only admins may do that" in answer.content.decode()
    assert "ada" in answer.content.decode()


@pytest.mark.parametrize("who", ["admin", "maintainer", "stranger"])
def test_everybody_sees_first_steps(world: World, sign_in: Any, who: str) -> None:
    assert ask(world, sign_in, who, "first-steps", [], "get").status_code == 200


@pytest.mark.parametrize(
    "name", [name for name, (_, method) in {**SETTINGS, **ADMIN}.items() if method == "post"]
)
def test_what_changes_something_is_never_a_get(world: World, sign_in: Any, name: str) -> None:
    arguments, _ = {**SETTINGS, **ADMIN}[name]
    assert ask(world, sign_in, "admin", name, arguments, "get").status_code == 405


@pytest.mark.parametrize(
    "name", ["environments", "images", "secrets-files", "clusters", "registries", "first-steps"]
)
def test_what_only_shows_is_never_a_post(world: World, sign_in: Any, name: str) -> None:
    arguments, _ = {**SETTINGS, **ADMIN, **EVERYBODY}[name]
    assert ask(world, sign_in, "admin", name, arguments, "post").status_code == 405


@pytest.mark.parametrize("name", [*SETTINGS, *ADMIN])
def test_nobody_unknown_gets_in(world: World, client: Any, name: str) -> None:
    arguments, method = {**SETTINGS, **ADMIN}[name]
    ids = {"FILE": world.secrets_file.pk, "MEMBER": 1, "ALLOTMENT": 1, "PERSON": 1}
    answer = getattr(client, method)(reverse(f"projects:{name}", args=[ids.get(a, a) for a in arguments]))
    assert answer.status_code == (302 if method == "get" else 401)
    if method == "get":
        assert answer["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("environment", ["shop", "nope"]), ("image", ["shop", "nope"]), ("secrets-file", ["shop", 999]),
        ("cluster", ["nope"]), ("registry", ["nope"]), ("settings", ["nope"]),
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_404(world: World, sign_in: Any, name: str, arguments: list[Any]) -> None:
    assert sign_in(world.admin).get(reverse(f"projects:{name}", args=arguments)).status_code == 404
