"""What the official client under the Kubernetes adapter must not do: print, repeat, follow, change bodies, let its own
exceptions out, or be loaded where no cluster is talked to."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from adapters.errors import Denied, ExternalError, Invalid, TimedOut, Unavailable
from adapters.kubernetes.client import KubernetesClient, Right
from adapters.kubernetes.limits import RetryPolicy
from engine.cluster.client import ACCEPT_JSON, APPLY, JSON_PATCH, MERGE_PATCH
from sandbox.cluster.certificates import Pair, make_authority, make_certificate
from tests.adapters.test_kubernetes_config import kubeconfig
from tests.adapters.test_kubernetes_http import QUICK, VERSION, answers, client_for, ok, status
from tests.kubernetes.support import until

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RIGHT = Right("patch", "apps", "deployments", "shop")
TALKERS = ("", "urllib3", "urllib3.connectionpool", "kubernetes", "kubernetes.client.rest", "client")


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[KubernetesClient]:
    with client_for(httpserver.url_for("").rstrip("/")) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "content_type", "body"),
    [
        ("POST", ACCEPT_JSON, {"data": {"k": "ü"}}),
        ("PUT", ACCEPT_JSON, {"a": [1, None, True]}),
        ("PATCH", APPLY, {"data": {"k": "ü"}}),
        ("PATCH", MERGE_PATCH, {"metadata": {"labels": {"a": None}}}),
        ("PATCH", JSON_PATCH, [{"op": "remove", "path": "/metadata/labels/a"}]),
        ("DELETE", ACCEPT_JSON, {"preconditions": {"uid": "u"}}),
    ],
)
def test_every_body_arrives_under_its_own_content_type(
    client: KubernetesClient, httpserver: HTTPServer, method: str, content_type: str, body: Any
) -> None:
    handle, seen = answers(ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    client.request(method, "/x", body=body, content_type=content_type)
    assert (seen[0].method, seen[0].headers["Content-Type"]) == (method, content_type)
    assert json.loads(seen[0].get_data()) == body


def test_a_json_patch_that_is_no_list_is_not_sent_as_another_patch(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    handle, seen = answers(ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    with pytest.raises(ValueError, match="list"):
        client.request("PATCH", "/x", body={"op": "remove"}, content_type=JSON_PATCH)
    assert seen == []


def test_what_the_official_client_cannot_send_is_an_error_of_ours(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    handle, seen = answers(ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    with pytest.raises(Invalid, match="cannot be sent"):
        client.request("POST", "/x", body={"k": "v"}, content_type="application/octet-stream")
    assert seen == []


def test_no_logger_prints_bodies_or_tokens_even_when_told_to(
    client: KubernetesClient,
    httpserver: HTTPServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in TALKERS:
        caplog.set_level(logging.DEBUG, name)
    httpserver.expect_request("/x").respond_with_handler(
        answers(ok({"data": {"k": "hush-answer"}}), status(422, "hush-refusal", "Invalid"))[0]
    )
    httpserver.expect_request("/log").respond_with_data("hush-line")
    httpserver.expect_request("/version/").respond_with_handler(answers(status(403, "hush-typed"))[0])
    httpserver.expect_request("/api").respond_with_handler(answers(ok())[0])
    client.request("PATCH", "/x", body={"data": {"k": "hush-body"}}, content_type=APPLY)
    for refused in (lambda: client.request("POST", "/x", body={"k": "hush-body"}), client.probe):
        with pytest.raises(ExternalError):
            refused()
    assert list(client.lines("/log")) == ["hush-line"]
    out, err = capfd.readouterr()
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}  # it did talk
    for secret in ("hush", "t0ken"):
        assert secret not in out + err + caplog.text


def test_the_environment_names_no_proxy_for_typed_calls_either(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/version/").respond_with_json(VERSION)
    httpserver.expect_request("/api").respond_with_handler(answers(ok())[0])
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with client_for(httpserver.url_for("").rstrip("/")) as client:
        assert client.probe().platform == "linux/amd64"


@pytest.mark.parametrize(
    "answer",
    [
        Response('{"gitVersion": "hush"}', content_type="application/json"),
        Response('["hush"]', content_type="application/json"),
        Response('"hush"', content_type="application/json"),
        Response("", content_type="application/json"),
        Response("{hush", content_type="application/json"),
        Response("<html>hush</html>", content_type="text/html"),
        Response(b"hush\xff", content_type="application/octet-stream"),
        Response("<html>hush</html>", status=302, headers={"Location": "/elsewhere"}),
        Response("<html>hush</html>", status=502),
    ],
)
def test_typed_answers_of_another_form_are_errors_of_ours_and_quote_nothing(
    client: KubernetesClient, httpserver: HTTPServer, answer: Response
) -> None:
    handle, seen = answers(answer)
    httpserver.expect_request(REVIEWS).respond_with_handler(handle)
    httpserver.expect_request("/elsewhere").respond_with_handler(handle)
    with pytest.raises(Unavailable) as caught:
        client.can([RIGHT])
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert len(seen) == 1


def test_fields_of_newer_servers_do_no_harm(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api").respond_with_handler(answers(ok())[0])
    httpserver.expect_request("/version/").respond_with_json({**VERSION, "newer": {"a": 1}})
    review = {"spec": {"newer": 1}, "status": {"allowed": True, "newer": [1]}, "newer": "x"}
    httpserver.expect_request(REVIEWS).respond_with_json(review, status=201)
    assert client.probe().version == "v1.33.0"
    assert client.can([RIGHT]) == []


def test_a_typed_refusal_is_of_ours_and_leaves_the_answer_behind(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request(REVIEWS).respond_with_handler(answers(status(403, "forbidden", "Forbidden"))[0])
    with pytest.raises(Denied) as caught:
        client.can([RIGHT])
    error = caught.value
    assert (error.status, error.reason, error.message) == (403, "Forbidden", "forbidden")
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_typed_question_is_repeated_only_where_it_changes_nothing(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/api").respond_with_handler(answers(ok())[0])
    read, reads = answers(status(503), status(503), Response(json.dumps(VERSION), content_type=ACCEPT_JSON))
    written, writes = answers(status(503))
    httpserver.expect_request("/version/").respond_with_handler(read)
    httpserver.expect_request(REVIEWS).respond_with_handler(written)
    assert client.probe().version == "v1.33.0"
    with pytest.raises(Unavailable):
        client.can([RIGHT])
    assert (len(reads), len(writes)) == (3, 1)


def test_typed_calls_say_who_we_are_and_have_a_time_limit(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, seen = answers(status(403))
    httpserver.expect_request(REVIEWS).respond_with_handler(
        lambda request: (time.sleep(0.5), handle(request))[1]
    )
    monkeypatch.setattr("adapters.kubernetes.client.PROBE_TIMEOUT", 0.1)
    with client_for(httpserver.url_for("").rstrip("/")) as client, pytest.raises(TimedOut):
        client.can([RIGHT])
    until(lambda: seen, what="the request")
    headers = seen[0].headers
    assert (headers["Authorization"], headers["User-Agent"]) == ("Bearer t0ken", "slipway/1 deploy=7")


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("the cluster's")


@pytest.fixture
def encrypted(authority: Pair, tmp_path: Path) -> Iterator[HTTPServer]:
    """An https server whose certificate is for another name than its address."""
    pair = make_certificate(authority, common_name="api.example", names=["api.example"])
    for name, content in (("c", pair.certificate), ("k", pair.key)):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    with HTTPServer(ssl_context=context) as server:
        server.expect_request("/api").respond_with_handler(answers(ok())[0])
        server.expect_request("/version/").respond_with_json(VERSION)
        yield server


def secure_client(server: HTTPServer, trusted: Pair, **cluster: str) -> KubernetesClient:
    data = base64.b64encode(trusted.certificate).decode()
    text = kubeconfig(
        cluster={
            "server": f"https://127.0.0.1:{server.port}",
            "certificate-authority-data": data,
            **cluster,
        }
    )
    return KubernetesClient.from_kubeconfig(text, user_agent="slipway/1", retry=QUICK)


def test_the_certificate_is_checked_against_the_name_that_the_kubeconfig_gives(
    encrypted: HTTPServer, authority: Pair
) -> None:
    with secure_client(encrypted, authority, **{"tls-server-name": "api.example"}) as client:
        assert client.probe().version == "v1.33.0"
    with secure_client(encrypted, authority) as client:
        for ask in (lambda: client.request("GET", "/api"), lambda: client.can([RIGHT])):
            with pytest.raises(Unavailable, match="No trusted connection") as caught:
                ask()
            assert caught.value.permanent


def test_another_authority_is_not_trusted_whatever_the_environment_says(
    encrypted: HTTPServer, authority: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca").write_bytes(authority.certificate)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "ca"))
    names = {"tls-server-name": "api.example"}
    with secure_client(encrypted, make_authority("another"), **names) as client:
        for ask in (lambda: client.request("GET", "/api"), client.probe, lambda: client.can([RIGHT])):
            with pytest.raises(Unavailable, match="No trusted connection"):
                ask()


def test_without_an_authority_the_system_s_own_count(
    encrypted: HTTPServer, authority: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca").write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca"))
    text = kubeconfig(
        cluster={"server": f"https://127.0.0.1:{encrypted.port}", "tls-server-name": "api.example"}
    )
    retry = RetryPolicy(attempts=1)
    with KubernetesClient.from_kubeconfig(text, user_agent="slipway/1", retry=retry) as client:
        assert client.probe().version == "v1.33.0"


# Import --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import django; django.setup(); import portal.urls, portal.asgi", False),
        ("from adapters.kubernetes.client import check_kubeconfig", False),
        (
            "import importlib, django; django.setup(); from django.conf import settings\n"
            "for name in settings.WORKER_PRELOAD: importlib.import_module(name)",
            True,
        ),
    ],
)
def test_only_workers_load_the_official_client_before_they_need_it(code: str, loaded: bool) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('kubernetes.client' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1] == str(loaded)
