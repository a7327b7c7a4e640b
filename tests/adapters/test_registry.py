"""A pull credential is proven at the registry itself."""

from __future__ import annotations

import base64
import hashlib

import pytest

from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, TimedOut, Unavailable
from adapters.registry import Expired, Registry

PASSWORD = "canary-password-e1"
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def registry(stub) -> Registry:
    return Registry(stub.url, "AWS", PASSWORD)


def test_digest_by_head(stub, registry) -> None:
    stub.say(200, b"{}", Docker_Content_Digest=DIGEST)
    assert registry.digest("shop/web", "63ec5c0") == DIGEST
    assert registry.digest("shop/web", DIGEST) == DIGEST
    method, path, headers, _ = stub.requests[0]
    assert (method, path) == ("HEAD", "/v2/shop/web/manifests/63ec5c0")
    assert headers["Authorization"] == "Basic " + base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
    assert "application/vnd.oci.image.index.v1+json" in headers["Accept"]
    assert stub.requests[1][1] == f"/v2/shop/web/manifests/{DIGEST}"


def test_digest_from_the_manifest_where_no_header_tells(stub, registry) -> None:
    stub.say(200, b'{"schemaVersion": 2}')
    assert registry.digest("shop/web", "a") == "sha256:" + hashlib.sha256(b'{"schemaVersion": 2}').hexdigest()


EXPIRED_JSON = (
    '{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate."}]}'
)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected", "words"),
    [
        (
            403,
            "Your Authorization Token has expired. Please run 'aws ecr get-login'.",
            {},
            Expired,
            "has expired",
        ),
        (403, EXPIRED_JSON, {}, Expired, "has expired"),
        (
            403,
            '{"errors":[{"code":"DENIED","message":"not authorized"}]}',
            {},
            Denied,
            "may not pull from shop/web",
        ),
        (401, "", {"WWW_Authenticate": "Basic realm=x"}, Denied, "does not accept"),
        (401, "", {"WWW_Authenticate": 'Bearer realm="https://auth"'}, Invalid, "not supported"),
        (404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', {}, NotFound, "no image shop/web:63ec5c0"),
        (404, '{"errors":[{"code":"NAME_UNKNOWN"}]}', {}, NotFound, r"no repository shop/web\."),
        (429, "", {}, Throttled, "slow down"),
        (500, "<html>", {}, Unavailable, "HTTP 500"),
        (302, "", {"Location": "http://elsewhere/"}, Unavailable, "HTTP 302"),
        (200, "x" * 4_000_001, {}, Unavailable, "broke off"),
        (0, "", {}, Unavailable, "127"),
    ],
)
def test_each_no_has_its_words(stub, registry, status, body, headers, expected, words) -> None:
    stub.say(status, body, **headers)
    with pytest.raises(ExternalError, match=words) as caught:
        registry.digest("shop/web", "63ec5c0")
    assert type(caught.value) is expected
    assert PASSWORD not in str(caught.value) + caught.value.hint
    assert all(request[1].startswith("/v2/shop/web/") for request in stub.requests)


def test_silent_absent_and_untrusted_registry(stub) -> None:
    stub.say(200)
    stub.delay = 5
    with pytest.raises(TimedOut, match="no answer in time"):
        Registry(stub.url, timeout=0.2).digest("a", "b")
    with pytest.raises(Unavailable, match="not reachable"):
        Registry("http://127.0.0.1:1").digest("a", "b")
    with pytest.raises(Unavailable):
        Registry(stub.url.replace("http:", "https:"), timeout=0.5).digest("a", "b")
    with pytest.raises(Unavailable, match="not reachable"):
        Registry("https://registry.invalid").digest("a", "b")


@pytest.mark.parametrize(
    "endpoint", ["", "registry.example.com", "ftp://x", "https://", "https://u:p@host", "file:///x"]
)
def test_address_must_be_one(endpoint: str) -> None:
    with pytest.raises(Invalid):
        Registry(endpoint)


@pytest.mark.parametrize(
    ("repository", "reference"),
    [
        ("../../admin", "a"),
        ("shop/web?x=1", "a"),
        ("Shop", "a"),
        ("", "a"),
        ("shop/web", ""),
        ("shop/web", "a/../b"),
        ("shop/web", "a\r\nX: y"),
        ("shop/web", "sha256:zz"),
        ("shop/web\n", "a"),
    ],
)
def test_names_cannot_change_the_request(stub, registry, repository: str, reference: str) -> None:
    with pytest.raises(Invalid):
        registry.digest(repository, reference)
    assert stub.requests == []


def test_proxy_of_the_environment_is_used(stub, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", stub.url)
    monkeypatch.setenv("no_proxy", "")
    stub.say(200, Docker_Content_Digest=DIGEST)
    assert Registry("http://registry.example").digest("a", "b") == DIGEST
    assert stub.requests[0][1] == "http://registry.example/v2/a/manifests/b"


def test_password_of_any_characters(stub) -> None:
    stub.say(200, Docker_Content_Digest=DIGEST)
    assert Registry(stub.url, "AWS", "pässwörd→").digest("a", "b") == DIGEST


def test_signing_in_proves_the_credential_alone(stub, registry) -> None:
    stub.say(200, b"{}")
    registry.sign_in()
    method, path, headers, _ = stub.requests[0]
    assert (method, path) == ("GET", "/v2/")
    assert headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (403, "Your Authorization Token has expired.", Expired, "has expired"),
        (403, "denied", Denied, "may not sign in"),
        (401, "Not Authorized", Denied, "does not accept the pull credential"),
        (404, "not here", Unavailable, "does not answer as a registry"),
        (503, "", Unavailable, "failed on its side"),
    ],
)
def test_refusals_at_the_door(
    stub, registry, status: int, body: str, expected: type[Exception], words: str
) -> None:
    stub.say(status, body)
    with pytest.raises(expected, match=words) as refused:
        registry.sign_in()
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_registry_answers_without_a_credential_too(stub, status: int) -> None:
    stub.say(status, WWW_Authenticate='Bearer realm="https://auth"')
    Registry(stub.url).answer()
    method, path, headers, _ = stub.requests[0]
    assert (method, path, "Authorization" in headers) == ("GET", "/v2/", False)


@pytest.mark.parametrize(
    ("status", "expected"), [(404, NotFound), (429, Throttled), (503, Unavailable), (302, Unavailable)]
)
def test_what_answers_otherwise_is_no_registry(stub, status: int, expected: type[ExternalError]) -> None:
    stub.say(status)
    with pytest.raises(expected):
        Registry(stub.url).answer()


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="not reachable"):
        Registry("http://127.0.0.1:1").answer()
