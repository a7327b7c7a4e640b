"""A whole Secret added to a file or removed from it: into the draft, as single keys."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from audit.actors import person
from engine.errors import SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.drafts import draft_of
from secrets_ui.editing.staging import known_keys
from secrets_ui.editing.whole import stage_new, stage_removal
from secrets_ui.known.public import label
from secrets_ui.known.secrets import secret_of
from secrets_ui.pages.edit_views import editable
from secrets_ui.pages.finding import holds_values, page_url, said, url_of
from secrets_ui.pages.forms import NewSecretForm
from secrets_ui.pages.views_of_files import is_flat
from secrets_ui.values.secret_types import TYPES
from ui import forms as ui


@require_http_methods(["GET", "HEAD", "POST"])
@holds_values
def new_secret(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: name, type and first key. POST: into the draft."""
    found = editable(request, project, environment, file)
    files = request.FILES if request.method == "POST" else None
    form = NewSecretForm(ui.posted(request), files)
    if request.method == "POST" and form.is_valid():
        try:
            return _staged(request, found, form)
        except (SlipwayError, ValidationError) as error:
            ui.refuse(form, error)
    secret = secret_of(found)
    context: dict[str, Any] = {
        "file": found, "environment": found.environment, "project": found.environment.project, "back": page_url(found),
        "types": TYPES, "draft": draft_of(request.user, secret),
        "is_flat": secret is not None and is_flat(known_keys(secret, secret.current_version)),
    }  # fmt: skip
    return ui.page(request, "secrets_ui/secret_new.html", form, **context)


def _staged(request: HttpRequest, file: SecretsFile, form: NewSecretForm) -> HttpResponse:
    data = form.cleaned_data
    loose = draft_of(request.user, secret_of(file)).loose
    value = loose if data["kept"] and loose is not None and form.wanted == b"" else form.wanted
    content = stage_new(person(request.user), file, data["name"], data["type"], data["key"], value)
    blank = next(
        (
            edit
            for edit in content.edits
            if edit.secret == data["name"] and not edit.is_whole and not edit.value
        ),
        None,
    )
    if blank is None:
        return redirect(page_url(file))
    messages.info(request, f"{data['name']} is kept for the review. Give {blank.key} its value now.")
    return redirect(page_url(file, blank.place, edit=label(*blank.place)))


@require_POST
@holds_values
def drop_secret(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """POST: the whole Secret is to go; the review names its keys and who reads them."""
    found = editable(request, project, environment, file)
    try:
        left = stage_removal(person(request.user), found, str(request.POST.get("secret", ""))[:300])
    except SlipwayError as error:
        messages.error(request, said(error))
        return redirect(page_url(found))
    return redirect(url_of("review", found) if left.edits else page_url(found))
