"""`python -m sandbox push`: a real commit over HTTP, told as GitHub tells it, and images where no engine builds them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SlipwayError
from sandbox import docker_engine, environment, layout, pushing
from sandbox.__main__ import main
from sandbox.git.server import make_git_server, told_at
from sandbox.github.end import make_github_server
from sandbox.layout import Layout
from sandbox.samples.history import make_repository
from sandbox.samples.storefront import STOREFRONT
from sandbox.web import Handler, Server
from tests.sandbox.test_github_end import Receiver, receiver  # noqa: F401

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, serve: Callable[[Server], str], receiver: Receiver) -> Layout:  # noqa: F811
    """A sandbox of which only Git and GitHub run."""
    made = layout.load(tmp_path / "sandbox", 8123, "unix:///engine")
    make_repository(
        STOREFRONT, made.repositories / "storefront.git", start=START, registry_host=made.registry_host
    )
    end = serve(
        make_github_server(
            made.directory / "github", made.ports["github"], repositories=made.repositories, token=made.keys.github_token,
            secret=made.keys.github_webhook_secret, git_url=made.git_server, hook_url=f"{receiver.url}/webhooks/github/",
        )
    )  # fmt: skip
    tell = told_at(end, made.keys.github_token)
    serve(make_git_server(made.repositories, made.ports["git"], made.keys.git_token, tell))
    return made


def head(place: Layout, form: str, branch: str = "main") -> str:
    repository = place.repositories / "storefront.git"
    return subprocess.run(
        ["git", "log", "-1", f"--format={form}", branch], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip


def test_a_push_is_a_small_commit_that_the_portal_hears_of(
    place: Layout, receiver: Receiver, capsys: Any  # noqa: F811
) -> None:  # fmt: skip
    before = head(place, "%H")
    assert pushing.main(["storefront", "Show the price twice"], place) == 0
    assert head(place, "%s") == "Show the price twice"
    assert head(place, "%P") == before
    (body,) = receiver.bodies(1)
    assert (body["before"], body["after"]) == (before, head(place, "%H"))
    assert body["commits"][0]["added"] == ["web/CHANGES"]
    assert body["repository"]["clone_url"] == place.git_url("storefront.git")
    said = capsys.readouterr().out
    assert "pushed to main of storefront" in said
    assert "GitHub told the portal (HTTP 202" in said
    assert pushing.main(["storefront"], place) == 0
    assert receiver.bodies(2)[1]["commits"][0]["modified"] == ["web/CHANGES"]


def test_a_portal_that_refuses_is_said(place: Layout, receiver: Receiver, capsys: Any) -> None:  # noqa: F811
    receiver.status = 401
    assert pushing.main(["storefront", "x", "--branch", "broken"], place) == 1
    assert "HTTP 401" in capsys.readouterr().out
    assert head(place, "%s", "broken") == "x"


def test_without_an_engine_another_tool_publishes_and_reports(
    place: Layout, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    published: list[tuple[str, str, list[str]]] = []
    ran: list[tuple[list[str], dict[str, str]]] = []

    def publish(registry: Any, repository: str, tags: list[str], labels: dict[str, str], **more: Any) -> None:
        published.append((repository, labels["org.opencontainers.image.revision"], tags))
        assert all(path.startswith(repository.rpartition("/")[2] + "/") for path in more["layers"][0])

    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if "manage.py" not in command:
            return real(command, **options)
        ran.append((command[1:], options["env"]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("sandbox.samples.publish.connect", lambda url: url)
    monkeypatch.setattr("sandbox.samples.publish.publish_image", publish)
    monkeypatch.setattr(pushing.subprocess, "run", run)
    alone = replace(place, docker_host="")
    assert pushing.main(["storefront", "x"], alone) == 0
    sha = head(place, "%H")
    assert [one[:2] for one in published] == [("storefront/web", sha), ("storefront/worker", sha)]
    assert published[0][2] == [sha[:7], sha, "branch-main", "latest"]
    (command, env) = ran[0]
    assert command == ["manage.py", "report_build", "storefront", sha]
    assert env["DATABASE_URL"] == environment.services(alone, None)["DATABASE_URL"]
    assert (
        "no Docker engine: another tool published storefront/web, storefront/worker"
        in capsys.readouterr().out
    )


def test_what_cannot_be_pushed_is_said(place: Layout, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    with pytest.raises(SlipwayError, match="no sample project shop") as refused:
        pushing.main(["shop"], place)
    assert "storefront" in refused.value.hint
    with pytest.raises(SlipwayError, match="Git refused") as refused:
        pushing.main(["storefront", "x", "--branch", "nothing"], place)
    assert place.keys.git_token not in str(refused.value)
    monkeypatch.setenv("SANDBOX_DIR", str(tmp_path / "none"))
    monkeypatch.setattr("sys.argv", ["sandbox", "push", "storefront"])
    assert main() == 1
    assert "No sandbox was started" in capsys.readouterr().err


def test_only_the_named_engine_builds(place: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://production:2375")
    assert docker_engine.named() == ""
    monkeypatch.setenv("SANDBOX_DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(SlipwayError, match="No Docker engine answers") as refused:
        docker_engine.named()
    assert "unset SANDBOX_DOCKER_HOST" in refused.value.hint
    for wrong in ("production", "ssh://engine", "tcp://127.0.0.1:1"):
        monkeypatch.setenv("SANDBOX_DOCKER_HOST", wrong)
        with pytest.raises(SlipwayError, match="No Docker engine answers"):
            docker_engine.named()
    assert environment.services(place, None)["DOCKER_HOST"] == "unix:///engine"
    none = environment.services(replace(place, docker_host=""), None)["DOCKER_HOST"]
    assert none.startswith(f"unix://{place.directory}/")


def test_an_engine_is_known_by_its_answer(
    serve: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine(Handler):
        def do_GET(self) -> None:
            self.answer(200 if self.path == "/_ping" else 404, b"OK", {})

    address = serve(Server(0, Engine)).replace("http", "tcp")
    monkeypatch.setenv("SANDBOX_DOCKER_HOST", address)
    assert docker_engine.named() == address


def test_a_running_sandbox_is_found_with_its_port_and_engine(place: Layout, monkeypatch: Any) -> None:
    monkeypatch.delenv("PORT", raising=False)
    assert layout.running(place.directory) == place
    monkeypatch.setenv("PORT", "9000")
    assert layout.running(place.directory).port == 9000


def test_an_older_sandbox_gets_the_keys_that_it_lacks(tmp_path: Path) -> None:
    place = layout.load(tmp_path / "s", 8123)

    keys = json.loads((place.directory / "keys.json").read_text())
    kept = {name: value for name, value in keys.items() if not name.startswith("github")}
    (place.directory / "keys.json").write_text(json.dumps(kept))
    again = layout.load(place.directory, 8123)
    assert again.keys.git_token == place.keys.git_token
    assert again.keys.github_token.startswith("ghp_")
    assert layout.load(place.directory, 8123) == again
