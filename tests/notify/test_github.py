"""Builds and deploys on GitHub: in order, once, with the right token, and a missing right is said once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.utils import timezone

from adapters.errors import Denied, TimedOut
from builds.models import BuildSettings
from core.redactor import redacting
from notify import github, outbox
from notify.models import GitHubRefusal, Outgoing
from projects.models import Allotment, Project
from sandbox.github.end import make_github_server
from sandbox.samples.catalog import CATALOG
from sandbox.samples.history import make_repository
from tests import factories as make

TOKEN, OWN = "ghp_site_canary", "ghp_project_canary"
URL = "https://deploy.example/builds/7/"


class End:
    """The sandbox's GitHub. `handler`: its class, whose end tests replace."""

    def __init__(self, folder: Path) -> None:
        revisions = make_repository(
            CATALOG, folder / "git" / "catalog.git", start=datetime(2026, 6, 1, tzinfo=UTC), registry_host="r.example"
        )  # fmt: skip
        self.sha = revisions[0].commit
        self.server = make_github_server(
            folder / "github", 0, repositories=folder / "git", token=TOKEN, secret="s", git_url="http://127.0.0.1:1",
            hook_url="http://127.0.0.1:1/",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def handler(self) -> Any:
        return self.server.RequestHandlerClass

    def change(self, **values: Any) -> None:
        from dataclasses import replace

        self.handler.end = replace(self.handler.end, **values)

    def shown(self) -> dict[str, Any]:
        with urlopen(self.url) as response:
            return json.loads(response.read())

    def states(self) -> list[str]:
        return [one["state"] for one in self.shown()["statuses"]][::-1]


@pytest.fixture
def end(tmp_path: Path) -> Iterator[End]:
    made = End(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def project(db: None, settings: Any, end: End) -> Iterator[Project]:
    settings.GITHUB_API_URL, settings.GITHUB_TOKEN = f"{end.url}/api/v3", TOKEN
    made = make.with_address(
        make.make_project(slug="catalog", repository_url="http://127.0.0.1:9418/sandbox/catalog.git")
    )
    with redacting():
        yield made


def tell(
    project: Project, end: End, state: Any = "pending", key: str = "", said: str = "Build #7 runs."
) -> None:
    github.tell_status(project, end.sha, state, said, URL, key=key or f"build-7-{state}")


def deployed(project: Project, end: End, state: Any, environment: str = "staging", number: int = 3) -> None:
    github.tell_deployment(
        project, end.sha, environment, state, f"Deploy #{number}", URL, key=f"{number}-{state}",
        thread=f"github-deploy-{number}", production=False,
    )  # fmt: skip


def all_due() -> None:
    Outgoing.objects.filter(state="waiting").update(next_try_at=timezone.now() - timedelta(seconds=1))


def test_a_build_is_a_status_that_changes(project: Project, end: End) -> None:
    tell(project, end)
    tell(project, end)
    tell(project, end, "success", said="Built 2 images.")
    outbox.send_due()
    assert end.states() == ["pending", "success"]
    last = end.shown()["statuses"][0]
    assert (last["context"], last["description"], last["target_url"]) == (
        "slipway/build", "Built 2 images.", URL,
    )  # fmt: skip
    assert set(Outgoing.objects.values_list("state", "recipient")) == {("sent", "sandbox/catalog")}
    outbox.send_due()
    assert len(end.states()) == 2


def test_the_end_waits_for_the_start(project: Project, end: End) -> None:
    tell(project, end)
    tell(project, end, "failure")
    second = Outgoing.objects.latest("pk")
    assert not outbox.send(second.pk)
    assert end.states() == []


@pytest.mark.parametrize("address", ["https://gitlab.example/sandbox/catalog.git", "http://127.0.0.1:1/catalog.git"])  # fmt: skip
def test_a_repository_elsewhere_is_not_told(project: Project, end: End, address: str) -> None:
    project.repository_url = address
    tell(project, end)
    deployed(project, end, "in_progress")
    assert not Outgoing.objects.exists()


def test_without_a_token_nothing_is_written(project: Project, end: End, settings: Any) -> None:
    settings.GITHUB_TOKEN = ""
    tell(project, end)
    assert not Outgoing.objects.exists()


def test_the_projects_own_token_counts(project: Project, end: End) -> None:
    BuildSettings.objects.create(project=project, github_token=OWN)
    tell(project, end)
    outbox.send_due()
    assert end.states() == []
    assert "does not accept the token" in GitHubRefusal.objects.get().sentence
    end.change(token=OWN)
    tell(project, end, "success")
    outbox.send_due()
    assert end.states() == ["success"]
    assert not GitHubRefusal.objects.exists()


def test_a_token_that_was_removed_meanwhile(project: Project, end: End, settings: Any) -> None:
    tell(project, end)
    settings.GITHUB_TOKEN = ""
    outbox.send_due()
    assert Outgoing.objects.get().result == "There is no token for GitHub any more."


def test_no_row_holds_a_token_or_another_secret(project: Project, end: End) -> None:
    BuildSettings.objects.create(project=project, github_token=OWN)
    with redacting() as redactor:
        redactor.add(["hunter2-hunter2"])
        tell(project, end, "failure", said=f"{'x' * 130} hunter2-hunter2 was printed")
        tell(project, end, "error", said="hunter2-hunter2")
        outbox.send_due()
    rows = [*Outgoing.objects.values_list("payload", "result")]
    rows += GitHubRefusal.objects.values_list("sentence", "hint")
    kept = json.dumps(rows)
    for secret in (TOKEN, OWN, "hunter2"):
        assert secret not in kept


def test_a_missing_right_is_said_once_and_heals(project: Project, end: End) -> None:
    end.change(scopes=("repo_deployment",))
    for number in range(3):
        tell(project, end, key=f"build-{number}")
    outbox.send_due()
    (said,) = github.refusals(project)
    assert said.sentence == (
        "GitHub does not take commit statuses: it has no sandbox/catalog, or the token lacks repo:status."
    )
    assert "Commit statuses, read and write" in said.hint
    assert set(Outgoing.objects.values_list("state", flat=True)) == {"failed"}
    deployed(project, end, "in_progress")
    outbox.send_due()
    assert [one.kind for one in github.refusals(project)] == ["github_status"], "the other right is there"
    end.change(scopes=("repo:status",))
    tell(project, end, "success")
    outbox.send_due()
    assert github.refusals(project) == []


def test_a_commit_that_github_does_not_know_yet(project: Project, end: End) -> None:
    github.tell_status(project, "d" * 40, "pending", "Runs", URL, key="k")
    outbox.send_due()
    row = Outgoing.objects.get()
    assert (row.state, row.result) == ("waiting", "GitHub does not know the commit yet.")
    assert not GitHubRefusal.objects.exists()


def test_a_deploy_is_one_deployment_with_its_states(project: Project, end: End) -> None:
    deployed(project, end, "in_progress")
    deployed(project, end, "success")
    deployed(project, end, "in_progress", number=4)
    outbox.send_due()
    shown = end.shown()
    assert [(one["environment"], one["payload"]) for one in shown["deployments"]] == [
        ("staging", {"slipway": "github-deploy-4"}), ("staging", {"slipway": "github-deploy-3"}),
    ]  # fmt: skip
    first = shown["deployments"][1]["id"]
    said = [one for one in shown["deployment_statuses"] if one["deployment"] == first]
    assert [(one["state"], one["log_url"]) for one in said] == [("success", URL), ("in_progress", URL)]


def test_a_lost_answer_makes_no_second_deployment(
    project: Project, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = github.GitHub.create_deployment

    def lost(*args: Any, **kwargs: Any) -> int:
        created(*args, **kwargs)
        raise TimedOut("GitHub gave no answer in time.", system="GitHub")

    monkeypatch.setattr(github.GitHub, "create_deployment", lost)
    deployed(project, end, "in_progress")
    outbox.send_due()
    assert Outgoing.objects.get().state == "waiting"
    monkeypatch.setattr(github.GitHub, "create_deployment", created)
    all_due()
    outbox.send_due()
    assert Outgoing.objects.get().state == "sent"
    assert len(end.shown()["deployments"]) == 1


def test_the_sites_token_is_not_used_for_an_address_that_was_withdrawn(project: Project, end: End) -> None:
    Project.objects.filter(pk=project.pk).update(credential_kind=Project.Credential.TOKEN)
    project.refresh_from_db()
    project.allotments.all().delete()
    tell(project, end)
    assert not Outgoing.objects.exists()
    make.allotted(project)
    tell(project, end)
    assert Outgoing.objects.exists()


@pytest.mark.parametrize("spelling", ["catalog.git", "Catalog", "catalog/"])
def test_projects_of_one_repository_have_names_of_their_own(
    project: Project, end: End, spelling: str
) -> None:
    address = project.repository_url.replace("catalog.git", spelling)
    make.with_address(make.make_project(slug="other", repository_url=address))
    tell(project, end)
    deployed(project, end, "in_progress")
    outbox.send_due()
    shown = end.shown()
    assert shown["statuses"][0]["context"] == "slipway/build/catalog"
    assert shown["deployments"][0]["environment"] == "catalog/staging"


def test_a_github_that_hangs_takes_no_time_of_slack(
    project: Project, end: End, slack: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hang(_self: Any, repository: str, *_args: Any) -> None:
        asked.append(repository)
        assert slack.calls, "Slack was served first"
        raise TimedOut("GitHub gave no answer in time.", system="GitHub")

    monkeypatch.setattr(github.GitHub, "set_status", hang)
    for number in range(4):
        Outgoing.objects.create(
            kind="github_status", recipient=f"acme/{number}", key=f"g{number}", thread=f"g{number}",
            payload={"project": project.pk, "sha": end.sha, "state": "pending", "context": "c", "description": "d", "url": URL},
        )  # fmt: skip
    message = row("started")
    all_due()
    outbox.send_due()
    message.refresh_from_db()
    assert message.state == "sent"
    assert asked == ["acme/0", "acme/1"], "after two without an answer the others wait for the next round"


def test_the_projects_page_says_it_once(project: Project, end: End, client: Any) -> None:
    client.force_login(make.make_user("ada", is_admin=True))
    page = f"/projects/{project.slug}/"
    assert "GitHub does not take" not in client.get(page).content.decode()
    end.change(scopes=())
    for number in range(2):
        tell(project, end, key=f"build-{number}")
    outbox.send_due()
    text = client.get(page).content.decode()
    assert text.count("GitHub does not take commit statuses") == 1
    assert "or the token lacks repo:status." in text
    assert "Give the token the scope repo:status" in text


def test_the_sites_token_writes_only_where_an_admin_has_allotted_the_address(
    project: Project, end: End, settings: Any
) -> None:
    """A maintainer may name any repository that can be read by everybody."""
    Allotment.objects.filter(project=project).delete()
    assert github.repository_for(project) == ""
    with pytest.raises(Denied, match="no token"):
        github.token_of(project.pk)
    BuildSettings.objects.create(project=project, github_token=OWN)
    assert github.repository_for(project) == "sandbox/catalog"
    assert github.token_of(project.pk) == OWN


def test_of_a_project_that_was_removed_nobody_is_told(project: Project, end: End) -> None:
    tell(project, end)
    project.delete()
    outbox.send_due()
    row = Outgoing.objects.get()
    assert (row.state, row.result) == ("skipped", "The project was removed before GitHub was told.")
    assert end.states() == []


@pytest.mark.django_db(transaction=True)
def test_a_refusal_while_the_project_is_removed_ends_the_row(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GITHUB_TOKEN = TOKEN
    project = make.with_address(make.make_project(repository_url="https://github.com/acme/shop.git"))
    github.tell_status(project, "a" * 40, "pending", "Build #7 runs.", URL, key="k")

    def refused(*_: Any) -> str:
        project.delete()
        raise Denied("The token lacks a right.", system="GitHub")

    monkeypatch.setitem(github._DELIVERIES, "github_status", refused)
    with redacting():
        outbox.send_due()
    assert Outgoing.objects.get().state == "failed"
    assert not GitHubRefusal.objects.exists()
