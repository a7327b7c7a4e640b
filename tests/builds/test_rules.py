"""Which push leads to a build, and the sentence that says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.git.repository import Commit
from builds.pushes import Push, facts_of, push_of
from builds.rules import Rules, apply_rules, needs_paths

USUAL = Rules(default_branch="main", on_push=True)


def push(ref: str = "refs/heads/main", subject: str = "Change", **more: Any) -> Push:
    commit = Commit("b" * 40, subject, "Ana", datetime(2026, 11, 27, tzinfo=UTC))
    return Push(ref, before="a" * 40, commit=commit, **more)


@pytest.mark.parametrize(
    ("rules", "pushed", "builds", "word"),
    [
        ({}, push(), True, "main is the default branch"),
        ({"on_push": False}, push(), False, "switched off"),
        ({}, push("refs/heads/feature/x"), False, "only main is"),
        ({"branches": ["main", "release/*"]}, push("refs/heads/release/1/2"), True, "release/1/2 fits"),
        ({"branches": ["release/*"]}, push(), False, "fits none of release/*"),
        ({}, push("refs/tags/v1"), False, "no tags are"),
        ({"tags": ["v*"]}, push("refs/tags/v1"), True, "tag v1 fits"),
        ({"tags": ["v*"]}, push("refs/tags/x"), False, "fits none of v*"),
        ({"tags": ["*"]}, push("refs/heads/v1"), False, "branch v1"),
        ({"branches": ["*"]}, push("refs/tags/v1"), False, "no tags are"),
        ({}, push("refs/notes/x"), False, "neither a branch nor a tag"),
        ({}, push("refs/pull/3/head"), False, "neither a branch nor a tag"),
        ({}, push(is_deleted=True), False, "was deleted"),
        ({}, push(subject="Fix [skip build] typo"), False, "b" * 7 + " says [skip build]"),
        ({}, push(subject="[Skip CI] x"), False, "says [Skip CI]"),
        ({}, push(subject="skip build"), True, "default branch"),
        ({"images": 0}, push(), False, "no image"),
        ({"watch": ["src"]}, push(paths=("src/a.py", "x")), True, "src/a.py changed"),
        ({"watch": ["src"]}, push(paths=("docs/a.md",)), False, "docs/a.md is not watched"),
        ({"ignore": ["docs"]}, push(paths=("docs/a.md", "docs/b.md")), False, "2 changed paths"),
        ({"ignore": ["docs"]}, push(paths=("docs/a.md", "x.py")), True, "x.py changed"),
        ({"ignore": ["docs"]}, push(paths=()), False, "No file changed"),
        ({"ignore": ["docs"]}, push(paths=("docs/a.md",), is_new=True), True, "default branch"),
        ({"tags": ["*"], "ignore": ["docs"]}, push("refs/tags/v1", paths=("docs/a.md",)), True, "tag v1"),
    ],
)  # fmt: skip
def test_the_rules(rules: dict[str, Any], pushed: Push, builds: bool, word: str) -> None:
    found = apply_rules(Rules(**{"default_branch": "main", "on_push": True, **rules}), pushed)
    assert found.builds is builds
    assert word in found.sentence
    assert found.sentence.endswith(".")


def test_git_is_asked_only_where_paths_decide_and_are_not_known() -> None:
    watching = Rules(default_branch="main", on_push=True, watch=["src"])
    assert needs_paths(watching, push())
    assert not needs_paths(USUAL, push())
    assert not needs_paths(watching, push(paths=("src/a",)))
    assert not needs_paths(watching, push(is_new=True))
    assert not needs_paths(watching, push("refs/heads/other"))
    assert not needs_paths(watching, push(is_deleted=True))


def test_a_push_is_stored_and_read_without_loss() -> None:
    for one in (push(paths=("a", "b")), push(), push(is_new=True, is_forced=True)):
        assert push_of(one.ref, one.before, one.sender, facts_of(one)) == one


def test_after_a_forced_push_the_commits_do_not_tell_what_changed() -> None:
    facts = {**facts_of(push(paths=("a",))), "forced": True}
    assert push_of("refs/heads/main", "a" * 40, "", facts).paths is None


def test_a_sentence_stays_short_for_long_names() -> None:
    found = apply_rules(
        Rules("main", on_push=True, branches=["x" * 200] * 50), push(f"refs/heads/{'y' * 250}")
    )
    assert len(found.sentence) <= 500
