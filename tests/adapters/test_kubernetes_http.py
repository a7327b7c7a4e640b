"""The Kubernetes client against a server that answers as API servers and proxies do on bad days."""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import adapters.kubernetes.http as transport
from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)
from adapters.kubernetes import stream
from adapters.kubernetes.client import KubernetesClient, KubernetesError, Right
from adapters.kubernetes.errors import KubernetesUnavailable
from adapters.kubernetes.limits import RetryPolicy
from engine.cluster.client import APPLY, JSON_PATCH, ApiError, before_write
from tests.adapters.test_kubernetes_config import kubeconfig

QUICK = RetryPolicy(attempts=4, budget=2.0, base=0.01, cap=0.02, longest_wait=0.5)

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0",
    "gitCommit": "60a317eadfcb839692a68eab88b2096f4d708f4f",
    "gitTreeState": "clean",
    "buildDate": "2025-04-23T13:00:37Z",
    "goVersion": "go1.24.2",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def client_for(url: str, retry: RetryPolicy = QUICK) -> KubernetesClient:
    return KubernetesClient.from_kubeconfig(
        kubeconfig(cluster={"server": url}), user_agent="slipway/1 deploy=7", retry=retry
    )


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[KubernetesClient]:
    with client_for(httpserver.url_for("").rstrip("/")) as made:
        yield made


def status(code: int, message: str = "no", reason: str = "", **details: object) -> Response:
    body = {
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
        "details": details,
    }
    return Response(json.dumps(body), status=code, content_type="application/json")


def answers(*responses: Response) -> tuple[Callable[[Request], Response], list[Request]]:
    """A handler that gives these answers in turn (the last one again and again), and the requests it saw."""
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        request.get_data()
        seen.append(request)
        return responses[min(len(seen), len(responses)) - 1]

    return handle, seen


def ok(body: object = None) -> Response:
    return Response(
        json.dumps(body or {"kind": "ConfigMap", "metadata": {}}), content_type="application/json"
    )


def apply(client: KubernetesClient) -> dict[str, object]:
    return client.request("PATCH", "/x", body={"kind": "ConfigMap"}, content_type=APPLY)


