"""Versions of a secret: the list, restoring one, reading what is not known yet, and making a secret that is not there."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from adapters.errors import ExternalError
from audit.actors import person
from core.kept import keeps
from engine.errors import SlipwayError
from projects.access import require_current, require_secret
from projects.models import SecretsFile
from secrets_ui.editing.asking import demands_request
from secrets_ui.editing.creating import cannot_create
from secrets_ui.editing.restoring import restore
from secrets_ui.known.looking import Look, look, look_again
from secrets_ui.known.reading import learn
from secrets_ui.known.rights import may, require
from secrets_ui.known.secrets import current_versions, stored_versions
from secrets_ui.known.uses import serving, uses_of
from secrets_ui.models import CreationRequest, SecretVersion
from secrets_ui.pages.edit_views import editable
from secrets_ui.pages.finding import file_for, page_url, said, url_of
from secrets_ui.pages.forms import CreateForm, RestoreForm
from secrets_ui.pages.views_of_files import VersionLine, has_one_secret
from secrets_ui.requests import creation
from ui import forms as ui
from ui.back import next_or

PER_PAGE = 25


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@keeps(RestoreForm)
def versions(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: the list. POST: the content of an old version becomes current again."""
    found = file_for(request.user, project, environment, file)
    form = RestoreForm(ui.posted(request))
    if request.method == "POST":
        require(person(request.user), found, "edit")
        made: list[Any] = []
        if ui.saved(form, lambda: made.append(_restored(request, found, form))):
            _told(request, made[0])
            return redirect(page_url(found))
    seen = look([found])[found.pk]
    return ui.page(request, "secrets_ui/versions.html", form, **_context(request, found, seen, form))


def _restored(request: HttpRequest, file: SecretsFile, form: RestoreForm) -> object:
    data = form.cleaned_data
    return restore(
        person(request.user), file, version_id=data["version"], over=data["over"], token=str(data["save_id"]),
        comment=data["comment"],
    )  # fmt: skip


def _told(request: HttpRequest, row: object) -> None:
    if row is None:
        messages.info(request, "That version has what is stored already: nothing was saved.")
    elif isinstance(row, SecretVersion) and row.state == SecretVersion.State.WAITING:
        messages.success(request, "Asked for. It waits until another person has approved it.")
    else:
        messages.success(request, "Restored as a new version. Pods take it with the next deploy.")


def _context(request: HttpRequest, file: SecretsFile, seen: Look, form: RestoreForm) -> dict[str, Any]:
    secret = seen.secret
    rows = (stored_versions(secret) if secret else SecretVersion.objects.none()).defer("keys")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    uses = uses_of(request.user, secret, [row.version_id for row in page]) if secret else {}
    runs = serving(file.environment, [secret]).get(secret.pk) if secret else None
    current = secret.current_version if secret else ""
    alone = has_one_secret(current_versions([secret]).get(secret.pk) if secret else None)
    lines = [
        VersionLine(row, uses.get(row.version_id, ()), row.version_id == current,
                    runs is not None and row.version_id == runs.version_id, alone)
        for row in page
    ]  # fmt: skip
    return {
        "file": file, "environment": file.environment, "project": file.environment.project, "secret": secret,
        "look": seen, "lines": lines, "page": page, "token": uuid.uuid4(), "current": current,
        "restoring": str(form["version"].value() or request.GET.get("restore", "")),
        "may": may(request.user, file, "names", "edit"),
        "back": page_url(file),
    }  # fmt: skip


@require_POST
def read(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """Reads the current version now, where no job has done so. No value is shown."""
    found = file_for(request.user, project, environment, file)
    require_secret(person(request.user), found.environment, "names")
    require_current(found.environment.project, found.environment)
    try:
        version = look_again(found).current_version
    except ExternalError as error:
        messages.error(request, said(error))
        return redirect(page_url(found))
    if not learn(found, version):
        messages.error(request, "It could not be read. The page says why.")
    return redirect(page_url(found))


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(CreateForm)
def make(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """A secret that AWS does not have yet, from the reference file."""
    found = editable(request, project, environment, file)
    form = CreateForm(ui.posted(request))
    made: list[CreationRequest | None] = []
    if ui.saved(form, lambda: made.append(_made(request, found, form))):
        return _after_making(request, found, made[0])
    if not form.errors and (waiting := creation.waiting_for(found)) is not None:
        return redirect(url_of("creation", found, waiting.pk))
    context: dict[str, Any] = {"file": found, "environment": found.environment, "project": found.environment.project,
               "problem": _problem(found), "back": next_or(request, page_url(found)), "asks": demands_request(found)}  # fmt: skip
    return ui.page(request, "secrets_ui/create.html", form, **context)


def _made(request: HttpRequest, file: SecretsFile, form: CreateForm) -> CreationRequest | None:
    return creation.make(person(request.user), file, comment=form.cleaned_data["comment"])


def _after_making(request: HttpRequest, file: SecretsFile, asked: CreationRequest | None) -> HttpResponse:
    if asked is not None:
        messages.success(request, "Asked for. Nothing is in AWS until another person has approved it.")
        return redirect(url_of("creation", file, asked.pk))
    messages.success(
        request, "The secret is made, with the keys of the reference file. Fill in the values now."
    )
    return redirect(next_or(request, page_url(file)))


def _problem(file: SecretsFile) -> str:
    try:
        return cannot_create(file)
    except SlipwayError as error:
        return said(error)
