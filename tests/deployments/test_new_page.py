"""The new deploy page: pick, read, press. What was typed stays, nothing starts twice, and it works without script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from adapters.errors import Unavailable
from core import again
from deployments.models import Deploy
from deployments.pages.previewed import changed_of, shown
from deployments.preparation.preview import Preview
from engine.cluster.changes import ObjectChange
from engine.manifests.meaning.words import Meaning
from engine.types import Action, ObjectRef
from projects import image_availability
from runs.models import State
from tests.deployments.outside import Outside, commit
from tests.factories import make_deploy, make_environment, make_image, make_release, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def address(environment: Any, outside: Outside) -> str:
    return f"/projects/{environment.project.slug}/staging/deploy/"


@pytest.fixture
def visit(client: Client, deployer: Any, address: str) -> Any:
    client.force_login(deployer)

    def get(query: str = "", status: int = 200) -> str:
        answer = client.get(f"{address}{query}")
        assert answer.status_code == status
        return answer.content.decode()

    return get


@pytest.fixture
def press(client: Client, deployer: Any, address: str, pushed: Any) -> Any:
    client.force_login(deployer)
    return lambda **fields: client.post(
        address, {"revision": "c" * 40, "key": "k", **fields}, headers={"accept": "text/html"}
    )


def chosen(page: str) -> list[str]:
    return re.findall(r'value="(\w{40})" checked', page)


class TestPicking:
    def test_the_newest_commit_is_chosen_and_the_preview_comes_by_itself(
        self, visit: Any, address: str
    ) -> None:
        page = visit()
        assert chosen(page) == ["c" * 40]
        assert [text for text in ("Change c", "Change b", "Change a") if text in page] == [
            "Change c",
            "Change b",
            "Change a",
        ]
        assert f'hx-get="{address}preview/?branch=main&amp;revision={"c" * 40}"' in page
        assert 'id="deploy-form"' not in page

    def test_without_script_it_is_one_page(self, visit: Any) -> None:
        page = visit("?see=1&revision=bbbbbbb")
        assert chosen(page) == ["b" * 40]
        assert f"Deploy {'b' * 7} to staging</button>" in page
        assert f'name="revision" value="{"b" * 40}"' in page

    def test_a_commit_that_is_not_among_the_newest_is_shown_too(
        self, visit: Any, outside: Outside, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("projects.picking.SHOWN_COMMITS", 1)
        page = visit("?revision=aaaaaaa")
        assert chosen(page) == ["a" * 40]
        assert "Change b" not in page

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("?revision=nope", "The repository has no revision"),
            ("?revision=%07", "is not a revision"),
            ("?revision=--output%3Dx", "is not a revision"),
        ],
    )
    def test_a_revision_that_does_not_exist_leaves_the_list(self, visit: Any, query: str, why: str) -> None:
        page = visit(query)
        assert why in page
        assert "Nothing was started." in page
        assert "Change b" in page
        assert chosen(page) == []

    def test_what_was_typed_stays(self, visit: Any) -> None:
        assert 'name="revision" value="&lt;nope&gt;"' in visit("?revision=<nope>")

    def test_a_branch_that_does_not_exist_leaves_the_others(self, visit: Any) -> None:
        page = visit("?branch=gone")
        assert "has no revision “gone”" in page
        assert "<option>main</option>" in page

    def test_git_that_does_not_answer_is_said_and_the_kept_mirror_serves(
        self, visit: Any, outside: Outside
    ) -> None:
        outside.fails["git"] = Unavailable("Git does not answer.", system="Git")
        page = visit()
        assert "The newest commits may be missing: Git does not answer." in page
        assert chosen(page) == ["c" * 40]

    def test_where_a_commit_runs_stands_beside_it(self, visit: Any, environment: Any) -> None:
        make_deploy(environment, revision="b" * 40, release=make_release(environment, revision="b" * 40))
        assert re.search(r"bbbbbbb</span>\s*<span[^>]*>\s*staging", visit())

    def test_what_waits_before_it_is_said(self, visit: Any, environment: Any) -> None:
        other = make_deploy(environment, State.RUNNING)
        assert f'<a href="/deploys/{other.number}/">#{other.number}</a>' in visit("?see=1")

    def test_as_many_queries_for_many_environments_and_commits(
        self, visit: Any, environment: Any, outside: Outside
    ) -> None:
        visit()
        with CaptureQueriesContext(connection) as few:
            visit()
        for _ in range(5):
            make_environment(environment.project)
        outside.commits += [commit(letter) for letter in "0123456789"]
        with CaptureQueriesContext(connection) as many:
            visit()
        assert len(many) == len(few)

    def test_the_fragment_names_the_address_of_what_it_shows(
        self, client: Client, deployer: Any, address: str
    ) -> None:
        client.force_login(deployer)
        answer = client.get(f"{address}preview/?branch=main&revision=bbbbbbb", headers={"HX-Request": "true"})
        assert answer["HX-Replace-Url"] == f"{address}?branch=main&revision={'b' * 40}"
        assert answer.content.decode().strip().startswith('<div id="preview"')


class TestReading:
    def test_new_objects_are_folded_and_findings_are_named(self, visit: Any) -> None:
        page = visit("?see=1")
        folds = re.findall(r'<details class="fold"(.*?)>(.*?)</summary>', page, re.DOTALL)
        assert [is_open for is_open, _ in folds] == [""]
        assert all(words in folds[0][1] for words in ("ConfigMap", "settings", "new", "+"))
        assert "All passed" in page

    def test_with_an_error_there_is_no_button(self, visit: Any, outside: Outside) -> None:
        outside.files["bad.yaml"] = b"a: [1"
        page = visit("?see=1")
        assert "1 would stop it" in page
        assert "bad.yaml:" in page
        assert 'type="submit" form="deploy-form"' not in page
        assert "Check again" in page


class TestPressing:
    def test_it_starts_and_leads_to_its_page(self, press: Any) -> None:
        answer = press(reason="because")
        made = Deploy.objects.get()
        assert answer.headers["Location"] == f"/deploys/{made.number}/"
        assert (made.revision, made.reason, made.state) == ("c" * 40, "because", State.QUEUED)

    def test_a_double_click_and_the_back_button_start_one(self, press: Any) -> None:
        first = press().headers["Location"]
        Deploy.objects.update(state=State.SUCCEEDED)
        assert press().headers["Location"] == first
        assert Deploy.objects.count() == 1

    def test_each_page_has_a_key_of_its_own(self, visit: Any) -> None:
        keys = {re.search(r'name="key" value="(\w+)"', visit("?see=1"))[1] for _ in range(2)}  # type: ignore[index]
        assert len(keys) == 2

    def test_two_people_at_once_get_the_same_deploy(
        self, press: Any, client: Client, environment: Any, address: str
    ) -> None:
        first = press(key="a").headers["Location"]
        admin = make_user(is_admin=True)
        client.force_login(admin)
        again = client.post(address, {"revision": "c" * 40, "key": "b"})
        assert again.headers["Location"] == first

    def test_an_unknown_revision_is_refused_and_nothing_is_lost(self, press: Any) -> None:
        answer = press(revision="nope", reason="hotfix")
        assert answer.status_code == 422
        assert "has no revision “nope”" in answer.content.decode()
        assert not Deploy.objects.exists()

    def test_without_a_revision_nothing_starts(self, press: Any) -> None:
        assert press(revision="").status_code == 422
        assert not Deploy.objects.exists()

    def test_production_asks_for_its_name_and_keeps_what_was_typed(
        self, press: Any, environment: Any
    ) -> None:
        type(environment).objects.update(is_production=True)
        answer = press(confirm="prod", reason="hotfix <1>")
        page = answer.content.decode()
        assert answer.status_code == 422
        assert "Type staging to confirm. Nothing was started." in page
        assert 'value="hotfix &lt;1&gt;"' in page
        assert 'aria-invalid="true" autofocus' in page
        assert not Deploy.objects.exists()
        assert press(confirm="staging").status_code == 302

    def test_redis_that_is_gone_keeps_the_deploy(self, client: Client, deployer: Any, address: str) -> None:
        """The tests' Redis does not exist."""
        client.force_login(deployer)
        assert client.post(address, {"revision": "c" * 40, "key": "k"}).status_code == 302
        assert Deploy.objects.get().state == State.QUEUED

    def test_a_session_that_ended_loses_nothing(self, client: Client, address: str) -> None:
        sent = {"revision": "c" * 40, "branch": "main", "reason": "hotfix", "key": "a-key"}
        headers = {"accept": "text/html", "Origin": "http://testserver"}
        answer = client.post(address, sent, headers=headers)
        page = answer.content.decode()
        assert answer.status_code == 401
        along = re.search(r'name="form_sent_late" value="([^"]*)"', page)
        late = again.opened(along[1]) if along else None
        assert late is not None
        assert sent.items() <= dict(late.kept.fields).items()
        assert not Deploy.objects.exists()


