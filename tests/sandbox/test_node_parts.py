"""The parts of the player that need no cluster: image names, logins, behaviours, logs, lives, certificates."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
import time
from typing import Any

import pytest

from sandbox.cluster.certificates import make_authority, make_certificate, validity
from sandbox.node.behaviour import Role, log_lines, play_for, words_of
from sandbox.node.certmanager import wanted_certificates
from sandbox.node.images import Login, PullError, Registries, logins_of, parse_reference
from sandbox.node.logs import Logs, Wanted
from sandbox.node.loop import Life, Loop
from sandbox.node.references import environment_needs, volume_needs
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import until

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("quay.io/jetstack/cert-manager:v1", "quay.io/jetstack/cert-manager:v1"),
        ("localhost/web", "localhost/web:latest"),
        ("127.0.0.1:5000/a/b/c:63ec5c0", "127.0.0.1:5000/a/b/c:63ec5c0"),
        ("[::1]:5000/web:1", "[::1]:5000/web:1"),
        (f"web@{DIGEST}", f"docker.io/library/web@{DIGEST}"),
        (f"host:1/web:1@{DIGEST}", f"host:1/web:1@{DIGEST}"),
    ],
)
def test_image_names(text: str, full: str) -> None:
    assert parse_reference(text).full == full


@pytest.mark.parametrize(
    "text", ["", "Web", "web:", "web:a b", "http://host/web", "web@sha256:1", "a//b", "host:1/"]
)
def test_what_is_no_image_name(text: str) -> None:
    with pytest.raises(PullError) as error:
        parse_reference(text)
    assert error.value.reason == "InvalidImageName"


def test_only_registries_of_this_machine_are_asked() -> None:
    registries = Registries({"1234.dkr.ecr.eu-west-2.amazonaws.com": "http://127.0.0.1:1"})
    asked = {
        host: registries.reachable(parse_reference(f"{host}/web:1"))
        for host in (
            "127.0.0.1:5000",
            "127.9.9.9",
            "localhost:5000",
            "[::1]:5000",
            "quay.io",
            "127.example.com:80",
        )
    }
    # A name that only looks like a loopback address is none.
    assert asked == {
        "127.0.0.1:5000": True,
        "127.9.9.9": True,
        "localhost:5000": True,
        "[::1]:5000": True,
        "quay.io": False,
        "127.example.com:80": False,
    }
    assert registries.reachable(parse_reference("1234.dkr.ecr.eu-west-2.amazonaws.com/web:1"))


def test_a_mirror_stands_for_a_host(registry: FakeRegistry) -> None:
    registry.push("web:1", "crash")
    image = Registries({"ecr.example.com": f"http://{registry.host}/"}).pull(
        parse_reference("ecr.example.com/web:1"), []
    )
    assert image.identity == f"ecr.example.com/web@{registry.digest}"
    assert image.labels["slipway.sandbox/behaviour"] == "crash"


def test_each_login_is_tried(registry: FakeRegistry) -> None:
    reference = parse_reference(registry.push("web:1"))
    registry.password = "right"
    logins = [Login(registry.host, "AWS", word, "ns/pull") for word in ("wrong", "right")]
    assert Registries().pull(reference, logins).identity.endswith(registry.digest)
    with pytest.raises(PullError, match="401 Unauthorized") as error:
        Registries().pull(reference, logins[:1])
    assert "wrong" not in str(error.value)
    assert "wrong" not in repr(logins)


def _secret(
    data: Any, kind: str = "kubernetes.io/dockerconfigjson", key: str = ".dockerconfigjson"
) -> dict[str, Any]:
    text = data if isinstance(data, str) else json.dumps(data)
    encoded = base64.b64encode(text.encode()).decode()
    return {"type": kind, "data": {key: encoded}, "metadata": {"namespace": "ns", "name": "pull"}}


def test_logins_of_a_pull_secret() -> None:
    auth = base64.b64encode(b"AWS:pass:word").decode()
    auths = {
        "https://host.example/v1/": {"auth": auth},
        "other:5000/path": {"username": "u", "password": "p"},
    }
    first, second = logins_of(_secret({"auths": auths}))
    assert (first.pattern, first.username, first.password) == ("host.example", "AWS", "pass:word")
    assert (second.pattern, second.username) == ("other:5000/path", "u")
    assert second.covers(parse_reference("other:5000/path/web:1"))
    assert not second.covers(parse_reference("other:5000/web:1"))
    old = _secret({"host": {"username": "u", "password": "p"}}, "kubernetes.io/dockercfg", ".dockercfg")
    assert [login.pattern for login in logins_of(old)] == ["host"]


@pytest.mark.parametrize("data", ["", "{", "[]", '{"auths": 1}', '{"auths": {"h": {"auth": "%"}}}'])
def test_a_broken_pull_secret_has_no_logins(data: str) -> None:
    assert logins_of(_secret(data)) == []


def test_behaviours() -> None:
    assert play_for("", Role.SERVICE).ends_after is None
    assert play_for("", Role.JOB).exit_code == 0
    assert play_for("crash, job-slow:3", Role.JOB).ends_after == 3
    assert play_for("crash:7, job-slow:3", Role.SERVICE).exit_code == 7
    assert play_for("crash", Role.INIT).exit_code == 0
    assert play_for("oom", Role.SERVICE).end_reason == "OOMKilled"
    assert play_for("exits", Role.SERVICE).end_reason == "Completed"
    assert play_for("never-ready", Role.SERVICE).ready_after is None


@pytest.mark.parametrize("words", ["dance", "crash:often", "dance, never-heard-of:3"])
def test_an_unknown_behaviour_is_told_and_plays_ready(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert play_for(words, Role.SERVICE) == play_for("ready", Role.SERVICE)
    assert "unknown behaviour" in capfd.readouterr().err


def test_the_nearest_words_count() -> None:
    labels = {"slipway.sandbox/behaviour": "a", "slipway.sandbox/behaviour.web": "b"}
    assert words_of(labels, {}, "web") == "b"
    assert words_of(labels, {}, "other") == "a"
    assert words_of(labels, {"slipway.sandbox/behaviour": "c"}, "web") == "c"
    assert log_lines({"slipway.sandbox/log": r"a\nb" + "\nc"}, "web") == ["a", "b", "c"]
    assert log_lines({}, "web") is None


def test_needs_of_a_pod() -> None:
    env = [
        {"name": "A", "value": "x"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    needs = list(
        environment_needs({"envFrom": [{"configMapRef": {"name": "c", "optional": True}}], "env": env})
    )
    assert [(n.kind, n.name, n.key, n.optional) for n in needs] == [
        ("ConfigMap", "c", "", True),
        ("Secret", "s", "k", False),
    ]
    token = {
        "name": "kube-api-access-x",
        "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]},
    }
    assert list(volume_needs({"volumes": [token, {"name": "e", "emptyDir": {}}]})) == []


def test_logs_keep_the_last_two_runs_and_the_last_lines() -> None:
    logs = Logs()
    for number in range(3):
        logs.begin("uid", "web", [f"run {number}"])
    assert list(logs.read("uid", "web", Wanted())) == ["run 2\n"]
    assert list(logs.read("uid", "web", Wanted(previous=True))) == ["run 1\n"]
    logs.write("uid", "web", (str(n) for n in range(3000)))
    assert list(logs.read("uid", "web", Wanted(tail=1))) == ["2999\n"]
    assert len(list(logs.read("uid", "web", Wanted()))) == 1000
    logs.forget("uid")
    assert list(logs.read("uid", "web", Wanted())) == []


def test_following_a_log() -> None:
    logs, texts = Logs(), []
    logs.begin("uid", "web", ["one"])
    reader = threading.Thread(target=lambda: texts.extend(logs.read("uid", "web", Wanted(follow=True))))
    reader.start()
    until(lambda: texts == ["one\n"], seconds=60)
    logs.write("uid", "web", ["two"])
    until(lambda: texts == ["one\n", "two\n"], seconds=60)
    logs.end("uid", "web")
    reader.join(60)
    assert not reader.is_alive()


def test_lives_that_share_a_lock_take_turns_and_can_be_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    loop, lock, said = Loop(workers=4), threading.RLock(), []

    def life(name: str, steps: int) -> Life:
        for _ in range(steps):
            said.append(f"{name} in")
            time.sleep(0.01)
            said.append(f"{name} out")
            yield 0.0

    def broken() -> Life:
        yield 0.0
        raise ValueError("a bug")

    loop.run()
    loop.start("broken", broken(), lock)
    for name in ("a", "b"):
        loop.start(name, life(name, 5), lock)
    until(lambda: len(said) == 20, seconds=60)
    assert all(said[n].split()[0] == said[n + 1].split()[0] for n in range(0, 20, 2))
    loop.start("c", life("old", 1000), lock)
    loop.start("c", life("new", 3), lock)
    until(lambda: said.count("new out") == 3, seconds=60)
    assert said.count("old out") <= 1
    assert "a bug" in capfd.readouterr().err


def test_certificates_are_good_for_their_names() -> None:
    authority = make_authority("test")
    pair = make_certificate(authority, common_name="web", names=["shop.example.com", "127.0.0.1"], days=90)
    begin, end = validity(pair.certificate)
    assert datetime.timedelta(days=90) < end - begin < datetime.timedelta(days=91)
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert context.cert_store_stats()["x509_ca"] == 1


def test_an_ingress_without_annotation_wants_no_certificate() -> None:
    spec = {"tls": [{"hosts": ["a"], "secretName": "s"}, {"hosts": ["b"]}]}
    ingress = {"metadata": {"name": "web", "namespace": "ns", "uid": "1"}, "spec": spec}
    assert list(wanted_certificates(ingress)) == []
    ingress["metadata"]["annotations"] = {"cert-manager.io/issuer": "own"}
    (certificate,) = wanted_certificates(ingress)
    assert certificate["spec"]["issuerRef"] == {"name": "own", "kind": "Issuer", "group": "cert-manager.io"}


@pytest.fixture
def registry() -> Any:
    fake = FakeRegistry()
    yield fake
    fake.close()
