"""Many values at once: pasted or uploaded with a preview, and downloaded."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.errors import Refused
from engine.errors import SlipwayError
from projects.models import SecretsFile
from secrets_ui.bulk.downloading import download
from secrets_ui.bulk.importing import (
    CHANGED,
    LEFT,
    NotReadable,
    Planned,
    drop,
    prepare,
    take,
    text_of,
    waiting,
)
from secrets_ui.editing.staging import known_keys
from secrets_ui.known.public import label
from secrets_ui.known.reference import reference_at
from secrets_ui.known.rights import is_production, require
from secrets_ui.known.secrets import secret_of
from secrets_ui.pages.edit_views import editable
from secrets_ui.pages.finding import file_for, file_name, holds_values, page_url, said, sign_in_first, url_of
from secrets_ui.pages.forms_of_many import DownloadForm, ImportForm
from ui import forms as ui

TAKE, DROP = "take", "drop"


def secrets_in(file: SecretsFile) -> list[str]:
    """The names of the Secrets in a file, as far as is known."""
    secret = secret_of(file)
    keys = known_keys(secret, secret.current_version) if secret is not None else {}
    wanted = reference_at(file.environment, {file.path: ""}).wanted.get(file.path, {}) if not keys else {}
    return list(dict.fromkeys(name for name, _ in [*keys, *wanted]))


@require_http_methods(["GET", "HEAD", "POST"])
@holds_values
def import_page(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: the form. POST: reads the text, and goes to the preview."""
    found = editable(request, project, environment, file)
    form = ImportForm(ui.posted(request), request.FILES or None, secrets=secrets_in(found))
    problems: tuple[tuple[int, str], ...] = ()
    if request.method == "POST" and form.is_valid():
        try:
            content: bytes | None = form.cleaned_data["content"]
            text = (
                text_of(content) if content is not None else form.cleaned_data["text"].replace("\r\n", "\n")
            )
            prepare(person(request.user), found, text, secret=form.cleaned_data["of"])
            return redirect(url_of("preview", found))
        except NotReadable as error:
            problems = error.problems
            form.add_error(None, said(error))
        except SlipwayError as error:
            ui.refuse(form, error)
    return ui.page(request, "secrets_ui/import.html", form, problems=problems, **context_of(found))


@require_http_methods(["GET", "HEAD", "POST"])
@holds_values
def preview(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: what would be added, changed and left, without values. POST: takes it into the draft, or drops it."""
    found = editable(request, project, environment, file)
    actor = person(request.user)
    if request.method == "POST" and request.POST.get("do") == DROP:
        drop(actor, found)
        messages.info(request, "The pasted values are erased. Nothing was changed.")
        return redirect(page_url(found))
    try:
        plan = waiting(actor, found)
        if request.method == "POST" and request.POST.get("do") == TAKE:
            return _taken(request, found)
    except Refused as error:
        messages.info(request, said(error))
        return redirect(page_url(found))
    return ui.page(request, "secrets_ui/preview.html", **context_of(found), **_numbers(plan))


def _taken(request: HttpRequest, file: SecretsFile) -> HttpResponse:
    if take(person(request.user), file).edits:
        return redirect(url_of("review", file))
    messages.info(request, "All of these values are stored already: there is nothing to save.")
    return redirect(page_url(file))


def _numbers(plan: list[Planned]) -> dict[str, Any]:
    alone = len({one.place[0] for one in plan}) == 1
    lines = [(one.place[1] if alone else label(*one.place), one) for one in plan if one.change != LEFT]
    return {
        "plan": lines,
        "changed": sum(1 for one in plan if one.change == CHANGED),
        "added": sum(1 for _, one in lines if one.change != CHANGED),
        "left": [one.place[1] for one in plan if one.change == LEFT],
    }


@require_http_methods(["GET", "HEAD", "POST"])
@holds_values
def download_page(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: in what form, and why. POST: the text as a file."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "reveal", what="all keys")
    form = DownloadForm(ui.posted(request), secrets=secrets_in(found), needs_reason=is_production(found))
    if request.method == "POST" and form.is_valid():
        if (first := sign_in_first(request, found, url_of("download", found))) is not None:
            return first
        given: list[str] = []
        if ui.saved(form, lambda: given.append(_text(request, found, form))):
            return attachment(found, given[0], form.cleaned_data["form"])
    return ui.page(request, "secrets_ui/download.html", form, **context_of(found))


def _text(request: HttpRequest, file: SecretsFile, form: DownloadForm) -> str:
    data = form.cleaned_data
    return download(
        person(request.user), file, form=data["form"], secret=data["of"], leave_out=data["leave_out"],
        reason=data["reason"],
    )  # fmt: skip


def attachment(file: SecretsFile, text: str, form: str) -> HttpResponse:
    """The text as a file that no browser takes for a page."""
    response = HttpResponse(text.encode("utf-8", "surrogatepass"), content_type="application/octet-stream")
    stem = f"{file.environment.project.slug}-{file.environment.slug}-{PurePosixPath(file.path).stem}"
    name = f"{stem}.env" if form == DownloadForm.ENV else f"{stem}.yaml"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = file_name(name)
    return response


def context_of(file: SecretsFile) -> dict[str, Any]:
    """What every such page shows."""
    return {
        "file": file,
        "environment": file.environment,
        "project": file.environment.project,
        "back": page_url(file),
    }
