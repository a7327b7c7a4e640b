"""Whether a push leads to a build of a project, and why, in one plain sentence. Pure functions.

First what the push itself tells (`apply_rules`). Only where that wants a build, and paths matter that are not known, the caller
must ask Git (`needs_paths`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builds.patterns import any_fits, wanted_path
from builds.pushes import Push

SKIP = re.compile(r"\[\s*skip\s+(build|ci)\s*\]", re.IGNORECASE)


@dataclass(frozen=True)
class Rules:
    """The rules of a project. `default_branch` is built where `branches` is empty; `images`: how many are built here."""

    default_branch: str
    on_push: bool = False
    branches: Sequence[str] = ()
    tags: Sequence[str] = ()
    watch: Sequence[str] = ()
    ignore: Sequence[str] = ()
    images: int = 1


@dataclass(frozen=True)
class Judgement:
    """Whether to build, and the reason as a sentence."""

    builds: bool
    sentence: str


def no(sentence: str) -> Judgement:
    """No build, for this reason."""
    return Judgement(False, sentence)


def wants_ref(rules: Rules, ref: Push) -> bool:
    """Whether the project builds this branch or tag at all."""
    if ref.branch:
        return any_fits(rules.branches or (rules.default_branch,), ref.branch)
    return bool(ref.tag) and any_fits(rules.tags, ref.tag)


def apply_rules(rules: Rules, push: Push) -> Judgement:
    """What the rules say of a push. Paths that are not known count as watched."""
    refusal = _refusal(rules, push)
    if refusal:
        return no(refusal)
    if has_path_rules(rules, push) and push.paths is not None:
        return _by_paths(rules, push.paths)
    return Judgement(True, _yes(rules, push))


def has_path_rules(rules: Rules, push: Push) -> bool:
    """Whether changed paths decide. A new branch has no state to compare with, and a tag marks a revision whatever changed."""
    return bool(rules.watch or rules.ignore) and bool(push.branch) and not push.is_new


def needs_paths(rules: Rules, push: Push) -> bool:
    """Whether Git must be asked which paths changed."""
    return not _refusal(rules, push) and has_path_rules(rules, push) and push.paths is None


def _refusal(rules: Rules, push: Push) -> str:
    """Why there is no build whatever changed; empty when there may be one."""
    if not rules.on_push:
        return "The project does not build pushes: its build rules have that switched off."
    if push.is_deleted:
        kind = "branch" if push.branch else "tag"
        return f"The {kind} was deleted, so there is nothing to build."
    if not push.branch and not push.tag:
        return f"{_short(push.ref) or 'The push'} is neither a branch nor a tag."
    if not wants_ref(rules, push):
        return _unwanted(rules, push)
    if not rules.images:
        return "The project has no image that is built here."
    if push.commit is not None and (found := SKIP.search(push.commit.subject)):
        return f"The subject of {push.commit.short} says {found[0]}."
    return ""


def _unwanted(rules: Rules, push: Push) -> str:
    if push.tag:
        reason = "no tags are" if not rules.tags else f"it fits none of {_listed(rules.tags)}"
        return f"The tag {_short(push.tag)} is not built here: {reason}."
    if not rules.branches:
        return f"The branch {_short(push.branch)} is not built here: only {rules.default_branch} is."
    return f"The branch {_short(push.branch)} is not built here: it fits none of {_listed(rules.branches)}."


def _by_paths(rules: Rules, paths: Sequence[str]) -> Judgement:
    hit = next((path for path in paths if wanted_path(path, rules.watch, rules.ignore)), None)
    if hit is not None:
        return Judgement(True, f"{_short(hit)} changed, which is watched.")
    if not paths:
        return no("No file changed.")
    count = f"{len(paths)} changed paths" if len(paths) > 1 else f"The changed path {_short(paths[0])}"
    verb = "are" if len(paths) > 1 else "is"
    return no(f"{count} {verb} not watched or {verb} ignored.")


def _yes(rules: Rules, push: Push) -> str:
    if push.tag:
        return f"The tag {_short(push.tag)} fits the rules."
    if not rules.branches:
        return f"{_short(push.branch)} is the default branch."
    return f"The branch {_short(push.branch)} fits the rules."


def _listed(patterns: Sequence[str], most: int = 3) -> str:
    more = f" and {len(patterns) - most} more" if len(patterns) > most else ""
    return ", ".join(map(_short, patterns[:most])) + more


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}…{text[-39:]}"
