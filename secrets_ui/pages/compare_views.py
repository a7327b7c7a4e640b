"""The keys of a project's environments side by side, and copying one across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.errors import Refused
from core.kept import keeps
from projects.access import environment_for, may_secret
from projects.models import Environment, SecretsFile
from secrets_ui.comparing.comparing import DIFFERENT, ONE, SAME, Cell, Line, Table, compare, known_tables
from secrets_ui.comparing.copying import copy
from secrets_ui.known.public import label, place_of
from secrets_ui.known.reference import reference_at
from secrets_ui.known.rights import is_production, require
from secrets_ui.pages.finding import file_for, holds_values, page_url, said, sign_in_first, url_of
from secrets_ui.pages.forms import CopyForm
from ui import forms as ui

ALL, LACKING = "", "missing"


@dataclass(frozen=True)
class Counts:
    """How many keys are what."""

    total: int
    same: int
    different: int
    missing: int
    one: int
    shared: tuple[str, ...]


@require_http_methods(["GET", "HEAD", "POST"])
@holds_values
def compare_page(request: HttpRequest, project: str, environment: str) -> HttpResponse:
    """GET: which keys there are, as far as is known. POST: reads the values and compares them; shows none."""
    place = environment_for(request.user, project, environment)
    actor, compared, problem = person(request.user), False, ""
    try:
        tables = compare(actor, place) if request.method == "POST" else known_tables(actor, place)
        compared = request.method == "POST"
    except Refused as error:
        if request.method != "POST":
            raise
        tables, problem = known_tables(actor, place), said(error)
    show = request.GET.get("show", ALL)
    counts = counted([line for table in tables for line in table.lines])
    context: dict[str, Any] = {
        "environment": place, "project": place.project, "compared": compared, "problem": problem, "show": show,
        "counts": counts, "tables": [(table, shown(table, show)) for table in tables],
        "may_compare": sum(1 for table in tables for column in table.columns if column.sees and column.compares) > 1,
    }  # fmt: skip
    return ui.page(request, "secrets_ui/compare.html", refused=bool(problem), **context)


def counted(lines: Sequence[Line]) -> Counts:
    """The numbers of the head."""

    def number(result: str) -> int:
        return sum(1 for line in lines if line.result == result)

    missing = sum(1 for line in lines if line.is_missing)
    shared = tuple(line.name for line in lines if line.shared)
    return Counts(len(lines), number(SAME), number(DIFFERENT), missing, number(ONE), shared)


def shown(table: Table, show: str) -> list[tuple[Line, list[tuple[Cell, Cell]]]]:
    """The lines that a filter lets through, each with the copies that are offered."""
    lines = table.lines
    if show == LACKING:
        lines = tuple(line for line in lines if line.is_missing or line.result == ONE)
    return [(line, copies(line)) for line in lines]


def copies(line: Line) -> list[tuple[Cell, Cell]]:
    """From where a key can be copied to where it is not, or is another one."""
    source = next((cell for cell in line.cells if cell.key is not None and cell.column.reveals), None)
    if source is None:
        return []
    return [(source, cell) for cell in line.cells if cell is not source and _is_target(source, cell)]


def _is_target(source: Cell, cell: Cell) -> bool:
    lacks = cell.key is None and cell.column.keys is not None
    differs = bool(source.letter and cell.letter and source.letter != cell.letter)
    return cell.column.edits and (lacks or differs)


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(CopyForm)
@holds_values
def copy_page(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: where to, and why. POST: into the draft there, unseen."""
    source = file_for(request.user, project, environment, file)
    require(person(request.user), source, "reveal")
    asked = {"place": request.GET.get("place", ""), "to": request.GET.get("to", "")}
    others = targets(request.user, source)
    form = CopyForm(ui.posted(request), initial=asked, targets=others, needs_reason=is_production(source))
    if request.method == "POST" and form.is_valid():
        asked = {"place": label(*form.cleaned_data["place"]), "to": str(form.cleaned_data["to"])}
        back = f"{url_of('copy', source)}?{urlencode(asked)}"
        if (first := sign_in_first(request, source, back)) is not None:
            return first
        target = next(other for other in others if other.pk == form.cleaned_data["to"])
        if ui.saved(form, lambda: copied(request, source, target, form), otherwise="to"):
            messages.success(
                request,
                f"Copied unseen into your changes for {target.environment.name}: review and save them.",
            )
            return redirect(page_url(target))
    context: dict[str, Any] = {
        "file": source, "environment": source.environment, "project": source.environment.project,
        "key": label(*place_of(str(form["place"].value() or ""))), "back": page_url(source), "targets": others,
    }  # fmt: skip
    return ui.page(request, "secrets_ui/copy.html", form, **context)


def copied(request: HttpRequest, source: SecretsFile, target: SecretsFile, form: CopyForm) -> None:
    """Copies what the form says."""
    names = [
        secret
        for secret, _ in reference_at(target.environment, {target.path: ""}).wanted.get(target.path, {})
    ]
    copy(
        person(request.user), source, target, form.cleaned_data["place"], reason=form.cleaned_data["reason"],
        secrets=list(dict.fromkeys(names)),
    )  # fmt: skip


def targets(user: Any, source: SecretsFile) -> list[SecretsFile]:
    """The secrets files of the project that a value can be copied to by this person."""
    project = source.environment.project
    found = SecretsFile.objects.filter(environment__project=project, environment__archived_at=None)
    found = found.exclude(pk=source.pk)
    files = list(found.select_related("environment").order_by("environment__order", "path"))
    may: dict[int, bool] = {}
    for file in files:
        file.environment.project = project
        if file.environment_id not in may:
            may[file.environment_id] = _edits(user, file.environment)
    return [file for file in files if may[file.environment_id]]


def _edits(user: Any, environment: Environment) -> bool:
    return may_secret(user, environment, "edit")
