"""GitHub's protocol: statuses, deployments, and each way in which it says no."""

from __future__ import annotations

import json
import time

import pytest

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
from adapters.github import GitHub, Status, repository_of, shortened

TOKEN = "ghp_canary-81c2"
SHA = "63ec5c0" + "0" * 33
STATUS = Status("success", "slipway/build", "Built in 41 s", "https://deploy.example/builds/7/")


@pytest.fixture
def github(stub) -> GitHub:
    return GitHub(TOKEN, stub.url + "/api/v3")


def sent(stub, number: int = -1) -> dict:
    return json.loads(stub.requests[number][3])


@pytest.mark.parametrize(
    ("address", "api", "expected"),
    [
        ("https://github.com/acme/shop.git", "https://api.github.com", "acme/shop"),
        ("https://github.com/acme/shop", "https://api.github.com", "acme/shop"),
        ("git@github.com:acme/shop.git", "https://api.github.com/", "acme/shop"),
        ("ssh://git@ssh.github.com:443/acme/shop.git", "https://api.github.com", "acme/shop"),
        ("https://GitHub.com/acme/shop.js", "https://api.github.com", "acme/shop.js"),
        ("https://acme.ghe.com/acme/shop", "https://api.acme.ghe.com", "acme/shop"),
        ("git@git.acme.example:team/shop.git", "https://git.acme.example/api/v3", "team/shop"),
        ("http://127.0.0.1:20001/sandbox/storefront.git", "http://127.0.0.1:20002/api/v3", "sandbox/storefront"),
        ("https://gitlab.com/acme/shop.git", "https://api.github.com", ""),
        ("https://github.com.evil.example/acme/shop.git", "https://api.github.com", ""),
        ("https://github.com/acme/shop.git", "https://git.acme.example/api/v3", ""),
        ("https://github.com/acme/group/shop.git", "https://api.github.com", ""),
        ("https://github.com/shop.git", "https://api.github.com", ""),
        ("https://github.com/acme/..", "https://api.github.com", ""),
        ("https://[bad", "https://api.github.com", ""),
        ("", "https://api.github.com", ""),
    ],
)  # fmt: skip
def test_the_repository_of_an_address(address: str, api: str, expected: str) -> None:
    assert repository_of(address, api) == expected


def test_a_status(stub, github) -> None:
    stub.say(201, {"id": 1, "state": "success"})
    github.set_status("acme/shop", SHA, STATUS)
    method, path, headers, _ = stub.requests[0]
    assert (method, path) == ("POST", f"/api/v3/repos/acme/shop/statuses/{SHA}")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert headers["User-Agent"] == "slipway"
    assert sent(stub) == {
        "state": "success",
        "context": "slipway/build",
        "description": "Built in 41 s",
        "target_url": "https://deploy.example/builds/7/",
    }


def test_a_long_description_is_shortened() -> None:
    assert shortened("a\nb  c") == "a b c"
    assert len(shortened("x" * 500)) == 140
    assert shortened("x" * 500).endswith("…")
    assert shortened("x" * 140) == "x" * 140


def test_a_deployment_and_its_status(stub, github) -> None:
    stub.say(201, {"id": 42})
    made = github.create_deployment(
        "acme/shop", SHA, "shop / staging", mark="deploy-12", description="#12 by dora", production=False
    )
    assert made == 42
    assert sent(stub) == {
        "ref": SHA,
        "environment": "shop / staging",
        "description": "#12 by dora",
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"slipway": "deploy-12"},
        "production_environment": False,
    }
    github.set_deployment_status(
        "acme/shop", made, "in_progress", log_url="https://x.example/1/", description="d", environment="staging"
    )  # fmt: skip
    assert stub.requests[-1][1] == "/api/v3/repos/acme/shop/deployments/42/statuses"
    assert sent(stub)["state"] == "in_progress"
    assert sent(stub)["auto_inactive"] is True


