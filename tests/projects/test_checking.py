"""Checks by trying, against a stub API server, Git repositories on disk and moto: what is found, and what it says."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from adapters.git.repository import GitRepository, UntrustedHost
from core.findings import FAILED, PASSED, WARNING, Finding
from core.redactor import MASK, Redactor, redacting
from projects import checking, connections
from projects.cluster_rights import every_right
from projects.models import Environment, Project, Registry, SecretsFile

OUTSIDE_IS_REAL = True
BLANK = "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ndata: {PASSWORD: '', URL: ''}\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


POPULATED = BLANK.replace("PASSWORD: ''", f"PASSWORD: {encoded('canary-pw')}").replace(
    "URL: ''", f"URL: {encoded('u')}"
)


@pytest.fixture(autouse=True)
def redactor() -> Iterator[Redactor]:
    """As in a request."""
    with redacting() as made:
        yield made


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


# Clusters

VERSION = {  # as `/version` of a real one
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.2",
    "gitCommit": "8cc511e399b929453cd98ae65b419c3cc227ec79",
    "gitTreeState": "clean",
    "buildDate": "2025-11-11T19:06:46Z",
    "goVersion": "go1.24.9",
    "compiler": "gc",
    "platform": "linux/amd64",
}


class Api:
    """An API server that answers probes and reviews of rights as a test says."""

    def __init__(self, server: HTTPServer) -> None:
        self.lacking: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.server = server
        server.expect_request("/api").respond_with_json({"kind": "APIVersions", "versions": ["v1"]})
        server.expect_request("/version/").respond_with_json(VERSION)
        reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        server.expect_request(reviews, method="POST").respond_with_handler(self.review)

    def review(self, request: Request) -> Response:
        """An answer of the authorizer."""
        body = json.loads(request.data)
        wanted = body["spec"]["resourceAttributes"]
        self.asked.append(wanted)
        allowed = f"{wanted['verb']} {wanted['resource']}" not in self.lacking
        answer = json.dumps({**body, "status": {"allowed": allowed}})
        return Response(answer, 201, content_type="application/json")

    def namespace(self, name: str, status: int) -> None:
        """What is said about a namespace."""
        body = (
            {"kind": "Namespace", "metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
            if status == 200
            else {"kind": "Status", "code": status, "message": f"said {status}"}
        )
        self.server.expect_request(f"/api/v1/namespaces/{name}").respond_with_json(body, status=status)

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig for it."""
        return kubeconfig(self.server.url_for("").rstrip("/"))


def kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "canary-kube-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
    )  # fmt: skip


@pytest.fixture
def api(httpserver: HTTPServer) -> Api:
    return Api(httpserver)


def test_a_good_cluster(api: Api) -> None:
    answer = checking.cluster(api.kubeconfig)
    assert answer.version == "v1.34.2"
    assert [f.state for f in answer.findings] == [PASSED, PASSED, PASSED]
    assert "Kubernetes 1.34.2" in answer.findings[0].text
    assert {"verb": "patch", "group": "apps", "resource": "deployments"} in api.asked
    assert {"verb": "get", "group": "", "resource": "pods/log"} in api.asked
    asked = {(one["verb"], one["group"], one["resource"]) for one in api.asked}
    assert asked == {(right.verb, right.group, right.resource) for right in every_right()}


def test_missing_rights_are_named(api: Api) -> None:
    api.lacking = {"patch deployments", "watch pods"}
    lacking = checking.cluster(api.kubeconfig).findings[1]
    assert lacking.state == WARNING
    assert "patch deployments" in lacking.text
    api.namespace("shop", 200)
    here = checking.namespace(api.kubeconfig, "shop")
    assert [f.state for f in here] == [PASSED, FAILED]
    assert "in shop: patch deployments, watch pods." in here[1].text
    assert here[1].can_override


