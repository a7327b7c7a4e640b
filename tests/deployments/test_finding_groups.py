"""The checks of a preview: one entry for each cause, the right advice, and what mends it for those who may."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.findings import FAILED, Finding
from deployments.pages.finding_groups import Group, grouped
from deployments.pages.mending import reader_of
from deployments.preparation.preview import preview
from engine.errors import Cause
from projects.models import Environment, Role
from tests.deployments.outside import POPULATED, REFERENCE, Outside, commit
from tests.factories import grant, make_image, make_secrets_file, make_user

pytestmark = pytest.mark.django_db
WEB = b"""apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  LEVEL: "${LOG_LEVEL}"
  OTHER: "x ${LOG_LEVEL}"
  BAD: "${log-level}"
"""
READER = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1
        env:
        - {name: OTHER, valueFrom: {secretKeyRef: {name: app, key: OTHER}}}
        - {name: NOWHERE, valueFrom: {secretKeyRef: {name: app, key: NOWHERE}}}
"""


@pytest.fixture
def lead(environment: Environment) -> Any:
    user = make_user("lead")
    grant(user, Role.MAINTAINER, environment.project)
    return user


def groups(environment: Environment, user: Any, *findings: Finding) -> list[Group]:
    return grouped(findings, reader_of(user, environment, "/back/?see=1"), "a" * 40)


def of_namespace(name: str) -> list[Finding]:
    """Three objects that the cluster refused because their namespace is missing."""
    cause = Cause("namespace", name)
    return [
        Finding(
            FAILED,
            f"Service {one}: the namespace {name} does not exist.",
            "Create it.",
            subject=f"{one}.yaml:1",
            cause=cause,
        )
        for one in "abc"
    ]


def test_a_missing_namespace_is_one_entry_with_a_button(
    environment: Environment, lead: Any, deployer: Any
) -> None:
    [group] = groups(environment, lead, *of_namespace(environment.namespace))
    assert group.text == f"The namespace {environment.namespace} is not on {environment.cluster.name}."
    assert [place for place, _ in group.places] == ["a.yaml:1", "b.yaml:1", "c.yaml:1"]
    assert group.mend is not None
    assert (group.mend.label, group.mend.posts) == ("Create namespace", True)
    assert group.mend.url.endswith("/settings/environments/staging/namespace/")
    [asked] = groups(environment, deployer, *of_namespace(environment.namespace))
    assert asked.mend is not None
    assert (asked.mend.url, asked.mend.ask) == ("", "lead")


def test_a_namespace_that_is_not_the_environments_own_has_no_button(
    environment: Environment, lead: Any
) -> None:
    assert groups(environment, lead, *of_namespace("elsewhere"))[0].mend is None


def test_a_missing_pull_secret_is_one_entry(environment: Environment, lead: Any) -> None:
    cause = Cause("pull-secret", "ecr-pull", "shop")
    needs = [
        Finding(FAILED, f"Deployment {one} needs Secret ecr-pull.", "", subject=one, cause=cause)
        for one in "ab"
    ]
    told = Finding(
        FAILED,
        "The pull secret ecr-pull is missing in the namespace shop.",
        "Renew it.",
        subject="Secret",
        cause=cause,
    )
    [group] = groups(environment, lead, *needs, told)
    assert (group.text, group.detail) == (told.text, told.detail)
    assert group.mend is not None
    assert group.mend.url == "/registry/"


def test_missing_keys_lead_to_the_file_and_back(environment: Environment, lead: Any) -> None:
    file = make_secrets_file(environment, path="secret.yaml")
    found = Finding(
        FAILED,
        "The secrets file lacks 1 key.",
        "",
        keys=("app/TOKEN",),
        cause=Cause("secret-keys", place="secret.yaml"),
    )
    [group] = groups(environment, lead, found)
    assert group.mend is not None
    assert f"file={file.pk}&at={'a' * 40}&show=attention&next=%2Fback%2F%3Fsee%3D1" in group.mend.url
    assert group.keys == ("app/TOKEN",)


