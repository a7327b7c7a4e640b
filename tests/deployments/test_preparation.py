"""The one sequence before the first write, fresh and stored: what each step finds, in which order, and what stops it."""

from __future__ import annotations

from typing import Any

import pytest

from core.findings import FAILED, WARNING, Finding
from core.redactor import current, redacting
from core.secret_values import digests_of
from deployments.models import compress
from deployments.preparation.preflight import Preflight, stop_for
from deployments.preparation.preparation import Fresh, Preparation, Stored
from deployments.preparation.prepare import NotDeployable
from deployments.preparation.preview import PageMeans
from engine.errors import ManifestError
from engine.manifests.stored import to_stored
from engine.types import Manifest
from tests.deployments.outside import CANARY, CONFIG_MAP, POPULATED, REFERENCE, FakeGit, Outside
from tests.factories import make_image, make_release, make_secrets_file

pytestmark = pytest.mark.django_db
SHA = "c" * 40
IN_GIT = b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: fixed\nstringData:\n  PIN: git-value-4711\n"


class Steady(PageMeans):
    """As a worker reaches the outside: with time. Remembers what it was told."""

    hasty = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.lines: list[str] = []
        self.asked = 0

    @property
    def patiently(self) -> Any:
        def ask(question: Any) -> Any:
            self.asked += 1
            return question()

        return ask

    def log(self, text: str, *, level: str = "info") -> None:
        self.lines.append(text)


@pytest.fixture(autouse=True)
def redactor() -> Any:
    with redacting() as made:
        yield made


@pytest.fixture
def with_secrets(environment: Any, outside: Outside) -> Any:
    """An environment with a secrets file, a Secret in Git and an image."""
    outside.files = {"settings.yaml": CONFIG_MAP, "secret.yaml": REFERENCE, "fixed.yaml": IN_GIT}
    outside.secrets["shop/app"] = POPULATED
    make_secrets_file(environment, path="secret.yaml", secret_id="shop/app")
    make_image(environment.project)
    return environment


def driven(preparation: Preparation) -> list[str]:
    """The summaries of the first three steps."""
    return [preparation.checkout(), preparation.secrets(), preparation.render()]


def kept(preparation: Preparation, **more: Any) -> Any:
    """The release that a preparation makes."""
    versions = {one.path: one.version_id for one in preparation.fetched}
    images = {
        p.name: {"repository": p.repository, "tag": p.tag, "digest": p.digest} for p in preparation.pins
    }
    objects = to_stored(
        preparation.manifests, digests=digests_of(preparation.environment.label), version_ids=versions
    )
    given = {
        "objects_compressed": compress(objects),
        "secret_versions": versions,
        "images": images,
        "revision": SHA,
        **more,
    }
    return make_release(preparation.environment, **given)


def bodies(manifests: Any) -> list[Any]:
    """What is applied, in order."""
    return [(str(one.ref), one.body.get("data")) for one in manifests]


def test_a_fresh_one_tells_what_it_finds(with_secrets: Any) -> None:
    means = Steady(with_secrets)
    fresh = Fresh(with_secrets, SHA, means)
    assert driven(fresh) == [
        f"3 objects in {with_secrets.config_directory}", "1 secrets file", "3 objects, 1 image",
    ]  # fmt: skip
    assert means.lines[0] == "secret.yaml: version version-, 1 key"
    assert means.lines[1].startswith("image ")
    assert means.asked == 3  # Git, AWS, the registry
    found = fresh.preflight()
    assert [finding.state for finding in found.errors] == []
    assert len(found.changes) == 3


def test_a_stored_one_brings_the_same_objects_back(with_secrets: Any) -> None:
    fresh = Fresh(with_secrets, SHA, Steady(with_secrets))
    driven(fresh)
    stored = Stored(with_secrets, kept(fresh), Steady(with_secrets))
    assert driven(stored) == [
        "Secrets of the repository",
        "1 secrets file",
        "3 objects of the stored release",
    ]
    assert bodies(stored.manifests) == bodies(fresh.manifests)
    assert stored.preflight().errors == ()


def test_a_stored_one_without_secrets_in_git_asks_git_for_nothing(
    with_secrets: Any, outside: Outside
) -> None:
    del outside.files["fixed.yaml"]
    fresh = Fresh(with_secrets, SHA, Steady(with_secrets))
    driven(fresh)
    release = kept(fresh)
    outside.fails["git"] = outside.fails["files"] = NotDeployable("Git is not to be asked.")
    assert (
        driven(Stored(with_secrets, release, Steady(with_secrets)))[0] == "not needed: the release is stored"
    )


def test_a_page_takes_the_mirror_as_it_is(with_secrets: Any, outside: Outside, monkeypatch: Any) -> None:
    fetched: list[float] = []
    monkeypatch.setattr(FakeGit, "fetch", lambda self, *args: fetched.append(1) or True)
    driven(Fresh(with_secrets, SHA, PageMeans(with_secrets)))
    assert fetched == []
    driven(Fresh(with_secrets, SHA, Steady(with_secrets)))
    assert fetched == [1]


def test_every_value_is_registered(with_secrets: Any, redactor: Any) -> None:
    driven(Fresh(with_secrets, SHA, Steady(with_secrets)))
    assert current() is redactor
    assert "canary" not in redactor.redact(CANARY)
    assert "4711" not in redactor.redact("git-value-4711")


def test_a_release_of_another_place_is_refused(with_secrets: Any) -> None:
    release = make_release(with_secrets, place="old/place")
    with pytest.raises(NotDeployable, match="made for old/place"):
        Stored(with_secrets, release, Steady(with_secrets))


def test_images_that_are_gone_are_named(with_secrets: Any, outside: Outside) -> None:
    fresh = Fresh(with_secrets, SHA, Steady(with_secrets))
    driven(fresh)
    stored = Stored(with_secrets, kept(fresh), Steady(with_secrets))
    driven(stored)
    outside.tags.clear()
    with pytest.raises(NotDeployable, match="no longer holds") as raised:
        stored.preflight()
    assert raised.value.problems == (f"{fresh.pins[0].repository}:{fresh.pins[0].tag}",)


def test_the_pinned_version_of_a_file_that_is_gone(with_secrets: Any) -> None:
    fresh = Fresh(with_secrets, SHA, Steady(with_secrets))
    driven(fresh)
    release = kept(fresh)
    with_secrets.secrets_files.all().delete()
    stored = Stored(with_secrets, release, Steady(with_secrets))
    stored.checkout()
    with pytest.raises(
        ManifestError, match=r"secrets file secret\.yaml, which the environment no longer has"
    ):
        stored.secrets()


def test_a_step_may_be_run_again(with_secrets: Any) -> None:
    fresh = Fresh(with_secrets, SHA, Steady(with_secrets))
    assert driven(fresh) == driven(fresh)
    assert all(isinstance(one, Manifest) for one in fresh.manifests)


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [(1, "Bad 0."), (2, "Bad 0. And 1 more problem."), (3, "Bad 0. And 2 more problems.")],
)
def test_findings_that_stop_it_are_one_error(errors: int, sentence: str) -> None:
    findings = [Finding(FAILED, f"Bad {number}.", "Mend it.") for number in range(errors)]
    with pytest.raises(NotDeployable) as raised:
        stop_for(Preflight((Finding(WARNING, "Look."), *findings), ()))
    assert raised.value.message == sentence
    assert raised.value.hint == "Mend it. Nothing was changed on the cluster."
    assert raised.value.problems == tuple(finding.text for finding in findings)


def test_warnings_stop_nothing() -> None:
    stop_for(Preflight((Finding(WARNING, "Look."),), ()))
