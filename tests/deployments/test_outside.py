"""The fakes of outside.py do what the adapters do that they stand for: the same cases on both, and the same signatures.

Git is a real repository, AWS is moto, the cluster is the simulated one.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from adapters.aws.ecr import Ecr
from adapters.aws.secrets_manager import SecretsManager
from adapters.errors import ExternalError, Invalid, NotFound
from adapters.git.repository import Commit, GitRepository, Limits
from adapters.kubernetes.client import KubernetesClient
from engine.cluster.client import APPLY, ApiError, find
from engine.cluster.dryrun import DRY_RUN_QUERY
from tests.adapters.conftest import Origin, moto_url, origin  # noqa: F401  (fixtures)
from tests.deployments.outside import FakeCluster, FakeEcr, FakeGit, FakeSecrets, Outside
from tests.environment import LOOPBACK
from tests.planes import running_plane

REGION, ACCOUNT, DIRECTORY = "eu-west-2", "123456789012", "kubernetes/staging"
PAIRS = [
    (FakeGit, GitRepository), (FakeSecrets, SecretsManager), (FakeEcr, Ecr), (FakeCluster, KubernetesClient),
]  # fmt: skip
UNKNOWN = "0" * 40


def public(thing: type) -> dict[str, inspect.Signature]:
    """The public methods of a class."""
    found = inspect.getmembers(thing, inspect.isfunction)
    return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}


def shape(signature: inspect.Signature) -> list[tuple[str, Any, bool]]:
    """Names and kinds of the parameters, and which may be left out."""
    return [(p.name, p.kind, p.default is p.empty) for p in signature.parameters.values()]


@pytest.mark.parametrize(("fake", "real"), PAIRS)
def test_every_method_of_a_fake_is_called_as_the_real_one(fake: type, real: type) -> None:
    theirs = public(real)
    ours = public(fake)
    assert ours
    for name, signature in ours.items():
        assert name in theirs, f"{real.__name__} has no {name}"
        assert shape(signature) == shape(theirs[name]), name


@pytest.fixture(params=["fake", "adapter"])
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestGit:
    @pytest.fixture
    def shas(self, origin: Origin) -> list[str]:  # noqa: F811
        """Three commits, the newest first."""
        origin.commit("Show prices")
        return origin.git("rev-list", "main").split()

    @pytest.fixture
    def git(self, which: str, shas: list[str], origin: Origin, tmp_path: Path) -> Any:  # noqa: F811
        real = GitRepository(
            f"file://{origin.bare}",
            mirror=tmp_path / "mirrors",
            credential=None,
            protocols=("file",),
            networks=LOOPBACK,
        )
        real.fetch(0)
        if which == "adapter":
            return real
        return FakeGit(
            Outside(real.log(None, shas[0], 9), {"main": shas[0]}, dict(real.files(shas[0], DIRECTORY)))
        )

    def test_a_name_leads_to_a_commit(self, git: Any, shas: list[str]) -> None:
        assert git.fetch(0, timeout=5) is True
        assert git.fetched_at().utcoffset() == timedelta(0)
        for name in ("main", shas[0], shas[0][:7], shas[0][:4], f" {shas[0]} "):
            assert git.resolve(name).sha == shas[0]
        assert git.resolve(shas[2][:12]).subject == "First"
        assert [(branch.name, branch.commit.sha) for branch in git.branches()] == [("main", shas[0])]

    @pytest.mark.parametrize("name", ["nowhere", UNKNOWN, "0000000", "feature/x"])
    def test_what_nothing_is_called_is_not_found(self, git: Any, name: str) -> None:
        with pytest.raises(NotFound, match="no revision") as caught:
            git.resolve(name)
        assert "pushed" in caught.value.hint

    @pytest.mark.parametrize("name", ["HEAD~2", "a..b", "-x", ""])
    def test_what_is_no_name_is_invalid(self, git: Any, name: str) -> None:
        with pytest.raises(Invalid):
            git.resolve(name)

    def test_commits_between(self, git: Any, shas: list[str]) -> None:
        def numbers(found: list[Commit]) -> list[str]:
            return [commit.sha for commit in found]

        assert numbers(git.log(None, shas[0], 9, first_parent=True)) == shas
        assert numbers(git.log(None, shas[0], 2)) == shas[:2]
        assert numbers(git.log(shas[2], shas[0], 9, ask_host=False)) == shas[:2]
        assert git.log(shas[0], shas[0], 9) == []
        assert git.log(shas[0], shas[1], 9) == []
        assert git.count(shas[2], shas[0]) == (2, 0)
        assert git.count(shas[0], shas[2]) == (0, 2)
        assert git.count(shas[1], shas[1]) == (0, 0)

    def test_commits_that_are_gone(self, git: Any, shas: list[str]) -> None:
        for ask in (
            lambda: git.log(UNKNOWN, shas[0], 9, ask_host=False),
            lambda: git.log(None, UNKNOWN, 9),
            lambda: git.count(UNKNOWN, shas[0]),
            lambda: git.files(UNKNOWN, DIRECTORY),
        ):
            with pytest.raises(NotFound):
                ask()

    def test_files(self, git: Any, shas: list[str]) -> None:
        whole = {"web.yaml": b"kind: Service\n", "sub/x.yaml": b"x\n"}
        assert git.files(shas[0], DIRECTORY, limits=Limits()) == whole
        assert list(git.files(shas[0], DIRECTORY, recursive=False)) == ["web.yaml"]


class TestSecretsManager:
    @pytest.fixture
    def name(self) -> str:
        return f"shop/staging/{uuid.uuid4()}"

    @pytest.fixture
    def secrets(self, which: str, name: str, moto_url: str) -> Any:  # noqa: F811
        if which == "fake":
            return FakeSecrets(Outside(secrets={name: "text\r\nü"}))
        admin = boto3.client("secretsmanager", region_name=REGION, endpoint_url=moto_url)
        admin.create_secret(Name=name, SecretString="text\r\nü")
        return SecretsManager(REGION, endpoint_url=moto_url)

    def test_the_current_version_and_the_same_by_its_number(self, secrets: Any, name: str) -> None:
        current = secrets.get(name)
        assert current.text == "text\r\nü"
        assert current.version_id
        assert current.created_at.utcoffset() == timedelta(0)
        assert secrets.get(name, current.version_id) == current

    def test_the_current_version_without_its_text(self, secrets: Any, name: str) -> None:
        assert secrets.current_version(name) == secrets.get(name).version_id
        with pytest.raises(NotFound):
            secrets.current_version(f"{name}-other")

    def test_an_older_version_stays_readable(self, secrets: Any, name: str, moto_url: str) -> None:  # noqa: F811
        old = secrets.get(name)
        store(secrets, name, "newer", moto_url)
        assert secrets.get(name).text == "newer"
        assert secrets.get(name, old.version_id).text == old.text
        assert secrets.current_version(name) != old.version_id

    def test_what_is_not_there(self, secrets: Any, name: str) -> None:
        for asked in ((f"{name}-other",), (name, str(uuid.uuid4()))):
            with pytest.raises(NotFound) as caught:
                secrets.get(*asked)
            assert caught.value.system == "Secrets Manager"


def store(secrets: Any, name: str, text: str, url: str) -> None:
    """Another program saves a secret."""
    if isinstance(secrets, FakeSecrets):
        secrets.outside.store(name, text, "version-2")
        return
    admin = boto3.client("secretsmanager", region_name=REGION, endpoint_url=url)
    admin.put_secret_value(SecretId=name, SecretString=text)


class TestEcr:
    @pytest.fixture
    def repository(self) -> str:
        return f"shop/web-{uuid.uuid4()}"

    @pytest.fixture
    def ecr(self, which: str, repository: str, moto_url: str) -> Any:  # noqa: F811
        if which == "fake":
            return FakeEcr(Outside(tags={"63ec5c0", "main"}))
        admin = boto3.client("ecr", region_name=REGION, endpoint_url=moto_url)
        admin.create_repository(repositoryName=repository)
        media = "application/vnd.oci.image.manifest.v1+json"
        parts = {"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 5}
        image = json.dumps({"schemaVersion": 2, "mediaType": media, "config": parts, "layers": [parts]})
        for tag in ("63ec5c0", "main"):
            admin.put_image(
                repositoryName=repository, imageManifest=image, imageManifestMediaType=media, imageTag=tag,
                imageDigest="sha256:" + hashlib.sha256(image.encode()).hexdigest(),
            )  # fmt: skip
        return Ecr(REGION, ACCOUNT, endpoint_url=moto_url)

    def test_tags_that_exist_and_no_others(self, ecr: Any, repository: str) -> None:
        found = ecr.digests(repository, ["nope", "main", "63ec5c0", "main"])
        assert set(found) == {"main", "63ec5c0"}
        for facts in found.values():
            assert facts.digest.startswith("sha256:")
            assert len(facts.digest) == 71
            assert facts.can_be_pulled
            assert facts.size > 0
            assert facts.pushed_at.utcoffset() == timedelta(0)
        assert ecr.digests(repository, ["nope"]) == {}
        assert ecr.digests(repository, []) == {}


HERE = "/api/v1/namespaces/shop"
THERE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "old", "namespace": "shop"},
    "data": {"a": "1"},
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesClient]:
    """A cluster with the namespace `shop`, in which the ConfigMap `old` is."""
    with running_plane("simulated", tmp_path_factory.mktemp("plane")) as plane:
        client = KubernetesClient.from_kubeconfig(plane.kubeconfig.read_text(), user_agent="suite")
        client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "shop"}})
        client.request("POST", f"{HERE}/configmaps", body=THERE)
        yield client
        client.close()


class TestCluster:
    @pytest.fixture
    def cluster(self, which: str, request: pytest.FixtureRequest) -> Any:
        if which == "adapter":
            return request.getfixturevalue("simulated")
        return FakeCluster(Outside(objects={f"{HERE}/configmaps/old": THERE}))

    def test_what_is_there_and_what_is_not(self, cluster: Any) -> None:
        answer = cluster.send("GET", f"{HERE}/configmaps/old")
        assert (answer.status, answer.body["data"]) == (200, {"a": "1"})
        assert cluster.request("GET", f"{HERE}/configmaps/old", timeout=5)["metadata"]["name"] == "old"
        with pytest.raises(ApiError) as caught:
            cluster.send("GET", f"{HERE}/configmaps/new")
        assert (caught.value.status, caught.value.reason) == (404, "NotFound")
        assert find(cluster, f"{HERE}/secrets/new") is None

    @pytest.mark.parametrize(("name", "status"), [("new", 201), ("old", 200)])
    def test_a_dry_run_answers_with_the_object(self, cluster: Any, name: str, status: int) -> None:
        body = {**THERE, "metadata": {"name": name, "namespace": "shop"}, "data": {"a": "2"}}
        path = f"{HERE}/configmaps/{name}"
        answer = cluster.send(
            "PATCH", path, query=DRY_RUN_QUERY | {"force": "true"}, body=body, content_type=APPLY
        )
        assert answer.status == status
        assert (answer.body["metadata"]["name"], answer.body["data"]) == (name, {"a": "2"})
        assert find(cluster, f"{HERE}/configmaps/new") is None

    def test_a_group_that_is_not_served(self, cluster: Any) -> None:
        assert cluster.discover("nowhere.example", "v1") == []


def test_what_is_made_to_fail_raises_that() -> None:
    """`fails` stands for any error of a system; each fake asks for it, whatever is called first."""
    error = ExternalError("gone", system="x")
    world = Outside(fails=dict.fromkeys(("git", "files", "secrets", "ecr", "cluster"), error))
    for ask in (
        lambda: FakeGit(world).fetch(0),
        lambda: FakeGit(world).files("c" * 40, ""),
        lambda: FakeSecrets(world).get("app"),
        lambda: FakeEcr(world).digests("r", []),
        lambda: FakeCluster(world).discover("", "v1"),
        lambda: FakeCluster(world).send("GET", HERE),
    ):
        with pytest.raises(ExternalError, match="gone"):
            ask()
