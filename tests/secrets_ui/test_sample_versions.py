"""The sandbox's seeding saves versions of secrets as its people would: once, and never over an older sandbox's state."""

from __future__ import annotations

import pytest

from audit.models import AuditEvent
from sandbox.samples import model as samples
from sandbox.samples.secret_versions import save_versions
from secrets_ui.files.model import open_text
from secrets_ui.models import Draft, SecretVersion
from tests.secrets_ui.conftest import CANARY, World

SAVES = (
    samples.Save("lead", "the first", {"app/TOKEN": "token {random}"}),
    samples.Save("dev", "the second", {"app/URL": "https://example.com\n", "app/TOKEN": "again {random}"}),
    samples.Save("lead", "the third", {"app/OLD": "new"}, after_deploy=True),
)


def described(world: World, *keys: str) -> samples.Environment:
    file = samples.SecretsFile(
        f"config/{world.file.path}", world.file.secret_id, dict.fromkeys(keys, ""), SAVES
    )
    return samples.Environment("staging", "Staging", 1, "shop", "config", secrets_files=(file,))


def seed(world: World, *keys: str, after_deploy: bool = False) -> None:
    people = {"lead": world.maintainer, "dev": world.deployer}
    save_versions(described(world, *keys), world.environment, people, after_deploy=after_deploy)


def told() -> list[tuple[str, str, object]]:
    return list(SecretVersion.objects.order_by("id").values_list("actor_text", "comment", "touched"))


@pytest.fixture(autouse=True)
def deployers_may_edit(world: World) -> None:
    world.environment.secret_rights = {"names": "viewer", "reveal": "deployer", "edit": "deployer"}
    world.environment.save()


def test_versions_are_saved_in_the_names_of_their_people(world: World) -> None:
    seed(world, "TOKEN", "URL")
    lead, dev = world.maintainer.username, world.deployer.username
    assert told() == [
        ("", "", {}),
        (lead, "the first", {"changed": ["app/TOKEN"]}),
        (dev, "the second", {"changed": ["app/TOKEN", "app/URL"]}),
    ]
    values = open_text(world.text).secrets[0].values()
    assert values["URL"] == b"https://example.com\n"
    assert values["TOKEN"].startswith(b"again ")
    assert "# kept as it is" in world.text
    assert not Draft.objects.exists()
    assert AuditEvent.objects.filter(verb="secrets.saved").count() == 2


def test_a_second_start_saves_nothing_and_overwrites_nothing(world: World) -> None:
    seed(world, "TOKEN", "URL")
    world.by_hand(world.text + "# by a person\n")
    text, version = world.text, world.version
    seed(world, "TOKEN", "URL")
    assert (world.text, world.version) == (text, version)


def test_what_comes_after_the_deploys_is_left_until_then(world: World) -> None:
    seed(world, "TOKEN", after_deploy=True)
    assert [comment for _, comment, _ in told()] == ["", "the third"]


def test_a_secret_of_an_older_sandbox_stays_as_it_is(world: World) -> None:
    version = world.version
    seed(world, "TOKEN", "A_NEWER_KEY")
    assert world.version == version
    assert CANARY in open_text(world.text).secrets[0].values()["TOKEN"].decode()