def test_what_has_no_known_cause_is_grouped_by_its_words(environment: Environment, lead: Any) -> None:
    same = [Finding(FAILED, "The same.", "Do this.", subject=one) for one in "ab"]
    found = groups(environment, lead, *same, Finding(FAILED, "Another.", subject="c"))
    assert [(one.text, one.places, one.mend) for one in found] == [
        ("The same.", (("a", ""), ("b", "")), None),
        ("Another.", (("c", ""),), None),
    ]


def test_the_image_that_is_not_there_is_a_cause(environment: Environment, outside: Outside) -> None:
    make_image(environment.project, name="web")
    outside.tags.clear()
    made = preview(environment, commit("c"))
    assert [finding.cause for finding in made.errors] == [Cause("image")]


class TestAMissingVariable:
    @pytest.fixture
    def address(self, environment: Environment, outside: Outside) -> str:
        outside.files = {"web.yaml": WEB}
        return f"/projects/{environment.project.slug}/staging/deploy/?see=1"

    def test_it_is_one_entry_with_a_field(
        self, environment: Environment, lead: Any, client: Client, address: str
    ) -> None:
        client.force_login(lead)
        page = client.get(address).content.decode()
        assert page.count("The variable LOG_LEVEL has no value in staging.") == 1
        assert "2 places" in page
        assert "2 would stop it" in page  # the entries, not each place
        assert '<input type="hidden" name="name" value="LOG_LEVEL">' in page
        assert "${ begins a variable" in page
        back = re.search(r'name="next" value="([^"]+)"', page)
        assert back is not None
        add = f"/projects/{environment.project.slug}/settings/environments/staging/variable/"
        answer = client.post(
            add, {"name": "LOG_LEVEL", "value": "info", "next": back[1].replace("&amp;", "&")}, follow=True
        )
        page = answer.content.decode()
        assert "staging has the variable LOG_LEVEL now." in page
        assert "LOG_LEVEL has no value" not in page
        assert 'id="preview"' in page

    def test_deployers_see_whom_to_ask(self, lead: Any, deployer: Any, client: Client, address: str) -> None:
        client.force_login(deployer)
        page = client.get(address).content.decode()
        assert "Ask lead: your role does not cover it." in page
        assert 'name="name" value="LOG_LEVEL"' not in page


def test_as_many_queries_for_many_findings(
    environment: Environment, outside: Outside, lead: Any, client: Client
) -> None:
    client.force_login(lead)
    address = f"/projects/{environment.project.slug}/staging/deploy/?see=1"

    def queries(count: int) -> int:
        lines = "".join(f'  V{n}: "${{MISSING_{n}}}"\n' for n in range(count))
        outside.files = {
            "web.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n" + lines.encode()
        }
        with CaptureQueriesContext(connection) as made:
            page = client.get(address).content.decode()
        assert page.count("has no value in staging") == count
        return len(made)

    queries(1)
    assert queries(1) == queries(15)


def test_a_secret_that_aws_does_not_have_is_made_on_its_page(
    environment: Environment, lead: Any, outside: Outside, deployer: Any
) -> None:
    file = make_secrets_file(environment, path="secret.yaml", secret_id="not-there")
    [finding] = preview(environment, commit("c")).errors
    assert finding.cause == Cause("secret-missing", "not-there", "secret.yaml")
    [group] = groups(environment, lead, finding)
    assert group.mend is not None
    assert group.mend.label == "Make the secret"
    assert f"file={file.pk}&" in group.mend.url


def test_a_key_that_a_secrets_file_lacks_is_told_once_with_the_workload_that_reads_it(
    environment: Environment, lead: Any, outside: Outside
) -> None:
    """The workload's other key is in no file's reach, and stays an entry of its own."""
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    outside.files |= {"secret.yaml": REFERENCE + b'  OTHER: ""\n', "web.yaml": READER}
    outside.secrets["app"] = POPULATED
    made = preview(environment, commit("c"))
    told, alone = groups(environment, lead, *made.errors)
    assert told.text == "The secrets file secret.yaml lacks 1 key of its reference file."
    assert told.keys == ("app/OTHER",)
    [(place, words)] = told.places
    assert place.endswith("/web")
    assert words == "Deployment web needs a key of Secret app, which has no such key."
    assert told.mend is not None
    assert told.mend.label == "Set the keys"
    assert alone.keys == ("app/NOWHERE",)
    assert not made.can_be_overridden