class TestAccess:
    def test_a_stranger_learns_nothing(self, client: Client, address: str) -> None:
        client.force_login(make_user())
        assert client.get(address).status_code == 404
        assert client.post(address, {"revision": "c" * 40}).status_code == 404

    def test_a_viewer_is_told_whom_to_ask(self, client: Client, viewer: Any, address: str) -> None:
        client.force_login(viewer)
        for answer in (
            client.get(address),
            client.get(f"{address}preview/"),
            client.post(address, {"revision": "c" * 40}),
        ):
            assert answer.status_code == 403
        assert not Deploy.objects.exists()

    @pytest.mark.parametrize("method", ["put", "delete", "patch"])
    def test_no_other_method(self, client: Client, deployer: Any, address: str, method: str) -> None:
        client.force_login(deployer)
        assert getattr(client, method)(address).status_code == 405

    def test_no_such_environment(self, client: Client, deployer: Any, environment: Any) -> None:
        client.force_login(deployer)
        assert client.get(f"/projects/{environment.project.slug}/nowhere/deploy/").status_code == 404


class TestBuilt:
    def test_commits_without_an_image_are_marked(
        self, visit: Any, environment: Any, outside: Outside
    ) -> None:
        make_image(environment.project)
        outside.tags = {"c" * 7, "a" * 40}
        page = visit()
        assert page.count("No image") == 1
        assert page.index("Change b") < page.index("No image") < page.index("Change a")
        assert page.count("Ready") == 2

    def test_the_answer_is_kept_and_a_missing_one_soon_forgotten(
        self, visit: Any, environment: Any, outside: Outside, monkeypatch: Any
    ) -> None:
        make_image(environment.project)
        outside.tags = {"c" * 7, "a" * 7}
        visit()
        visit()
        assert len(outside.asked) == 1
        later = image_availability.time.time() + image_availability.NOT_BUILT_SECONDS + 1
        monkeypatch.setattr(image_availability.time, "time", lambda: later)
        outside.tags.add("b" * 7)
        assert "No image" not in visit()
        assert outside.asked[1] == ("b" * 7, "b" * 40)

    def test_a_registry_that_fails_marks_nothing_and_is_left_alone(
        self, visit: Any, environment: Any, outside: Outside
    ) -> None:
        make_image(environment.project)
        outside.fails["ecr"] = Unavailable("ECR does not answer.", system="ECR")
        assert "No image" not in visit()
        visit()
        assert len(outside.asked) == 1

    def test_a_slow_registry_does_not_hold_the_page(
        self, visit: Any, environment: Any, outside: Outside, monkeypatch: Any
    ) -> None:
        import threading

        answered = threading.Event()
        make_image(environment.project)
        monkeypatch.setattr(image_availability, "LONGEST_SECONDS", 0.01)
        monkeypatch.setattr(
            image_availability, "images_by_tag", lambda image, tags, **_: answered.wait(30) and {}
        )
        try:
            assert "No image" not in visit()  # it comes though the registry has not answered
        finally:
            answered.set()


def test_only_what_is_refused_is_unfolded_and_own_marks_come_last() -> None:
    def change(name: str, error: str = "", *found: Meaning) -> ObjectChange:
        return ObjectChange(
            ObjectRef("ConfigMap", "", "ns", name), Action.CHANGE, diff=("+ x",), error=error, meaning=found
        )

    made = Preview(
        commit("c"), changes=(change("a", "", Meaning("marks")), change("b"), change("c", "refused"))
    )
    found = changed_of(made, sees_names=True, all_open=False)
    assert [(one.change.ref.name, one.is_open) for one in found] == [("c", True), ("b", False), ("a", False)]
    assert all(one.is_open for one in changed_of(made, sees_names=True, all_open=True))


def test_keys_of_a_secret_are_counted_for_those_who_may_not_see_their_names() -> None:
    keys = (Meaning("key", "TOKEN", "changed"), Meaning("key", "PIN", "added"))
    change = ObjectChange(ObjectRef("Secret", "", "ns", "app"), Action.CHANGE, diff=("+ x",), meaning=keys)
    hidden = shown(change, sees_names=False)
    assert ([one.text for one in hidden.meaning], hidden.diff) == (["2 keys changed"], ())
    assert shown(change, sees_names=True) is change