def test_a_deployment_is_found_by_its_mark(stub, github) -> None:
    listed = [
        {"id": 1, "payload": {}},
        {"id": 2, "payload": '{"slipway": "deploy-12"}'},
        {"id": 3, "payload": {"slipway": "deploy-13"}},
        {"id": 4, "payload": "no JSON"},
        {"id": 5, "payload": None},
    ]
    stub.say(200, json.dumps(listed))
    assert github.find_deployment("acme/shop", SHA, "shop / staging", "deploy-12") == 2
    assert github.find_deployment("acme/shop", SHA, "shop / staging", "deploy-13") == 3
    assert github.find_deployment("acme/shop", SHA, "shop / staging", "deploy-14") is None
    assert stub.requests[0][1].endswith(f"?sha={SHA}&environment=shop%20%2F%20staging&per_page=100")


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (401, {"message": "Bad credentials"}, Denied, "does not accept the token"),
        (403, {"message": "Resource not accessible by personal access token"}, Denied, "lacks repo:status for acme/shop"),
        (404, {"message": "Not Found"}, NotFound, "has no acme/shop, or the token lacks repo:status"),
        (409, {"message": "Conflict: Commit status checks failed"}, Conflict, "checks failed"),
        (301, {"message": "Moved Permanently"}, NotFound, "moved or renamed"),
        (307, {"message": "Temporary Redirect"}, NotFound, "moved or renamed"),
        (422, {"message": "Validation Failed", "errors": [{"message": "too long"}]}, Invalid, "Validation Failed: too long"),
        (422, {"message": "Validation Failed", "errors": "odd"}, Invalid, "Validation Failed"),
        (403, {"message": "You have exceeded a secondary rate limit."}, Throttled, "slow down"),
        (429, {"message": "Too many"}, Throttled, "slow down"),
        (500, {}, Unavailable, "HTTP 500"),
        (502, "<html>", Unavailable, "HTTP 502"),
    ],
)  # fmt: skip
def test_refusals_in_plain_words(stub, github, status, body, expected: type[ExternalError], words) -> None:
    stub.say(status, body, Location="http://127.0.0.1:1/elsewhere")
    with pytest.raises(ExternalError, match=words) as caught:
        github.set_status("acme/shop", SHA, STATUS)
    assert type(caught.value) is expected
    assert caught.value.permanent is (expected in (Denied, NotFound, Invalid, Conflict))
    assert TOKEN not in str(caught.value) + caught.value.hint
    assert len(stub.requests) == 1, "no redirect is followed with the token, and nothing is repeated here"


def test_a_commit_that_github_does_not_know_yet_is_asked_for_again(stub, github) -> None:
    stub.say(422, {"message": f"No commit found for SHA: {SHA}"})
    with pytest.raises(NotFound, match="yet") as caught:
        github.set_status("acme/shop", SHA, STATUS)
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "17"}, 17, 17),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "in 300 s"}, 200, 300),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, 1, 1),
        ({"X-RateLimit-Remaining": "0"}, 60, 60),
        ({"Retry-After": "999999"}, 3600, 3600),
    ],
)
def test_the_pause_that_github_asks_for(stub, github, headers, least: float, most: float) -> None:
    soon = str(int(time.time()) + 300)  # when the test runs, which may be long after it was collected
    sent = {name: soon if value == "in 300 s" else value for name, value in headers.items()}
    stub.say(403, {"message": "API rate limit exceeded"}, **sent)
    with pytest.raises(Throttled) as caught:
        github.set_status("acme/shop", SHA, STATUS)
    assert least <= (caught.value.retry_after or 0) <= most


@pytest.mark.parametrize("answer", ["no JSON", '"text"', "{}", '{"id": "x"}'])
def test_an_answer_of_another_server(stub, github, answer: str) -> None:
    stub.say(201, answer)
    with pytest.raises(Unavailable, match="made no sense"):
        github.create_deployment("acme/shop", SHA, "staging", mark="m")


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="not reachable"):
        GitHub(TOKEN, "http://127.0.0.1:1").set_status("acme/shop", SHA, STATUS)


def test_no_request_begins_after_its_time(stub) -> None:
    with pytest.raises(TimedOut):
        GitHub(TOKEN, stub.url, seconds=-1).set_status("acme/shop", SHA, STATUS)
    assert not stub.requests


@pytest.mark.parametrize("token", ["", "two words", "línea", "a\nb"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(Denied, match="token"):
        GitHub(token)


@pytest.mark.parametrize("address", ["api.github.com", "ftp://x.example", "https://user:pw@x.example"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Invalid, match="address"):
        GitHub(TOKEN, address)


def test_whether_it_answers(stub, github) -> None:
    stub.say(200, {"current_user_url": "https://api.github.com/user"})
    github.check()
    assert stub.requests[0][:2] == ("GET", "/api/v3/")
    stub.answers.clear()
    stub.say(404, "no such page")
    with pytest.raises(Unavailable, match="does not answer as GitHub"):
        github.check()
