"""The page of an environment's secrets. Looking at it reads no value: AWS is only asked which version is current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from projects.access import environment_for, maintainers_text, role_in, visible_projects
from projects.models import Environment, Role, SecretsFile
from projects.secret_rights import Right
from secrets_ui.jobs import learn_soon
from secrets_ui.known.looking import Look, look
from secrets_ui.known.public import Place, place_of
from secrets_ui.known.reference import Reference, reference_at
from secrets_ui.known.rights import environments_of, held_in, may_test
from secrets_ui.known.uses import uses_of
from secrets_ui.pages.row_cells import DRAWN, shown_rows
from secrets_ui.pages.rows import Row
from secrets_ui.pages.views_of_files import FileView, file_views, version_lines
from secrets_ui.requests.creation import waiting_for
from secrets_ui.requests.deciding import is_stale
from secrets_ui.requests.lists import waiting_of
from secrets_ui.values.random_values import KINDS
from ui.back import remember, remembered

SHOWN_VERSIONS = 5
SHOWN_KEYS = 200  # more are shown when somebody asks for them
ALL, ATTENTION, CHANGED, TYPED = "", "attention", "changed", "typed"


@never_cache
@require_safe
def environment(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """All secrets files of an environment; the keys of the chosen one."""
    place = environment_for(request.user, project, environment)
    remember(request, place.label)
    return render(request, "secrets_ui/environment.html", context_of(request, place))


def context_of(request: HttpRequest, place: Environment, **more: Any) -> dict[str, Any]:
    """The page's context. `more`: what a form that could not be accepted says."""
    user, asked = request.user, request.GET
    files = files_of(place)
    chosen = chosen_file(files, more.get("file_pk") or asked.get("file", ""))
    looks = look(files)
    readers = environments_of(chosen, looks[chosen.pk].secret) if chosen is not None else [place]
    rights = held_in(user, readers, "names", "reveal", "edit")
    reference = _reference(user, place, files, looks, asked.get("at", "")[:200])
    views = file_views(user, place, files, looks, reference, chosen)
    view = next((one for one in views if chosen is not None and one.file.pk == chosen.pk), None)
    if view is not None and view.secret is not None and (view.being_read or view.lacks_size):
        learn_soon(view.file, view.secret.current_version)
    return {
        "environment": place,
        "project": place.project,
        "views": views,
        "view": view,
        "may": rights,
        "needs_reason": any(reader.is_production for reader in readers),
        "ask": "" if all(rights.values()) else maintainers_text(place.project),
        "at": asked.get("at", ""),
        "new_key": asked.get("add", "")[:253],
        "back": remembered(request, place.label),
        **(_details(request, view, rights, readers[1:]) if view is not None else {}),
        **more,
    }


def _reference(
    user: Any, place: Environment, files: Sequence[SecretsFile], looks: Mapping[int, Look], revision: str
) -> Reference:
    """The reference files. Any branch can be asked for: whoever pushes one with a guess as the sample would learn whether it is
    the value."""
    seen = {file.path: looks[file.pk].secret for file in files}
    arns = {path: secret.arn for path, secret in seen.items() if secret is not None}
    found = reference_at(place, arns, revision)
    if revision and not all(may_test(user, file, looks[file.pk].secret) for file in files):
        return found.without_samples()
    return found


def _details(
    request: HttpRequest, view: FileView, rights: Mapping[Right, bool], others: Sequence[Environment]
) -> dict[str, Any]:
    asked = request.GET
    show, find = asked.get("show", ALL), asked.get("find", "").strip()
    opened = {name: place_of(asked[name]) for name in ("edit", "reveal") if asked.get(name)}
    kept = (
        [row for row in view.rows if is_shown(row, show, find, [*opened.values()])] if rights["names"] else []
    )
    versions = [row.version_id for row in view.history[:SHOWN_VERSIONS]]
    return {
        **_listed(request, view, rights, kept, [*opened.values()]),
        "show": show,
        "find": find,
        "editing": opened.get("edit") if rights["edit"] else None,
        "revealing": opened.get("reveal") if rights["reveal"] else None,
        "versions": version_lines(view, uses_of(request.user, view.secret, versions), SHOWN_VERSIONS)
        if view.secret
        else [],
        "others": others,
        "other_names": seen_names(request.user, others),
        "random_kinds": list(KINDS),
        "draft": view.draft,
        "may_deploy": view.counts.changed > 0 and may_deploy(request.user, view.file.environment),
        "creation": waiting_for(view.file) if view.look.missing else None,
        "requests": [(row, is_stale(row)) for row in waiting_of(view.secret)],
    }


def _listed(
    request: HttpRequest,
    view: FileView,
    rights: Mapping[Right, bool],
    kept: Sequence[Row],
    opened: Sequence[Place],
) -> dict[str, Any]:
    """The rows of the list, and how many of a long one are folded away: never what is opened or typed."""
    everything = bool(request.GET.get("all"))
    shown = [
        row
        for at, row in enumerate(kept)
        if everything or at < SHOWN_KEYS or row.edit is not None or row.place in opened
    ]
    kept_words = {name: request.GET[name] for name in ("at", "show", "find") if request.GET.get(name)}
    return {
        "rows": shown_rows(shown, view.file.pk, rights),
        "drawn": DRAWN,
        "folded": len(kept) - len(shown),
        "unfolded": f"?{urlencode({**kept_words, 'file': view.file.pk, 'all': 1})}",
    }


def may_deploy(user: Any, place: Environment) -> bool:
    """Whether the page offers to deploy what was saved."""
    role = role_in(user, place.project, place)
    return role is not None and role.rank >= Role.DEPLOYER.rank


def seen_names(user: Any, others: Sequence[Environment]) -> list[str]:
    """The names of those environments whose project the person may see; of others only the number is told."""
    seen = set(visible_projects(user).values_list("pk", flat=True)) if others else set()
    return [f"{other.project.name} {other.name}" for other in others if other.project_id in seen]


def files_of(place: Environment) -> list[SecretsFile]:
    """The environment's secrets files, each with the environment already there."""
    files = list(place.secrets_files.all())
    for file in files:
        file.environment = place
    return files


def chosen_file(files: Sequence[SecretsFile], asked: str | int) -> SecretsFile | None:
    """The file that the address names, else the first one. Raises Http404 for one of another environment."""
    if not asked:
        return files[0] if files else None
    found = next((file for file in files if str(file.pk) == str(asked)), None)
    if found is None:
        raise Http404("There is no such secrets file here.")
    return found


def is_shown(row: Row, show: str, find: str, opened: Sequence[Place]) -> bool:
    """Whether a filter lets a row through; what is opened is always there."""
    if row.place in opened:
        return True
    if find and find.lower() not in row.id.lower():
        return False
    if show == ATTENTION:
        return row.needs_attention
    if show == TYPED:
        return row.edit is not None
    return row.changed if show == CHANGED else True
