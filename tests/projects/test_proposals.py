"""The page that proposes what a repository has: what it shows, what it saves, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import TimedOut
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects import connections
from projects.models import Allotment, Environment, Image, Project, SecretsFile
from projects.reading.accepting import ChosenEnvironment, accept
from projects.reading.scan import scan_folders
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.projects.test_reading import SAMPLES

HERE = "/projects/fresh/settings/proposals/"
DOCKERFILE = "FROM scratch\n"


def storefront() -> dict[str, str]:
    """The manifests of a sample, for both of its environments."""
    files = {
        f"kubernetes/{name}/{file.name}": file.read_text()
        for name in ("staging", "production")
        for file in (SAMPLES / "storefront" / "kubernetes" / name).iterdir()
    }
    return files | {"web/Dockerfile": DOCKERFILE, "worker/Dockerfile": DOCKERFILE}


@pytest.fixture
def fresh(world: Any, origin: Any, settings: Any, tmp_path: Any) -> Project:  # noqa: F811
    """A project without environments, whose repository has the storefront's files."""
    settings.GIT_PROTOCOLS = ("file",)
    settings.GIT_MIRRORS = tmp_path / "mirrors"
    origin.commit("Run on Kubernetes", storefront())
    project = make.make_project(slug="fresh", name="Fresh", repository_url=f"file://{origin.bare}")
    Allotment.objects.create(
        project=project, kind=Allotment.Kind.NAMESPACE, cluster=world.cluster, pattern="fresh-*"
    )
    Allotment.objects.create(project=project, kind=Allotment.Kind.SECRET, pattern="fresh/*")
    make.grant(world.maintainer, "maintainer", project)
    return project


def fields_of(client: Any, answer: Any) -> dict[str, Any]:
    """The fields of the page's form, as a browser would send them."""
    found: dict[str, Any] = {}
    proposal = answer.context["proposal"]
    for formset in proposal.formsets:
        for form in (formset.management_form, *formset.forms):
            for field in form:
                value = field.value()
                if value is True:
                    found[field.html_name] = "on"
                elif value not in (False, None):
                    found[field.html_name] = getattr(value, "pk", value)
    return found


VALUES = {"LOG_LEVEL": "info", "PUBLIC_HOST": "shop.example", "WEB_REPLICAS": "2", "WORKER_REPLICAS": "1"}


def filled(client: Any, answer: Any) -> dict[str, Any]:
    """The same with a value for every variable."""
    fields = fields_of(client, answer)
    for name, value in list(fields.items()):
        if name.startswith("variables-") and name.endswith("-name"):
            fields[name.removesuffix("name") + "value"] = VALUES[value]
    return fields


def test_it_proposes_and_saves_everything_in_one_step(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.admin)
    answer = client.get(HERE)
    assert answer.status_code == 200
    text = answer.content.decode()
    for shown in ("kubernetes/staging", "fresh-production", "LOG_LEVEL", "config.yaml:", "fresh/staging"):
        assert shown in text, shown
    answer = client.post(HERE, filled(client, answer))
    assert (answer.status_code, answer["Location"]) == (302, "/projects/fresh/")
    rows = list(
        fresh.environments.order_by("order").values_list(
            "slug", "namespace", "is_production", "cluster__slug"
        )
    )
    assert rows == [
        ("staging", "fresh-staging", False, "lon1"),
        ("production", "fresh-production", True, "lon1"),
    ]
    staging = Environment.objects.get(project=fresh, slug="staging")
    assert {row["name"]: (row["value"], row["type"]) for row in staging.variables}["WEB_REPLICAS"] == (
        "2",
        "number",
    )
    files = SecretsFile.objects.filter(environment=staging).values_list("path", "secret_id")
    assert list(files) == [("secrets.yaml", "fresh/staging")]
    assert {image.repository for image in Image.objects.filter(project=fresh)} == {
        "fresh/web",
        "fresh/worker",
    }
    verbs = AuditEvent.objects.filter(project_slug="fresh").values_list("verb", flat=True)
    assert {"environment.created", "image.created", "secrets_file.created"} <= {*verbs}
    again = client.get(HERE).content.decode()
    assert "Nothing new in the repository" in again


def test_what_was_sent_twice_is_saved_once(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.admin)
    fields = filled(client, client.get(HERE))
    assert [client.post(HERE, fields).status_code for _ in range(2)] == [302, 302]
    assert (fresh.environments.count(), fresh.images.count()) == (2, 2)


def test_all_errors_come_at_once_and_nothing_is_saved(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.admin)
    fields = filled(client, client.get(HERE))
    fields |= {"environments-0-namespace": "Not a namespace", "environments-1-slug": "new"}
    fields |= {"variables-0-value": "", "images-0-repository": "UPPER", "files-0-secret_id": ""}
    answer = client.post(HERE, fields)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "5 rows need a look" in text
    for said in (
        "Write a Kubernetes namespace name.",
        "Give it a value, or untick it",
        "Write a repository name",
    ):
        assert said in text, said
    assert fresh.environments.count() == fresh.images.count() == 0


