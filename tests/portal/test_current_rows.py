"""Whoever asks for projects, environments, images, clusters or registries says whether archived ones are meant."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = frozenset({"Project", "Environment", "Image", "Cluster", "Registry"})
SAYS = frozenset({"current", "archived"})
APART = frozenset({"tests", "sandbox", "ops", "node_modules", ".venv", "migrations"})

# Every function that asks for rows with neither `.current()` nor `.archived()`, and why archived ones are in it.
HISTORY, THE_ROW, CHOSEN, TAKEN = (
    "tells what was", "one row: who acts on it asks for the right, which is refused", "rows that were chosen before",
    "short names of archived rows stay taken",
)  # fmt: skip
WITH_ARCHIVED = {
    ("builds/concerned.py", "named_by"): CHOSEN,
    ("builds/management/commands/report_build.py", "project_of"): THE_ROW,
    ("builds/pages/listing.py", "narrow"): HISTORY,
    (
        "builds/pipeline/stages.py",
        "check_bases",
    ): "hosts that are registries of the portal, whatever became of them",
    ("builds/pipeline/stages.py", "registries_of"): CHOSEN,
    ("builds/turns.py", "may_start"): THE_ROW,
    ("deployments/gate/aftermath.py", "tell_environment"): CHOSEN,
    ("deployments/management/commands/deploy.py", "request"): THE_ROW,
    ("deployments/pages/going_back.py", "ways_back"): CHOSEN,
    ("deployments/pages/history.py", "__init__"): HISTORY,
    ("deployments/pages/history.py", "environments"): HISTORY,
    ("deployments/pages/history.py", "within"): HISTORY,
    (
        "deployments/pages/overview.py",
        "environments",
    ): "also the page of one that is archived; lists add the condition",
    ("deployments/pages/overview.py", "older_releases"): CHOSEN,
    ("notify/github.py", "_site_token"): THE_ROW,
    ("notify/github.py", "deliver"): "a deploy that ended before its project was archived is told to its end",
    ("notify/github.py", "is_shared"): "names at GitHub do not change because a project is archived",
    ("portal/first_deploy/checklist.py", "_last_deploys"): CHOSEN,
    ("projects/access.py", "environment_for"): THE_ROW,
    ("projects/access.py", "visible_projects"): HISTORY,
    ("projects/adding.py", "add_variable"): THE_ROW,
    ("projects/allotting/services.py", "_made"): THE_ROW,
    ("projects/allotting/services.py", "require"): CHOSEN,
    ("projects/allotting/services.py", "withdraw"): THE_ROW,
    ("projects/infrastructure.py", "note_answer"): THE_ROW,
    ("projects/leaving/locking.py", "lock_environment"): THE_ROW,
    ("projects/leaving/locking.py", "lock_project"): THE_ROW,
    ("projects/leaving/things.py", "locked"): THE_ROW,
    ("projects/leaving/uses.py", "needed_by"): "what must be restored first",
    ("projects/lookup.py", "cluster_for"): THE_ROW,
    ("projects/lookup.py", "environment_of"): THE_ROW,
    ("projects/lookup.py", "image_of"): THE_ROW,
    ("projects/lookup.py", "registry_for"): THE_ROW,
    ("projects/memberships.py", "set_roles"): THE_ROW,
    ("projects/mirrors.py", "remove_unused"): "the history of an archived project reads its mirror",
    ("projects/pages/allotment_views.py", "allotment_new"): CHOSEN,
    (
        "projects/pages/allotment_views.py",
        "allotments",
    ): "an admin sees what an archived project keeps from others",
    ("projects/pages/forms.py", "MemberForm"): "none; the form sets them",
    ("projects/pages/forms.py", "SecretsFileForm"): "none; the form sets them",
    ("projects/pages/forms.py", "clean_slug"): TAKEN,
    ("projects/pages/infrastructure_forms.py", "clean_slug"): TAKEN,
    ("projects/pages/leaving_views.py", "archived"): "the list of what is archived",
    ("projects/pages/leaving_views.py", "cluster"): THE_ROW,
    ("projects/pages/leaving_views.py", "environment"): THE_ROW,
    ("projects/pages/leaving_views.py", "image"): THE_ROW,
    ("projects/pages/leaving_views.py", "registry"): THE_ROW,
    ("projects/pages/new_views.py", "clean"): TAKEN,
    ("projects/reachability.py", "note_cluster"): THE_ROW,
    ("projects/services.py", "move_environment"): CHOSEN,
    ("registry/asking.py", "refresh_all"): CHOSEN,
    ("registry/management/commands/refresh_pull_credentials.py", "chosen"): CHOSEN,
    ("registry/pages/overview.py", "_known"): CHOSEN,
    ("registry/policies.py", "archived_namespaces"): "namespaces in which only archived ones are",
    ("registry/services.py", "refresh"): THE_ROW,
}


def asks() -> Iterator[tuple[str, str]]:
    """File and function of each `Model.objects` that does not say which rows are meant."""
    for path in ROOT.glob("*/**/*.py"):
        if not APART & set(path.relative_to(ROOT).parts):
            tree = ast.parse(path.read_text())
            yield from ((str(path.relative_to(ROOT)), name) for name in below(tree, "", says=False))


def below(node: ast.AST, inside: str, *, says: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        is_named = isinstance(child, ast.FunctionDef | ast.ClassDef)
        name = child.name if is_named else inside  # type: ignore[attr-defined]
        if is_rows(child) and not says:
            yield name
        yield from below(child, name, says=isinstance(child, ast.Attribute) and child.attr in SAYS)


def is_rows(node: ast.AST) -> bool:
    is_manager = isinstance(node, ast.Attribute) and node.attr == "objects"
    return is_manager and isinstance(node.value, ast.Name) and node.value.id in MODELS  # type: ignore[attr-defined]


def test_whoever_asks_for_rows_says_whether_archived_ones_are_meant() -> None:
    assert set(asks()) - WITH_ARCHIVED.keys() == set()


def test_the_table_has_nothing_else() -> None:
    assert WITH_ARCHIVED.keys() - set(asks()) == set()


def test_an_ask_without_a_word_is_found() -> None:
    tree = ast.parse(
        "def f():\n    Project.objects.filter(x=1)\n    Project.objects.current().filter(Cluster.objects.all())"
    )
    assert list(below(tree, "", says=False)) == ["f", "f"]