def test_rights_for_pull_secrets_come_with_their_rules(api: Api) -> None:
    api.lacking = {"list secrets", "list namespaces"}
    [_, deploys, pulls] = checking.cluster(api.kubeconfig).findings
    assert (deploys.state, pulls.state) == (PASSED, WARNING)
    assert pulls.detail.endswith(
        'rules: [{apiGroups: [""], resources: ["namespaces"], verbs: ["list"]},'
        ' {apiGroups: [""], resources: ["secrets"], verbs: ["list"]}]'
    )


@pytest.mark.parametrize(("status", "state"), [(200, PASSED), (404, WARNING), (403, WARNING)])
def test_a_namespace_may_come_with_the_deploy(api: Api, status: int, state: str) -> None:
    api.namespace("shop", status)
    found = checking.namespace(api.kubeconfig, "shop")
    assert [f.state for f in found] == [state, PASSED]


def test_a_refused_token_cannot_be_overridden(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api").respond_with_json(
        {"kind": "Status", "code": 401, "message": "no"}, status=401
    )
    found = only(checking.cluster(kubeconfig(httpserver.url_for("").rstrip("/"))).findings)
    assert (found.state, found.field, found.can_override) == (FAILED, "kubeconfig", False)
    assert "401" in found.text
    assert "canary" not in found.text + found.detail


def test_a_cluster_that_is_down_can_be_overridden() -> None:
    found = only(checking.cluster(kubeconfig("http://127.0.0.1:1")).findings)
    assert found.can_override
    assert "The cluster at http://127.0.0.1:1" in found.text
    assert only(checking.namespace(kubeconfig("http://127.0.0.1:1"), "shop")).field == "cluster"


