"""Rights on the secrets of an environment: one function decides, refused attempts are audited, the form sets them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from audit.record import before_after
from core.errors import Refused
from projects import secret_rights, services
from projects.access import may_secret, require_secret
from projects.models import Environment, Membership, Role
from tests.factories import grant, make_environment, make_user
from tests.projects.conftest import World

RIGHTS = {"names": "viewer", "reveal": "maintainer", "edit": "deployer", "approve": "maintainer"}


def set_rights(environment: Environment, **rights: str) -> Environment:
    Environment.objects.filter(pk=environment.pk).update(secret_rights={**RIGHTS, **rights})
    return Environment.objects.select_related("project").get(pk=environment.pk)


def posted(form: Any) -> dict[str, Any]:
    """What a browser sends of an untouched form."""
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


@pytest.mark.parametrize("right", secret_rights.RIGHTS)
def test_a_right_belongs_to_its_role_and_every_stronger_one(world: World, right: secret_rights.Right) -> None:
    environment = set_rights(world.environment)
    people = [(None, world.stranger), (Role.VIEWER, world.viewer), (Role.DEPLOYER, world.deployer),
              (Role.MAINTAINER, world.maintainer), (Role.MAINTAINER, world.admin)]  # fmt: skip
    for role, user in people:
        expected = role is not None and role.rank >= Role(RIGHTS[right]).rank
        assert may_secret(user, environment, right) is expected, (right, user)


def test_a_role_on_another_environment_reaches_names_and_no_value(world: World) -> None:
    environment = set_rights(world.environment, reveal="viewer", edit="viewer", approve="viewer")
    other = make_environment(environment.project)
    user = make_user()
    grant(user, "maintainer", environment.project, other)
    assert may_secret(user, environment, "names")
    assert [right for right in ("reveal", "edit", "approve") if may_secret(user, environment, right)] == []
    assert may_secret(user, set_rights(other, reveal="viewer"), "reveal")
    with pytest.raises(Refused):
        require_secret(person(user), environment, "reveal", what="db/password")


@pytest.mark.parametrize("right", secret_rights.RIGHTS)
def test_who_is_inactive_or_has_left_has_no_right(world: World, right: secret_rights.Right) -> None:
    environment = set_rights(world.environment, **dict.fromkeys(RIGHTS, "viewer"))
    for user in (world.maintainer, world.admin):
        user.is_active = False
        assert not may_secret(user, environment, right)
    assert not may_secret(make_user(is_auditor=True), environment, right)
    Membership.objects.filter(user=world.viewer).delete()
    assert not may_secret(world.viewer, environment, right)


def test_a_right_that_is_not_stored_has_its_default(world: World) -> None:
    Environment.objects.filter(pk=world.environment.pk).update(secret_rights={})
    environment = Environment.objects.get(pk=world.environment.pk)
    assert may_secret(world.viewer, environment, "names")
    assert not may_secret(world.deployer, environment, "reveal")


def test_a_refused_attempt_says_the_role_and_is_audited_without_a_value(world: World) -> None:
    environment = set_rights(world.environment)
    with pytest.raises(
        Refused, match="To reveal secret values of Shop Staging you need the role maintainer"
    ) as refused:
        require_secret(person(world.deployer), environment, "reveal", what="app/DATABASE_URL")
    assert (refused.value.code, refused.value.ask) == ("secret-right", "mira")
    event = AuditEvent.objects.get(verb="secrets.refused")
    assert event.data == {"right": "reveal", "what": "app/DATABASE_URL"}
    require_secret(person(world.maintainer), environment, "reveal")
    require_secret(SYSTEM_ACTOR, environment, "edit")


def test_a_right_for_who_may_not_see_the_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="a person must see the names"):
        secret_rights.cleaned({"names": "maintainer", "edit": "deployer"})
    with pytest.raises(ValidationError, match="Unknown rights: read"):
        secret_rights.cleaned({"read": "viewer"})
    with pytest.raises(ValidationError, match="No role is called so: edit"):
        secret_rights.cleaned({"edit": "boss"})


def test_the_form_shows_and_sets_the_rights_and_the_change_is_audited(world: World, sign_in: Any) -> None:
    set_rights(world.environment)
    client, address = sign_in(world.maintainer), reverse("projects:environment", args=["shop", "staging"])
    form = client.get(address).context["form"]
    assert {name: form[name].value() for name in ("may_see", "may_reveal", "may_edit", "may_approve")} == {
        "may_see": "viewer", "may_reveal": "maintainer", "may_edit": "deployer", "may_approve": "maintainer",
    }  # fmt: skip
    sent = posted(form)
    rows = {"variables-TOTAL_FORMS": "0", "variables-INITIAL_FORMS": "0"}
    assert client.post(address, {**sent, **rows, "may_edit": "maintainer"}).status_code == 302
    saved = Environment.objects.get(pk=world.environment.pk)
    assert saved.secret_rights == {**RIGHTS, "edit": "maintainer"}
    changed = AuditEvent.objects.filter(verb="environment.changed").latest("pk").data
    assert changed == {"secret_rights": {"edit": before_after("deployer", "maintainer")}}


def test_the_form_refuses_what_cannot_be(world: World, sign_in: Any) -> None:
    client, address = sign_in(world.maintainer), reverse("projects:environment", args=["shop", "staging"])
    form = client.get(address).context["form"]
    sent = posted(form)
    rows = {"variables-TOTAL_FORMS": "0", "variables-INITIAL_FORMS": "0"}
    answer = client.post(address, {**sent, **rows, "may_see": "maintainer", "may_edit": "deployer"})
    assert "a person must see the names" in answer.content.decode()


def test_a_new_environment_has_the_usual_rights_unless_told_otherwise(world: World) -> None:
    values = {"name": "X", "cluster": world.cluster, "namespace": "x", "config_directory": "k/x"}
    made = services.create_environment(
        person(world.maintainer),
        project=world.project,
        slug="x",
        **values,
        secret_rights={"edit": "maintainer"},
    )
    assert made.secret_rights == {
        "names": "viewer",
        "reveal": "deployer",
        "edit": "maintainer",
        "approve": "maintainer",
    }
