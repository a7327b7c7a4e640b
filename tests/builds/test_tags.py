"""Tags that follow branches and tags of Git: their names, and to which images they go."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.aws.ecr import ImageFacts
from adapters.errors import Conflict, Unavailable
from adapters.git.repository import GitRepository
from builds.pipeline.moving import MOST_REFS, Heads, read_heads, wanted_refs
from builds.pipeline.tagging import Given, Place, sentences, tag_image
from builds.pushes import BRANCH, TAG
from builds.tags import as_tag, branch_tag, left_out, revision_tags, tags_of_refs
from tests.adapters.conftest import Origin, origin  # noqa: F401  (a fixture)

MAIN = f"{BRANCH}main"
REVISION = "63ec5c0" + "0" * 33


# --- names ----------------------------------------------------------------------------------------------------------------


def test_tags_of_a_revision_and_of_refs() -> None:
    assert revision_tags(REVISION) == (REVISION, "63ec5c0")
    refs = [MAIN, f"{BRANCH}feature", f"{TAG}v1.2", MAIN]
    assert [one.tag for one in tags_of_refs(refs, "main")] == [
        "branch-main", "latest", "branch-feature", "v1.2",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["latest", "Latest", "branch-main", "BRANCH-x", "deadbee", "DEADBEE"])
def test_git_tags_that_would_be_taken_for_others_have_no_tag(name: str) -> None:
    assert tags_of_refs([f"{TAG}{name}"], "main") == []
    assert left_out([f"{TAG}{name}", f"{TAG}v1"]) == [name]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("v1.0", "v1.0"),
        ("V1.0", "V1.0"),  # registries tell letter case
        ("release/1 ü", "release-1--f4418af995f42577"),
        (".hidden", "_.hidden-1692419006a88aab"),
        ("a" * 128, "a" * 128),
        ("a" * 200, "a" * 111 + "-c2a908d98f5df987"),
    ],
)
def test_names_of_git_as_tags(name: str, tag: str) -> None:
    assert as_tag(name) == tag


def test_names_that_look_alike_have_tags_of_their_own() -> None:
    """Also a branch that is named after the tag of another one."""
    names = ["release/1", "release-1", "release:1", "release//1", "Release-1"]
    names.append(branch_tag("release/1").removeprefix("branch-"))
    assert len({branch_tag(name) for name in names}) == len(names)


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_every_name_makes_a_tag_of_its_own(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", as_tag(one))
    assert (as_tag(one) == as_tag(other)) == (one == other)


# --- where they go --------------------------------------------------------------------------------------------------------


@dataclass
class Registry:
    """Digests by tag, and what is asked of it."""

    tags: dict[str, str] = field(default_factory=dict)
    keeps: bool = False

    def digests(self, repository: str, tags: Any) -> dict[str, ImageFacts]:
        pushed = datetime(2026, 11, 1, tzinfo=UTC)
        return {
            tag: ImageFacts(
                self.tags[tag],
                pushed,
                1,
                "ACTIVE",
                tuple(name for name, digest in self.tags.items() if digest == self.tags[tag]),
            )
            for tag in tags
            if tag in self.tags
        }

    def add_tag(self, repository: str, digest: str, tag: str) -> None:
        if self.keeps and self.tags.get(tag, digest) != digest:
            raise Conflict("It keeps its tags.", system="ECR")
        self.tags[tag] = digest


@dataclass
class World:
    """A repository with commits, and a registry with the image of each that was built."""

    origin: Origin
    repository: GitRepository
    registry: Registry

    def commit(self, subject: str) -> str:
        """A commit of the branch that is checked out."""
        return self.origin.commit(subject, {"file": subject})

    def build(self, sha: str, *asked: str, digest: str = "") -> Given:
        """What the step `tags` does after the build of a revision."""
        made = digest or f"sha256:{sha[:7]}"
        self.registry.tags[sha] = made
        heads = read_heads(self.repository, timeout=20)
        tags = tags_of_refs(wanted_refs(asked, heads, sha, "main"), "main")
        registry: Any = self.registry
        place = Place("web", "team/web", made, registry, registry)
        return tag_image(place, tags, sha, self.repository, heads)

    def holder(self, tag: str) -> str:
        """The short revision whose image has a tag."""
        return self.registry.tags[tag].removeprefix("sha256:")


@pytest.fixture
def world(origin: Origin, tmp_path: Path) -> World:  # noqa: F811
    repository = GitRepository(
        f"file://{origin.bare}", mirror=tmp_path / "mirrors", credential=None, protocols=("file",)
    )
    return World(origin, repository, Registry())


def test_the_head_gets_the_tags_and_an_older_commit_does_not_take_them_back(world: World) -> None:
    first = world.commit("First")
    assert world.build(first, MAIN).tags == ["branch-main", "latest"]
    second = world.commit("Second")
    assert world.build(second, MAIN).alone == {}
    again = world.build(first, MAIN, digest="sha256:rebuilt")
    reason = f"the branch main has moved on to {second[:7]}."
    assert again == Given(alone={"branch-main": reason, "latest": reason})
    assert sentences(again.alone) == [f"The tags branch-main, latest were left alone: {reason}"]
    assert world.holder("latest") == second[:7]


def test_a_branch_that_moves_on_during_each_build_gets_its_tags_forward(world: World) -> None:
    first, second, _third = world.commit("First"), world.commit("Second"), world.commit("Third")
    assert set(world.build(first, MAIN).alone) == {"branch-main", "latest"}  # no image to come forward from
    world.registry.tags["latest"] = f"sha256:{first[:7]}"
    assert world.build(second, MAIN).tags == ["latest"]
    assert world.build(first, MAIN).tags == []
    assert world.holder("latest") == second[:7]


def test_an_image_of_a_revision_that_is_not_known_keeps_the_tag(world: World) -> None:
    first, _second = world.commit("First"), world.commit("Second")
    world.registry.tags |= {"latest": "sha256:foreign", "branch-main": "sha256:gone", "f" * 40: "sha256:gone"}
    assert set(world.build(first, MAIN).alone) == {"latest", "branch-main"}


def test_a_branch_that_lost_the_commit_or_is_gone(world: World) -> None:
    lost = world.commit("First")
    world.origin.git("commit", "-q", "--amend", "-m", "Another")
    world.origin.push()
    assert "the branch main does not have" in world.build(lost, MAIN).alone["latest"]
    world.registry.tags.clear()
    assert world.build(lost, f"{BRANCH}gone").alone == {
        "branch-gone": "the repository has no branch gone any more."
    }


def test_every_branch_and_git_tag_of_the_revision_gets_its_tag(world: World) -> None:
    sha = world.commit("First")
    for ref in ("release/1", "release-1"):
        world.origin.git("branch", ref)
    world.origin.git("tag", "-a", "v1.0", "-m", "v1.0")
    world.origin.git("tag", "latest")
    world.origin.push()
    given = world.build(sha, MAIN)
    assert set(given.tags) == {"branch-main", "latest", "branch-release-1", branch_tag("release/1"), "v1.0"}
    world.commit("Second")
    world.origin.git("tag", "-f", "v1.0")
    world.origin.push()
    moved = world.build(sha, f"{TAG}v1.0", digest="sha256:rebuilt")
    assert "the Git tag leads to" in moved.alone["v1.0"]
    assert set(moved.tags) == {"branch-release-1", branch_tag("release/1")}


def test_where_git_does_not_answer_nothing_moves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = world.commit("First")

    def away(*_: Any, **__: Any) -> bool:
        raise Unavailable("The host does not answer.", system="Git")

    monkeypatch.setattr(world.repository, "fetch", away)
    assert sentences(world.build(sha, MAIN).alone) == [
        "The tags branch-main, latest were left alone: "
        "Git does not say where the branch main is: The host does not answer."
    ]


def test_a_repository_that_keeps_its_tags(world: World) -> None:
    world.build(world.commit("First"), MAIN)
    world.registry.keeps = True
    given = world.build(world.commit("Second"), MAIN)
    assert (given.kept, given.alone) == (["branch-main", "latest"], {})


def test_of_many_refs_those_that_asked_come_first() -> None:
    heads = Heads({f"{BRANCH}{name}": REVISION for name in ["main", *(f"b{n:03}" for n in range(100))]})
    refs = wanted_refs([f"{BRANCH}z", f"{BRANCH}b050"], heads, REVISION, "main")
    assert refs[:4] == [f"{BRANCH}z", f"{BRANCH}b050", MAIN, f"{BRANCH}b000"]
    assert len(refs) == MOST_REFS
