"""Every verb that is recorded has words, and every kind of target says where it can be seen: found by reading the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from audit import targets
from audit.verbs import VERBS

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ("audit", "clusters", "core", "deployments", "notify", "people", "portal", "projects", "runs")
# Functions with a parameter `verb` that write nothing.
READERS = {"words", "changes_of", "pair_of"}


@cache
def trees() -> tuple[ast.Module, ...]:
    """The product's modules; an app that is new is found by its folder's `apps.py`."""
    folders = {*PRODUCT, *(file.parent.name for file in ROOT.glob("*/apps.py"))}
    return tuple(
        ast.parse(f.read_text()) for folder in sorted(folders) for f in (ROOT / folder).rglob("*.py")
    )


@cache
def writers() -> dict[str, int]:
    """Functions that take a verb, and where it stands among their arguments (-1: only by its name)."""
    found = {}
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [arg.arg for arg in node.args.args]
                if names[:1] == ["self"]:  # a method is called without it
                    names = names[1:]
                if "verb" in (*names, *(arg.arg for arg in node.args.kwonlyargs)):
                    found[node.name] = names.index("verb") if "verb" in names else -1
    return {name: place for name, place in found.items() if name not in READERS}


def calls() -> Iterator[tuple[str, ast.Call, ast.expr]]:
    """Every call of such a function that names a verb: function, call and the verb."""
    for tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in writers():
                continue
            by_name = {keyword.arg: keyword.value for keyword in node.keywords}
            place = writers()[name]
            if "verb" in by_name:
                yield name, node, by_name["verb"]
            elif 0 <= place < len(node.args):
                yield name, node, node.args[place]


@cache
def kinds_of_runs() -> tuple[str, ...]:
    """The names of the kinds of runs: `Kind(name="deploy", …)`."""
    made = [
        node for tree in trees() for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Kind"
    ]  # fmt: skip
    return tuple(word.value.value for call in made for word in call.keywords if word.arg == "name")  # type: ignore[attr-defined]


def texts(verb: ast.expr) -> list[str]:
    """The verbs that an expression stands for: a text, or `f"{kind.name}.started"`, which is one for each kind of run."""
    if isinstance(verb, ast.Constant):
        return [str(verb.value)]
    if isinstance(verb, ast.JoinedStr) and len(verb.values) == 2:
        head, tail = verb.values
        if isinstance(head, ast.FormattedValue) and ast.unparse(head.value).endswith("kind.name"):
            return [f"{name}{tail.value}" for name in kinds_of_runs()]  # type: ignore[attr-defined]
    return []


def recorded() -> set[str]:
    """The verbs that are written anywhere, as they stand in the code."""
    return {text for *_, verb in calls() for text in texts(verb) if "." in text}


def test_the_writers_are_found() -> None:
    assert {"record", "audit", "note", "create", "change", "remove"} <= writers().keys()
    assert {
        "deploy.requested",
        "deploy.ended",
        "user.changed",
        "cluster.created",
        "membership.revoked",
    } <= recorded()
    assert len(recorded()) > 30


def test_a_verb_that_is_put_together_would_not_be_found() -> None:
    """So that the tests here say something about all verbs: each is a plain text, or handed on under its own name."""
    odd = [ast.unparse(v) for *_, v in calls() if not texts(v) and ast.unparse(v) != "verb"]
    assert odd == []
    assert "deploy" in kinds_of_runs()


def test_every_recorded_verb_has_words() -> None:
    assert recorded() - VERBS.keys() == set()


def test_no_words_are_left_over() -> None:
    assert VERBS.keys() - recorded() == set()


def kinds() -> set[str]:
    """The kinds of targets: those that stand in the code, and those that projects/editing.py takes from the verb."""
    found = set(kinds_of_runs())
    for name, call, verb in calls():
        given = next((keyword.value for keyword in call.keywords if keyword.arg == "target_kind"), None)
        if isinstance(given, ast.Constant):
            found.add(given.value)
        elif given is None and name not in ("record", "audit") and isinstance(verb, ast.Constant):
            found.add(verb.value.partition(".")[0])
    return found


def test_every_kind_of_target_has_a_link_or_is_named_as_having_none() -> None:
    assert {
        "deploy",
        "environment",
        "project",
        "user",
        "cluster",
        "membership",
        "audit",
        "history",
    } <= kinds()
    assert kinds() - targets.known_kinds() == set()
