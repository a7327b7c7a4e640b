"""Tokens proven at a real registry with basic authentication: right, wrong, ended, and images that there are or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from adapters.aws.ecr import RegistryToken as Made
from adapters.errors import Denied, NotFound
from adapters.registry import Registry as Adapter
from core.fields import opened
from core.redactor import redactor_in_force
from projects import connections
from projects.models import Registry
from registry import proving
from registry.models import RegistryToken
from registry.secrets import PullCredential
from registry.tokens import Identity, renewed
from tests.factories import make_image, make_project, make_registry
from tests.registry.distribution import TODAY, TOMORROW, Distribution, running_distribution

IDENTITY = Identity("eu-west-2", "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    with running_distribution(tmp_path_factory.mktemp("distribution")) as running:
        running.push("shop/web", "abc", TODAY)
        yield running


@pytest.fixture(autouse=True)
def opens_today(server: Distribution) -> None:
    server.opens_to(TODAY)


@pytest.fixture
def registry(db: None, server: Distribution) -> Registry:
    return make_registry(endpoint=server.url, region="eu-west-2")


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """AWS, which gives the last of these passwords as a token."""
    given = [TODAY]

    class Ecr:
        def token(self) -> Made:
            return Made("AWS", given[-1], timezone.now() + timedelta(hours=12), "https://example", None)

    monkeypatch.setattr(connections, "Ecr", lambda *_, **__: Ecr())
    return given


def know(registry: Registry, reference: str) -> None:
    image = make_image(make_project(), registry=registry, repository="shop/web")
    proving.note_images([(image, reference)])


def proof(registry: Registry, password: str) -> proving.Proof:
    with redactor_in_force():
        return proving.tried(PullCredential(registry.host, "AWS", password), registry)


def test_the_adapter_reads_what_the_registry_says(server: Distribution) -> None:
    opened = Adapter(server.url, "AWS", TODAY)
    opened.sign_in()
    digest = opened.digest("shop/web", "abc")
    assert opened.digest("shop/web", digest) == digest
    for repository, reference in (("shop/web", "gone"), ("shop/none", "abc")):
        with pytest.raises(NotFound):
            opened.digest(repository, reference)
    for password in ("wrong", ""):
        with pytest.raises(Denied):
            Adapter(server.url, "AWS", password).digest("shop/web", "abc")


@pytest.mark.parametrize(
    ("reference", "password", "by", "is_refused"),
    [
        ("abc", TODAY, "manifest", False),
        ("gone", TODAY, "v2", False),  # the image was deleted: this tells nothing about the token
        ("", TODAY, "v2", False),
        ("abc", "wrong", "", True),
        ("", "wrong", "", True),
    ],
)
def test_a_proof(registry: Registry, reference: str, password: str, by: str, is_refused: bool) -> None:
    if reference:
        know(registry, reference)
    found = proof(registry, password)
    assert (found.by, found.is_refused, found.is_silent) == (by, is_refused, False)


def test_a_token_that_has_ended_is_refused(registry: Registry, server: Distribution) -> None:
    know(registry, "abc")
    assert proof(registry, TODAY).by == "manifest"
    server.opens_to(TOMORROW)
    assert proof(registry, TODAY).is_refused
    assert proof(registry, TOMORROW).by == "manifest"


def test_a_token_that_opens_nothing_replaces_none(registry: Registry, ecr: list[str]) -> None:
    know(registry, "abc")
    with redactor_in_force():
        _, fault = renewed(IDENTITY, [registry])
        assert fault is None
        ecr.append("wrong")
        row, fault = renewed(IDENTITY, [registry], newer_than=timezone.now())
    assert fault is not None
    assert "pull" in fault.sentence
    row.refresh_from_db()
    assert (opened(row.token), row.attempts) == (TODAY, 1)
    assert "wrong" not in f"{row.last_error}{row.hint}{row.proofs}"


def test_a_renewal_is_proven_by_the_image(registry: Registry, server: Distribution, ecr: list[str]) -> None:
    know(registry, "abc")
    server.opens_to(TOMORROW)
    ecr.append(TOMORROW)
    with redactor_in_force():
        assert renewed(IDENTITY, [registry])[1] is None
    row = RegistryToken.objects.get()
    assert (opened(row.token), row.proofs[registry.host]["by"]) == (TOMORROW, "manifest")
