"""The fakes of outside.py do what the adapters do: the same cases on both, and the same signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from adapters.aws.ecr import Ecr
from adapters.errors import Denied, NotFound, Unavailable
from adapters.registry import Expired, Registry
from sandbox.aws.images import connect, publish_image
from tests.registry.outside import FakeEcr, FakeRegistry, World, now
from tests.sandbox.ends import Aws, running_aws


@pytest.mark.parametrize(("fake", "real"), [(FakeEcr, Ecr), (FakeRegistry, Registry)])
def test_every_method_of_a_fake_is_called_as_the_real_one(fake: type, real: type) -> None:
    ours = {n: f for n, f in inspect.getmembers(fake, inspect.isfunction) if not n.startswith("_")}
    assert ours
    for name, method in ours.items():
        theirs = inspect.signature(getattr(real, name))
        assert list(inspect.signature(method).parameters) == list(theirs.parameters), name


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws") / "state", token_lifetime=2) as end:
        yield end


@pytest.fixture(params=["fake", "adapter"])
def ends(
    request: pytest.FixtureRequest,
) -> tuple[Callable[[], FakeEcr | Ecr], Callable[[str], FakeRegistry | Registry]]:
    """How to reach ECR, and a registry with a password. There is one image, shop/web:abc."""
    if request.param == "fake":
        world = World(life=timedelta(seconds=2), images={("shop/web", "abc")})
        endpoint = "https://r.example"
        return lambda: FakeEcr(world, "eu-west-2"), lambda password: FakeRegistry(
            world, endpoint, "AWS", password
        )
    end: Aws = request.getfixturevalue("aws")
    client = end.client("ecr")
    if not client.describe_repositories()["repositories"]:
        client.create_repository(repositoryName="shop/web")
    publish_image(connect(end.url), "shop/web", ["abc"], {})
    return lambda: Ecr("eu-west-2", "", endpoint_url=end.url), lambda password: Registry(
        end.url, "AWS", password
    )


def test_a_token_opens_until_it_ends(ends) -> None:
    ecr, registry = ends
    token = ecr().token()
    assert token.session_ends_at is None
    assert timedelta(0) < token.expires_at - now() <= timedelta(seconds=2.1)
    opened = registry(token.password)
    opened.sign_in()
    assert opened.digest("shop/web", "abc").startswith("sha256:")
    with pytest.raises(NotFound):
        opened.digest("shop/web", "missing")
    deadline = token.expires_at + timedelta(seconds=0.2)
    while now() < deadline:
        pass
    with pytest.raises(Expired):
        opened.sign_in()
    with pytest.raises(Expired):
        opened.digest("shop/web", "abc")


def test_nonsense_is_denied(ends) -> None:
    with pytest.raises(Denied):
        ends[1]("nonsense").sign_in()


def test_a_registry_that_is_away() -> None:
    world = World(silent={"127.0.0.1:1"})
    for registry in (FakeRegistry(world, "http://127.0.0.1:1"), Registry("http://127.0.0.1:1")):
        with pytest.raises(Unavailable):
            registry.sign_in()


def test_two_tokens_differ(ends) -> None:
    assert ends[0]().token().password != ends[0]().token().password