def test_a_broken_cluster_is_down_too(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api").respond_with_data("oops", status=503)
    found = only(checking.cluster(kubeconfig(httpserver.url_for("").rstrip("/"))).findings)
    assert found.can_override


def test_a_kubeconfig_that_runs_programs_is_no_question_of_being_down(api: Api) -> None:
    config = json.loads(api.kubeconfig)
    config["users"][0]["user"] = {"exec": {"command": "id"}}
    found = only(checking.cluster(json.dumps(config)).findings)
    assert not found.can_override
    assert "exec" in found.text


# Repositories


@pytest.fixture
def repository(tmp_path: Path, settings: Any) -> Project:
    """A project whose repository has a staging directory with a blank secrets file."""
    settings.GIT_PROTOCOLS, settings.GIT_MIRRORS = ("file",), tmp_path / "mirrors"
    work = tmp_path / "work"
    files = {
        "kubernetes/staging/app.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        "kubernetes/staging/secret.yaml": BLANK,
        "kubernetes/broken/app.yaml": "kind: [\n",
        "kubernetes/empty/README": "none",
    }
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(content)
    git = ["git", "-C", str(work), "-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run([*git, *command], check=True)
    return Project(slug="shop", name="Shop", repository_url=f"file://{work}", default_branch="main")


def test_a_good_repository(repository: Project) -> None:
    assert only(checking.repository(repository)).state == PASSED


def test_a_branch_that_is_not_there_is_named_with_those_that_are(repository: Project) -> None:
    repository.default_branch = "trunk"
    found = only(checking.repository(repository))
    assert (found.field, found.can_override, found.detail) == ("default_branch", True, "There is main.")


def test_a_repository_that_is_not_there_cannot_be_overridden(repository: Project) -> None:
    repository.repository_url += "-gone"
    found = only(checking.repository(repository))
    assert (found.state, found.field, found.can_override) == (FAILED, "repository_url", False)


def test_a_refused_git_credential_stands_at_the_credential(
    httpserver: HTTPServer, repository: Project, settings: Any
) -> None:
    settings.GIT_PROTOCOLS = ("http",)
    httpserver.expect_request("/shop.git/info/refs").respond_with_data("no", status=401)
    repository.repository_url = httpserver.url_for("/shop.git")
    repository.credential_kind, repository.credential = "token", "canary-git-token"
    found = only(checking.repository(repository))
    assert (found.state, found.field, found.can_override) == (FAILED, "credential", False)
    assert "canary" not in found.text + found.detail
    repository.credential_kind = ""
    assert only(checking.repository(repository)).field == "repository_url"


def test_a_deploy_key_that_cannot_be_used_stands_at_the_credential(
    repository: Project, settings: Any
) -> None:
    """A key with a passphrase is found before the host is asked, and cannot be kept."""
    settings.GIT_PROTOCOLS = ("ssh",)
    repository.repository_url = "git@127.0.0.1:shop.git"
    repository.credential_kind = "ssh"
    repository.credential = (
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary\n-----END ENCRYPTED PRIVATE KEY-----"
    )
    found = only(checking.repository(repository))
    assert (found.state, found.field, found.can_override) == (FAILED, "credential", False)
    assert "passphrase" in found.text
    assert "canary" not in found.text + found.detail


def test_a_host_with_another_key_is_no_trouble_of_the_credential(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UntrustedHost("It shows another key.", system="Git")

    monkeypatch.setattr(GitRepository, "check", refuse)
    repository.credential_kind = "token"
    repository.credential = "x"
    assert only(checking.repository(repository)).field == "repository_url"


def test_a_host_that_is_down_can_be_overridden(repository: Project, settings: Any) -> None:
    settings.GIT_PROTOCOLS = ("http",)
    repository.repository_url = "http://127.0.0.1:1/shop.git"
    assert only(checking.repository(repository)).can_override
    assert only(checking.config_directory(repository, "kubernetes/staging")).can_override


@pytest.mark.parametrize(
    ("directory", "state", "words"),
    [
        ("kubernetes/staging", PASSED, "2 objects found in kubernetes/staging"),
        ("kubernetes/nowhere", FAILED, "no directory"),
        ("kubernetes/empty", FAILED, "kubernetes/empty at"),
        ("kubernetes/broken", FAILED, "app.yaml"),
    ],
)
def test_config_directories(repository: Project, directory: str, state: str, words: str) -> None:
    found = only(checking.config_directory(repository, directory))
    assert (found.state, found.can_override) == (state, state == FAILED)
    assert words in found.text


# AWS


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """moto's server, as AWS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A boto3 client by name; the portal's own calls go to the same server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    return lambda name: boto3.client(name, region_name="eu-west-2", endpoint_url=moto_url)


def registry(endpoint: str = "https://123456789012.dkr.ecr.eu-west-2.amazonaws.com") -> Registry:
    return Registry(slug="ecr", name="ECR", endpoint=endpoint, account="123456789012", region="eu-west-2")


def test_a_registry_that_answers(aws: Any) -> None:
    assert only(checking.registry(registry())).state == PASSED
    other = only(checking.registry(registry("https://other.example")))
    assert other.state == WARNING
    assert "other.example" in other.text


def test_image_repositories(aws: Any) -> None:
    aws("ecr").create_repository(repositoryName="shop/web")
    api = connections.ecr(registry())
    assert only(checking.image_repository(api, "shop/web")).state == PASSED
    missing = only(checking.image_repository(api, "shop/none"))
    assert (missing.state, missing.field, missing.can_override) == (FAILED, "repository", True)


def secrets_file(project: Project, secret_id: str, path: str = "secret.yaml") -> SecretsFile:
    environment = Environment(project=project, slug="staging", config_directory="kubernetes/staging")
    return SecretsFile(environment=environment, path=path, secret_id=secret_id, region="eu-west-2")


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        (POPULATED, PASSED, "every key"),
        (POPULATED.replace("PASSWORD", "OTHER"), WARNING, "web/PASSWORD"),
        (POPULATED.replace(encoded("canary-pw"), encoded("changeme")), WARNING, "placeholder: web/PASSWORD"),
        ('{"PASSWORD": "canary-pw", "URL": "u"}', PASSED, "every key"),
        ('{"OTHER": "canary-pw", "URL": "u"}', WARNING, "web/PASSWORD"),
        ('["canary-pw"]', FAILED, "no Kubernetes Secret file"),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n", FAILED, "no Kubernetes Secret file"),
    ],
)
def test_secrets(aws: Any, repository: Project, text: str, state: str, words: str) -> None:
    name = f"shop/{abs(hash(text))}"
    aws("secretsmanager").create_secret(Name=name, SecretString=text)
    found = only(checking.secrets_file(secrets_file(repository, name)))
    assert found.state == state
    assert words in found.text
    assert not found.can_override
    assert "canary-pw" not in found.text + found.detail
    assert encoded("canary-pw") not in found.text + found.detail


@pytest.mark.parametrize(
    "text", [POPULATED, "{ PASSWORD = canary-pw\n", f"PASSWORD: '{encoded('canary-pw')}"]
)
def test_what_a_check_reads_is_known_to_the_redactor_of_the_request(
    aws: Any, repository: Project, redactor: Redactor, text: str
) -> None:
    """Though it runs in a thread of its own, and also of a text that is no secrets file."""
    name = f"shop/known-{abs(hash(text))}"
    aws("secretsmanager").create_secret(Name=name, SecretString=text)
    row = secrets_file(repository, name)
    checking.run([lambda: checking.secrets_file(row), lambda: checking.repository(repository)])
    assert redactor.redact("it is canary-pw.") == f"it is {MASK}."


def test_a_silent_aws_is_told_in_time(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the deadline of the checks, so that the page names it."""
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = checking.run(
            [
                lambda: checking.secrets_file(secrets_file(repository, "x")),
                lambda: checking.registry(registry()),
                lambda: checking.image_repository(connections.ecr(registry(), hasty=True), "shop/web"),
            ]
        )
    assert ["gave no answer in time" in one.text for one in found] == [True] * 3, found
    assert [one.can_override for one in found] == [True] * 3


def test_a_secret_that_is_not_there_yet(aws: Any, repository: Project) -> None:
    found = only(checking.secrets_file(secrets_file(repository, "shop/none")))
    assert (found.state, found.field, found.can_override) == (FAILED, "secret_id", True)


def test_a_reference_file_that_is_not_there(aws: Any, repository: Project) -> None:
    aws("secretsmanager").create_secret(Name="shop/ref", SecretString=POPULATED)
    found = only(checking.secrets_file(secrets_file(repository, "shop/ref", "secrets.yaml")))
    assert (found.field, found.can_override, found.detail) == ("path", True, "There is secret.yaml.")


def test_a_role_that_cannot_be_assumed_cannot_be_overridden(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/").respond_with_json(
        {"__type": "AccessDeniedException", "message": "User is not authorized"}, status=400
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", httpserver.url_for("").rstrip("/"))
    found = only(checking.registry(registry()))
    assert (found.state, found.field, found.can_override) == (FAILED, "account", False)


def test_aws_that_is_down_can_be_overridden(monkeypatch: pytest.MonkeyPatch, repository: Project) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    checks = [
        lambda: checking.registry(registry()),
        lambda: checking.image_repository(connections.ecr(registry()), "shop/web"),
        lambda: checking.secrets_file(secrets_file(repository, "x")),
    ]
    found = checking.run(checks)
    assert [f.can_override for f in found] == [True] * 3


# All together


def test_checks_run_side_by_side_and_in_order() -> None:
    together = threading.Barrier(3, timeout=60)  # nobody passes it alone

    def slow(name: str) -> checking.Check:
        return lambda: together.wait() >= 0 and [Finding(PASSED, name)]

    found = checking.run([slow("a"), slow("b"), slow("c")])
    assert [f.text for f in found] == ["a", "b", "c"]
    assert checking.run([]) == []


def test_nobody_waits_longer_than_the_deadline() -> None:
    answered = threading.Event()
    hangs = lambda: answered.wait(60) and []  # noqa: E731
    found = checking.run([hangs, lambda: [Finding(PASSED, "quick")]], deadline=1.0)
    answered.set()
    assert [f.text for f in found] == ["An outside system did not answer within 1 s.", "quick"]
    assert found[0].can_override
