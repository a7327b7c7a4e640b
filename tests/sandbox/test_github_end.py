"""The GitHub end answers as the documentation of GitHub's REST API says, and tells of pushes as its webhooks do."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from adapters.errors import Denied, Invalid, NotFound
from adapters.github import GitHub, Status, repository_of
from sandbox.git.server import make_git_server, told_at
from sandbox.github.end import make_github_server
from sandbox.samples.catalog import CATALOG
from sandbox.samples.history import make_repository
from sandbox.web import Handler, Server
from tests.sandbox.test_git_server import git

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOKEN, SECRET, GIT_TOKEN = "ghp_end", "hook secret", "git"
REPOSITORY = "sandbox/catalog"
ZEROS = "0" * 40


@dataclass
class Receiver:
    """The portal's side: keeps what was delivered. `status`: its answer."""

    url: str = ""
    status: int = 202
    got: list[tuple[Message, bytes]] = field(default_factory=list)

    def wait(self, count: int) -> list[tuple[Message, bytes]]:
        deadline = time.monotonic() + 60
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} deliveries came"
            time.sleep(0.01)
        return self.got

    def bodies(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.wait(count)]


@dataclass
class World:
    """The running ends. `heads`: the newest commit of each branch."""

    url: str
    git_url: str
    receiver: Receiver
    heads: dict[str, str]
    clone: Path

    @property
    def api(self) -> str:
        return f"{self.url}/api/v3"

    def shown(self) -> dict[str, Any]:
        with urlopen(self.url + "/?format=json") as response:
            return json.loads(response.read())

    def git(self, *args: str) -> str:
        done = git(*args, cwd=self.clone, token=GIT_TOKEN)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        for name, text in files.items():
            (self.clone / name.replace("__", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def receiver(serve: Callable[[Server], str]) -> Receiver:
    state = Receiver()

    class Hook(Handler):
        def do_POST(self) -> None:
            state.got.append((self.headers, self.body()))
            self.answer(state.status, b"taken", {})

    state.url = serve(Server(0, Hook))
    return state


@pytest.fixture
def make(tmp_path: Path, serve: Callable[[Server], str], receiver: Receiver) -> Callable[..., World]:
    def build(**options: Any) -> World:
        revisions = make_repository(
            CATALOG, tmp_path / "git" / "catalog.git", start=START, registry_host="127.0.0.1:5000"
        )
        server = make_github_server(
            tmp_path / "github", 0, repositories=tmp_path / "git", token=TOKEN, secret=SECRET,
            git_url="http://127.0.0.1:9418", hook_url=f"{receiver.url}/webhooks/github/", **options,
        )  # fmt: skip
        url = serve(server)
        git_url = serve(make_git_server(tmp_path / "git", 0, GIT_TOKEN, told_at(url, TOKEN)))
        clone = tmp_path / "clone"
        git("clone", "--quiet", "--", f"{git_url}/sandbox/catalog.git", str(clone), token=GIT_TOKEN)
        heads = {revision.branch: revision.commit for revision in revisions}
        return World(url, git_url, receiver, heads, clone)

    return build


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()


def ask(
    world: World, path: str, body: object = None, *, token: str | None = TOKEN, agent: str = "test"
) -> tuple[int, Any]:
    headers = {"User-Agent": agent, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(world.api + path, data, headers)) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


# --- statuses and deployments: what the documentation says -------------------------------------------------------------


def test_a_status_is_answered_as_documented(world: World) -> None:
    sha = world.heads["main"]
    given = {
        "state": "success",
        "context": "slipway/build",
        "description": "Built",
        "target_url": "https://x.example/",
    }
    status, body = ask(world, f"/repos/{REPOSITORY}/statuses/{sha}", given)
    assert status == 201
    assert given.items() <= body.items()
    assert {"id", "created_at", "updated_at"} <= body.keys()
    status, body = ask(world, f"/repos/{REPOSITORY}/statuses/{sha}", {"state": "pending"})
    assert (status, body["context"], body["description"]) == (201, "default", None)
    assert [one["state"] for one in ask(world, f"/repos/{REPOSITORY}/commits/{sha}/statuses")[1]] == [
        "pending", "success",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": "in_progress"}, "state"),
        ({"state": None}, "state"),
        ({"description": "x" * 141}, "description"),
        ({"context": "x" * 256}, "context"),
        ({"target_url": "javascript:alert(1)"}, "target_url"),
    ],
)
def test_an_invalid_status_is_refused_with_its_field(
    world: World, change: dict[str, Any], field: str
) -> None:
    body = {"state": "success", **change}
    status, answer = ask(world, f"/repos/{REPOSITORY}/statuses/{world.heads['main']}", body)
    assert (status, answer["message"]) == (422, "Validation Failed")
    assert [error["field"] for error in answer["errors"]] == [field]
    if field == "description":
        assert answer["errors"][0]["message"] == "description is too long (maximum is 140 characters)"


def test_an_unknown_commit(world: World) -> None:
    sha = "a" * 40
    status, answer = ask(world, f"/repos/{REPOSITORY}/statuses/{sha}", {"state": "success"})
    assert (status, answer["message"]) == (422, f"No commit found for SHA: {sha}")
    status, answer = ask(world, f"/repos/{REPOSITORY}/statuses/main", {"state": "success"})
    assert answer["errors"][0]["message"] == "sha must be a 40 character SHA1"


@pytest.mark.parametrize(
    ("path", "token", "agent", "expected"),
    [
        ("/repos/sandbox/catalog/statuses/x", None, "test", 401),
        ("/repos/sandbox/catalog/statuses/x", "ghp_other", "test", 401),
        ("/repos/sandbox/nothing/statuses/x", TOKEN, "test", 404),
        ("/repos/other/catalog/statuses/x", TOKEN, "test", 404),
        ("/repos/sandbox/..%2fcatalog/statuses/x", TOKEN, "test", 404),
        ("/repos/sandbox/catalog/nothing", TOKEN, "test", 404),
        ("/user", TOKEN, "test", 404),
        ("/repos/sandbox/catalog/statuses/x", TOKEN, "", 403),
    ],
)
def test_who_is_refused(world: World, path: str, token: str | None, agent: str, expected: int) -> None:
    status, answer = ask(world, path, {"state": "success"}, token=token, agent=agent)
    assert status == expected
    assert answer["message"]


def test_what_is_no_json(world: World) -> None:
    path = f"/repos/{REPOSITORY}/deployments"
    assert ask(world, path, b"{")[0] == 400
    assert ask(world, path, b"[]")[0] == 400


def test_deployments_wait_for_statuses_unless_told_not_to(world: World) -> None:
    sha, path = world.heads["main"], f"/repos/{REPOSITORY}/deployments"
    ask(world, f"/repos/{REPOSITORY}/statuses/{sha}", {"state": "pending", "context": "slipway/build"})
    assert ask(world, path, {"ref": sha})[0] == 409
    status, body = ask(world, path, {"ref": "main", "required_contexts": [], "environment": "staging"})
    assert (status, body["sha"], body["ref"], body["task"]) == (201, sha, "main", "deploy")
    ask(world, f"/repos/{REPOSITORY}/statuses/{sha}", {"state": "success", "context": "slipway/build"})
    assert ask(world, path, {"ref": sha})[0] == 201
    assert ask(world, path, {"ref": "nothing"})[1]["message"] == "No ref found for: nothing"
    assert ask(world, path, {})[0] == 422
    found = ask(world, f"{path}?environment=staging&sha={sha}")[1]
    assert [one["id"] for one in found] == [body["id"]]


def test_a_success_ends_earlier_deployments_except_those_of_production(world: World) -> None:
    github = GitHub(TOKEN, world.api)

    def deploy(environment: str, mark: str, *, production: bool) -> int:
        made = github.create_deployment(
            REPOSITORY, world.heads["main"], environment, mark=mark, production=production
        )
        for state in ("in_progress", "success"):
            github.set_deployment_status(
                REPOSITORY, made, state, log_url="https://x.example/1/", description="", environment=environment
            )  # fmt: skip
        return made

    staging = [deploy("staging", f"s{n}", production=False) for n in range(2)]
    production = [deploy("production", f"p{n}", production=True) for n in range(2)]

    def newest(number: int) -> str:
        return str(ask(world, f"/repos/{REPOSITORY}/deployments/{number}/statuses")[1][0]["state"])

    assert [newest(number) for number in staging] == ["inactive", "success"]
    assert [newest(number) for number in production] == ["success", "success"]
    assert github.find_deployment(REPOSITORY, world.heads["main"], "staging", "s1") == staging[1]
    assert github.find_deployment(REPOSITORY, world.heads["main"], "staging", "s9") is None
    assert ask(world, f"/repos/{REPOSITORY}/deployments/{staging[0]}/statuses", {"state": "done"})[0] == 422
    assert ask(world, f"/repos/{REPOSITORY}/deployments/7/statuses", {"state": "success"})[0] == 404


def test_the_adapter_understands_it(make: Callable[..., World]) -> None:
    world = make(scopes=("repo:status",))
    github = GitHub(TOKEN, world.api)
    status = Status("failure", "slipway/build", "x" * 300, "https://x.example/")
    github.set_status(REPOSITORY, world.heads["main"], status)
    with pytest.raises(NotFound, match="lacks repo_deployment"):
        github.create_deployment(REPOSITORY, world.heads["main"], "staging", mark="m")
    with pytest.raises(Denied, match="does not accept the token"):
        GitHub("ghp_other", world.api).set_status(REPOSITORY, world.heads["main"], status)
    with pytest.raises(NotFound, match="yet") as unknown:
        github.set_status(REPOSITORY, "b" * 40, status)
    assert not unknown.value.permanent
    with pytest.raises(Invalid, match="http"):
        github.set_status(REPOSITORY, world.heads["main"], Status("error", "c", "d", "ftp://x.example"))
    assert repository_of(f"{world.git_url}/sandbox/catalog.git", world.api) == REPOSITORY


def test_its_state_is_kept_and_holds_no_secret(make: Callable[..., World], tmp_path: Path) -> None:
    world = make()
    GitHub(TOKEN, world.api).set_status(
        REPOSITORY, world.heads["main"], Status("success", "c", "<b>d</b>", "https://x.example/?a&b")
    )
    note = tmp_path / "github" / "github.json"
    assert note.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in note.read_text()
    assert SECRET not in note.read_text()
    page = urlopen(Request(world.url, headers={"Accept": "text/html"})).read().decode()
    assert "&lt;b&gt;d&lt;/b&gt;" in page
    assert "<b>d" not in page


# --- pushes ------------------------------------------------------------------------------------------------------------


def test_a_push_is_delivered_signed(world: World) -> None:
    before = world.heads["main"]
    (world.clone / "README.md").unlink()
    after = world.commit("Two things", new__txt="1", **{"api__go": "2"})
    world.git("push", "--quiet", "origin", "HEAD:main")
    headers, raw = world.receiver.wait(1)[0]
    assert headers["X-GitHub-Event"] == "push"
    assert len(headers["X-GitHub-Delivery"]) == 36
    assert headers["Content-Type"] == "application/json"
    expected = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={expected}"
    body = json.loads(raw)
    assert (body["ref"], body["before"], body["after"]) == ("refs/heads/main", before, after)
    assert (body["created"], body["deleted"], body["forced"]) == (False, False, False)
    commit = body["commits"][0]
    assert (commit["id"], commit["message"]) == (after, "Two things")
    assert (commit["added"], commit["removed"], commit["modified"]) == (
        ["api.go", "new.txt"], ["README.md"], [],
    )  # fmt: skip
    assert body["head_commit"] == commit
    assert body["repository"]["full_name"] == REPOSITORY
    assert body["repository"]["clone_url"] == "http://127.0.0.1:9418/sandbox/catalog.git"
    assert body["repository"]["default_branch"] == "main"


def test_new_deleted_and_forced_branches_and_tags(world: World) -> None:
    first = world.commit("One", one="1")
    world.git("push", "--quiet", "origin", "HEAD:feature")
    world.git("commit", "--quiet", "--amend", "-m", "Other")
    second = world.git("rev-parse", "HEAD")
    world.git("push", "--quiet", "--force", "origin", "HEAD:feature")
    world.git("tag", "-a", "v1", "-m", "Version 1")
    world.git("push", "--quiet", "origin", "v1")
    world.git("push", "--quiet", "origin", "--delete", "feature")
    created, forced, tagged, deleted = world.receiver.bodies(4)
    assert (created["created"], created["before"], created["after"]) == (True, ZEROS, first)
    assert [commit["id"] for commit in created["commits"]] == [first]
    assert (forced["forced"], forced["before"], forced["after"]) == (True, first, second)
    assert [commit["message"] for commit in forced["commits"]] == ["Other"]
    assert (tagged["ref"], tagged["created"], tagged["commits"]) == ("refs/tags/v1", True, [])
    assert tagged["after"] == world.git("rev-parse", "v1")
    assert tagged["head_commit"]["id"] == second
    assert (deleted["deleted"], deleted["after"], deleted["head_commit"], deleted["commits"]) == (
        True, ZEROS, None, [],
    )  # fmt: skip


def test_a_push_that_changes_nothing_tells_nothing(world: World) -> None:
    world.git("push", "--quiet", "origin", "HEAD:main")
    world.commit("One", one="1")
    refused = subprocess.run(
        ["git", "push", "--quiet", f"{world.git_url}/sandbox/catalog.git", "HEAD:main"],
        cwd=world.clone, env={"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0"}, capture_output=True, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    time.sleep(0.2)
    assert not world.receiver.got
    assert world.shown()["deliveries"] == []


def test_a_delivery_is_kept_with_its_answer_and_sent_again(world: World) -> None:
    world.receiver.status = 503
    world.commit("One", one="1")
    world.git("push", "--quiet", "origin", "HEAD:main")
    world.receiver.wait(1)
    world.receiver.status = 202
    guid = world.shown()["deliveries"][0]["guid"]
    urlopen(Request(f"{world.url}/deliveries/{guid}/attempts", b"", method="POST"))
    (first, body), (second, again) = world.receiver.wait(2)
    assert first["X-GitHub-Delivery"] == second["X-GitHub-Delivery"] == guid
    assert body == again
    deadline = time.monotonic() + 60
    while len(attempts := world.shown()["deliveries"][0]["attempts"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [one["status"] for one in attempts] == [503, 202]
    with pytest.raises(HTTPError, match="404"):
        urlopen(Request(f"{world.url}/deliveries/none/attempts", b"", method="POST"))


def test_a_portal_that_is_down_breaks_no_push(world: World) -> None:
    world.receiver.status = 500
    world.commit("One", one="1")
    world.git("push", "--quiet", "origin", "HEAD:main")
    assert world.git("ls-remote", "origin", "refs/heads/main").split()[0] == world.git("rev-parse", "HEAD")