def test_two_environments_in_one_namespace(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.admin)
    fields = filled(client, client.get(HERE)) | {"environments-1-namespace": "fresh-staging"}
    answer = client.post(HERE, fields)
    assert answer.status_code == 422
    assert "Staging has this namespace, too" in answer.content.decode()


def test_what_is_not_ticked_is_not_judged(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.admin)
    fields = filled(client, client.get(HERE))
    for name in ("environments-1-take", "images-0-take", "images-1-take"):
        fields.pop(name)
    for name in fields:
        if (
            name.startswith("variables-")
            and fields.get(name.rpartition("-")[0] + "-folder") == "kubernetes/production"
        ):
            fields[name] = "" if name.endswith("-value") else fields[name]
    assert client.post(HERE, fields | {"environments-1-slug": ""}).status_code == 302
    assert [one.slug for one in fresh.environments.all()] == ["staging"]
    assert fresh.images.count() == 0


def test_what_is_not_allotted_is_a_wish_to_an_admin(world: Any, fresh: Project, sign_in: Any) -> None:
    client = sign_in(world.maintainer)
    fields = filled(client, client.get(HERE)) | {"environments-0-namespace": "kube-system"}
    answer = client.post(HERE, fields)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert (
        "The namespace kube-system of London is not allotted to Fresh. Ask an admin (ada) to allot it."
        in text
    )
    assert "The repository fresh/web of ECR is not allotted to Fresh." in text
    assert fresh.environments.count() == fresh.images.count() == 0


def test_who_may_not(world: Any, fresh: Project, sign_in: Any) -> None:
    assert sign_in(world.viewer).get(HERE).status_code == 404
    chosen = ChosenEnvironment(0, "kubernetes/qa", "qa", "QA", False, world.cluster, "fresh-qa")
    with pytest.raises(Refused):
        accept(person(world.viewer), fresh, [chosen], [])


@pytest.mark.parametrize(
    ("url", "says"),
    [("file:///nowhere/at-all.git", "not"), ("https://127.0.0.1:1/x.git", "not allowed")],
)
def test_a_repository_that_does_not_answer(
    world: Any, fresh: Project, sign_in: Any, url: str, says: str
) -> None:
    Project.objects.filter(pk=fresh.pk).update(repository_url=url)
    answer = sign_in(world.admin).get(HERE)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert says in text
    assert "enter an environment by hand" in text


def test_an_empty_repository(world: Any, fresh: Project, sign_in: Any, tmp_path: Any) -> None:
    import subprocess

    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "empty.git")], check=True)
    Project.objects.filter(pk=fresh.pk).update(repository_url=f"file://{tmp_path}/empty.git")
    assert "The repository is empty" in sign_in(world.admin).get(HERE).content.decode()


def test_five_hundred_files_and_broken_ones(world: Any, fresh: Project, origin: Any, sign_in: Any) -> None:  # noqa: F811
    files = {
        f"k8s/qa/{n:03}.yaml": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\ndata: {{a: '${{A_{n % 90}}}'}}\n"
        for n in range(500)
    }
    origin.commit("Many", files | {"k8s/qa/broken.yaml": "a: [\n", "k8s/dev/only-broken.yaml": "{{ x }}\n"})
    answer = sign_in(world.admin).get(HERE)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "500 objects, 90 variables" in text
    assert "broken.yaml:" in text


def test_the_number_of_queries_does_not_grow(
    world: Any,
    fresh: Project,
    origin: Any,  # noqa: F811
    sign_in: Any,
    django_assert_max_num_queries: Any,
) -> None:
    client = sign_in(world.admin)
    client.get(HERE)
    with django_assert_max_num_queries(40) as few:
        client.get(HERE)
    more = {
        f"kubernetes/{name}/web.yaml": (SAMPLES / "storefront/kubernetes/staging/web.yaml").read_text()
        for name in ("qa", "dev", "uat")
    }
    origin.commit("More", more)
    with django_assert_max_num_queries(len(few)):
        client.get(HERE)


def test_a_host_that_does_not_answer_is_asked_once_for_all_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request takes some seconds then, and a page waits."""
    asked: list[float] = []

    class Silent:
        def fetch(self, max_age: float, *, timeout: float) -> bool:
            asked.append(timeout)
            raise TimedOut("The host does not answer.", system="Git")

    monkeypatch.setattr(connections, "git_repository", lambda project, patience: Silent())
    found = scan_folders(Project(slug="shop"), ["a", "b", "c"])
    assert [found[path].trouble for path in "abc"] == ["The host does not answer."] * 3
    assert len(asked) == 1