def test_what_is_sent(client: KubernetesClient, httpserver: HTTPServer) -> None:
    handle, seen = answers(ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    client.request("PATCH", "/x", query={"fieldManager": "slipway"}, body={"a": "ü"}, content_type=APPLY)
    request = seen[0]
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["User-Agent"] == "slipway/1 deploy=7"
    assert request.headers["Content-Type"] == APPLY
    assert request.args["fieldManager"] == "slipway"
    assert json.loads(request.get_data()) == {"a": "ü"}


def test_warnings_come_with_the_answer(client: KubernetesClient, httpserver: HTTPServer) -> None:
    """Several in several headers or in one, quoted as Go quotes; what is no such warning is left out."""
    answer = ok()
    answer.headers.add("Warning", '299 - "a \\"b\\" c\\\\d"')
    answer.headers.add("Warning", '299 - "second", 299 kube "third"')
    answer.headers.add("Warning", '110 anderson/1.3.37 "stale", 299 - "second"')
    handle, _ = answers(answer, ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    assert client.send("GET", "/x").warnings == ('a "b" c\\d', "second", "third")
    assert client.send("GET", "/x").warnings == ()


@pytest.mark.parametrize(
    ("code", "kind", "permanent"),
    [
        (400, Invalid, True),
        (401, Denied, True),
        (403, Denied, True),
        (404, NotFound, True),
        (409, Conflict, True),
        (410, Conflict, True),
        (415, Invalid, True),
        (422, Invalid, True),
        (429, Throttled, False),
        (500, Unavailable, False),
        (503, Unavailable, False),
        (504, TimedOut, False),
    ],
)
def test_every_refusal_is_of_both_families(
    client: KubernetesClient, httpserver: HTTPServer, code: int, kind: type[ExternalError], permanent: bool
) -> None:
    httpserver.expect_request("/x").respond_with_handler(answers(status(code, "quoted text", "Some"))[0])
    with pytest.raises(kind) as caught:
        client.request("GET", "/x")
    error = caught.value
    assert isinstance(error, ApiError)
    assert (error.status, error.permanent, error.system) == (code, permanent, "Kubernetes")
    assert isinstance(error, KubernetesError)


def test_the_causes_come_along_and_long_texts_are_cut(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    causes = [{"field": ".spec.replicas", "reason": "FieldManagerConflict", "message": 'conflict with "x"'}]
    httpserver.expect_request("/x").respond_with_handler(
        answers(status(409, "c" * 900, "Conflict", causes=causes))[0]
    )
    with pytest.raises(ApiError) as caught:
        apply(client)
    assert caught.value.causes[0].field == ".spec.replicas"
    assert len(caught.value.message) == 300


@pytest.mark.parametrize("code", [429, 502, 503, 504, 500])
@pytest.mark.parametrize(
    "send", [apply, lambda c: c.request("GET", "/x"), lambda c: c.request("DELETE", "/x")]
)
def test_repeatable_requests_are_repeated(
    client: KubernetesClient, httpserver: HTTPServer, code: int, send: Callable[[KubernetesClient], object]
) -> None:
    handle, seen = answers(status(code), status(code), ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    send(client)
    assert len(seen) == 3


def test_right_before_each_try_of_a_write_somebody_may_stop_it(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    handle, seen = answers(status(503), status(503), ok())
    httpserver.expect_request("/x").respond_with_handler(handle)
    asked: list[int] = []

    class NotAnyMore(Exception):
        """Another one writes now."""

    def make_sure() -> None:
        asked.append(len(seen))
        if len(asked) == 2:
            raise NotAnyMore

    def work() -> None:
        before_write.set(make_sure)
        with pytest.raises(Unavailable):
            once.request("GET", "/x")
        with pytest.raises(NotAnyMore):
            apply(client)

    with client_for(client.server, RetryPolicy(attempts=1)) as once:
        copy_context().run(work)
    assert asked == [1, 2]
    assert len(seen) == 2, "the read and the first try"


def test_repeats_have_an_end(client: KubernetesClient, httpserver: HTTPServer) -> None:
    handle, seen = answers(status(503))
    httpserver.expect_request("/x").respond_with_handler(handle)
    with pytest.raises(Unavailable):
        client.request("GET", "/x")
    assert len(seen) == QUICK.attempts


@pytest.mark.parametrize(
    "answer",
    [
        status(500, "failed to create typed patch object: .spec.x: field not declared in schema"),
        status(500, 'Internal error occurred: failed calling webhook "w": no endpoints', "InternalError"),
        status(409, "conflict", "Conflict"),
        status(422, "invalid", "Invalid"),
        status(401),
    ],
)
def test_what_cannot_pass_by_itself_is_not_repeated(
    client: KubernetesClient, httpserver: HTTPServer, answer: Response
) -> None:
    handle, seen = answers(answer)
    httpserver.expect_request("/x").respond_with_handler(handle)
    with pytest.raises(KubernetesError):
        apply(client)
    assert len(seen) == 1


def test_requests_that_might_happen_twice_are_not_repeated(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    handle, seen = answers(status(503))
    httpserver.expect_request("/x").respond_with_handler(handle)
    for method, kind, body in (("POST", "application/json", {}), ("PATCH", JSON_PATCH, [])):
        with pytest.raises(Unavailable):
            client.request(method, "/x", body=body, content_type=kind)
    assert len(seen) == 2


def test_retry_after_is_honoured_up_to_a_limit(client: KubernetesClient, httpserver: HTTPServer) -> None:
    soon = status(429)
    soon.headers["Retry-After"] = "0.3"
    httpserver.expect_request("/x").respond_with_handler(answers(soon, ok())[0])
    started = time.monotonic()
    client.request("GET", "/x")
    assert time.monotonic() - started >= 0.3
    late = status(429)
    late.headers["Retry-After"] = "3600"
    handle, seen = answers(late)
    httpserver.expect_request("/late").respond_with_handler(handle)
    with pytest.raises(Throttled) as caught:
        client.request("GET", "/late")
    assert (len(seen), caught.value.retry_after) == (1, 3600)


def test_a_cluster_with_too_much_to_do_is_named(client: KubernetesClient, httpserver: HTTPServer) -> None:
    """Not in the server's own words, which say "us" and mean themselves."""
    words = "the server has received too many requests and has asked us to try again later"
    busy = status(429, words, "TooManyRequests", retryAfterSeconds=3600)
    httpserver.expect_request("/x").respond_with_handler(answers(busy)[0])
    with pytest.raises(Throttled, match=r"asks to slow down: it has too much to do \(429\)") as caught:
        client.request("GET", "/x")
    assert (caught.value.hint, caught.value.retry_after) == ("Try again in a minute.", 3600)


def test_a_slow_answer_times_out(httpserver: HTTPServer) -> None:
    answered = threading.Event()
    httpserver.expect_request("/x").respond_with_handler(lambda request: (answered.wait(60), ok())[1])
    with client_for(httpserver.url_for("").rstrip("/"), RetryPolicy(attempts=1)) as client:
        with pytest.raises(TimedOut):
            client.request("GET", "/x", timeout=0.2)
        answered.set()


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with client_for(f"http://127.0.0.1:{port}") as client, pytest.raises(Unavailable) as caught:
        client.request("GET", "/x")
    assert "does not answer" in caught.value.message
    assert caught.value.status == 0


@pytest.mark.parametrize("path", ["/html", "/list"])
def test_answers_that_are_no_json_object(client: KubernetesClient, httpserver: HTTPServer, path: str) -> None:
    httpserver.expect_request("/html").respond_with_data("<html>gateway</html>")
    httpserver.expect_request("/list").respond_with_data("[1]")
    with pytest.raises(Unavailable, match="JSON"):
        client.request("GET", path)


def test_an_error_page_of_a_proxy_is_not_quoted(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("<html>s3cret</html>", status=403)
    with pytest.raises(Denied) as caught:
        client.request("GET", "/x")
    assert "s3cret" not in str(caught.value)


def test_redirects_are_not_followed(client: KubernetesClient, httpserver: HTTPServer) -> None:
    handle, seen = answers(ok())
    httpserver.expect_request("/elsewhere").respond_with_handler(handle)
    httpserver.expect_request("/x").respond_with_data(
        "", status=302, headers={"Location": httpserver.url_for("/elsewhere")}
    )
    with pytest.raises(KubernetesError):
        client.request("GET", "/x")
    assert seen == []


def test_proxies_of_the_environment_are_ignored(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/x").respond_with_handler(answers(ok())[0])
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with client_for(httpserver.url_for("").rstrip("/")) as client:
        assert client.request("GET", "/x")


def test_bodies_and_tokens_cannot_be_logged(
    client: KubernetesClient,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 2)
    caplog.set_level(logging.DEBUG)
    httpserver.expect_request("/x").respond_with_handler(answers(ok({"data": {"k": "hush-answer"}}))[0])
    client.request("PATCH", "/x", body={"data": {"k": "hush-body"}}, content_type=APPLY)
    out, err = capfd.readouterr()
    for secret in ("hush-body", "hush-answer", "t0ken"):
        assert secret not in out + err + caplog.text


def test_connections_are_kept_and_not_shared_with_a_forked_process(
    client: KubernetesClient, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/x").respond_with_handler(answers(ok())[0])
    client.request("GET", "/x")
    official = client._transport._api.rest_client
    connections = official.pool_manager
    client.request("GET", "/x")
    assert official.pool_manager is connections
    pool = connections.connection_from_url(client.server)
    assert (pool.num_connections, pool.num_requests) == (1, 2)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    client.request("GET", "/x")
    assert official.pool_manager is not connections
    connections.clear()


def test_discovery_leaves_subresources_out(client: KubernetesClient, httpserver: HTTPServer) -> None:
    resources = [
        {"name": "widgets", "kind": "Widget", "namespaced": True, "verbs": ["get"]},
        {"name": "widgets/status", "kind": "Widget", "namespaced": True},
    ]
    httpserver.expect_request("/apis/x.io/v1").respond_with_json({"resources": resources})
    httpserver.expect_request("/apis/none.io/v1").respond_with_handler(answers(status(404))[0])
    assert [r.plural for r in client.discover("x.io", "v1")] == ["widgets"]
    assert client.discover("none.io", "v1") == []


def test_missing_rights_are_named(client: KubernetesClient, httpserver: HTTPServer) -> None:
    seen: list[dict[str, Any]] = []

    def review(request: Request) -> Response:
        asked = json.loads(request.get_data())
        seen.append(asked)
        allowed = asked["spec"]["resourceAttributes"]["resource"] != "secrets"
        return ok({**asked, "status": {"allowed": allowed}})

    httpserver.expect_request("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").respond_with_handler(
        review
    )
    rights = [Right("patch", "apps", "deployments", "shop"), Right("patch", "", "secrets", "shop")]
    assert [str(right) for right in client.can(rights)] == ["patch secrets in shop"]
    assert {"verb": "patch", "group": "apps", "resource": "deployments", "namespace": "shop"} in [
        asked["spec"]["resourceAttributes"] for asked in seen
    ]


def test_a_probe_asks_what_is_not_open_to_everybody(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/version/").respond_with_json(VERSION)
    httpserver.expect_request("/api").respond_with_handler(answers(ok(), status(401))[0])
    assert client.probe().version == "v1.33.0"
    with pytest.raises(Denied, match="credentials"):
        client.probe()


def events(*lines: object) -> Response:
    return Response("".join(f"{json.dumps(line)}\n" for line in lines), content_type="application/json")


def added(name: str) -> dict[str, object]:
    return {"type": "ADDED", "object": {"metadata": {"name": name, "resourceVersion": "5"}}}


def test_a_watch_gives_events_and_raises_its_errors(client: KubernetesClient, httpserver: HTTPServer) -> None:
    gone = {
        "type": "ERROR",
        "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
    }
    handle, seen = answers(events(added("a"), gone))
    httpserver.expect_request("/w").respond_with_handler(handle)
    stream = iter(client.watch("/w", query={"resourceVersion": "1"}))
    assert next(stream)["object"]["metadata"]["name"] == "a"
    with pytest.raises(ApiError) as caught:
        next(stream)
    assert caught.value.is_gone
    assert seen[0].args["watch"] == "true"


def test_a_refused_watch_raises_at_once(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/w").respond_with_handler(answers(status(403, "forbidden", "Forbidden"))[0])
    with pytest.raises(Denied):
        client.watch("/w")


def test_a_watch_that_breaks_in_the_middle_of_an_event(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/w").respond_with_data('{"type": "ADDED", "obj')
    with pytest.raises(Unavailable):
        list(client.watch("/w"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts, sends the head of an answer, then says nothing more: a half-open connection looks like this."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        accepted: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
                accepted.append(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)
        for connection in accepted:
            connection.close()


def test_a_silent_watch_times_out(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "STREAM_TIMEOUT", 0.2)
    with client_for(silent_server) as client, pytest.raises(TimedOut):
        list(client.watch("/w"))


def test_closing_a_watch_from_another_thread_ends_it_at_once(silent_server: str) -> None:
    with client_for(silent_server) as client:
        stream = client.watch("/w")
        threading.Timer(0.1, stream.close).start()
        started = time.monotonic()
        assert list(stream) == []
        assert time.monotonic() - started < 20  # the server says nothing for ever


def test_a_watch_closed_before_its_first_event_gives_none(silent_server: str) -> None:
    with client_for(silent_server) as client:
        stream = client.watch("/w")
        stream.close()
        assert list(stream) == []


def test_a_line_without_an_end_is_cut_and_the_next_one_is_whole(
    client: KubernetesClient, httpserver: HTTPServer
) -> None:
    """8 MB in the time of 8 MB: pieces are not joined again and again."""
    httpserver.expect_request("/log").respond_with_response(
        Response("x" * 8_000_000 + "\nnext\n" + "y" * 70_000)
    )
    began = time.monotonic()
    first, second, last = client.lines("/log")
    assert time.monotonic() - began < 60
    assert first == "x" * 65_536 + " … (cut: the line is longer than 64 kB)"
    assert second == "next"
    assert last.startswith("y" * 65_536 + " …")


def test_an_event_that_is_too_long_is_no_half_event(
    client: KubernetesClient, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LONGEST_EVENT", 100_000)
    httpserver.expect_request("/watch").respond_with_response(
        events({"type": "ADDED", "object": {"a": "x" * 200_000}})
    )
    with pytest.raises(KubernetesUnavailable, match="more than 100,000 bytes"):
        list(client.watch("/watch"))


def test_lines_and_texts(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/log").respond_with_data("one\ntwo\nthree")
    assert client.text("/log") == "one\ntwo\nthree"
    assert list(client.lines("/log")) == ["one", "two", "three"]


def test_a_line_without_an_end_is_cut(client: KubernetesClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/log").respond_with_data("x" * 200_000 + "\nnext")
    cut = "x" * stream.LONGEST_LINE + stream.CUT.decode()
    assert list(client.lines("/log")) == [cut, "next"]
