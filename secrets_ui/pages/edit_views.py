"""Typing: what a person enters goes into the encrypted draft, and the page says that it is kept."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from audit.actors import person
from core.errors import Refused
from core.secret_values import register
from engine.errors import SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Do, Edit, draft_of
from secrets_ui.editing.revealing import reveal
from secrets_ui.editing.staging import discard_draft, known_keys, known_secret, mend, stage, undo
from secrets_ui.known.public import Place, label
from secrets_ui.known.rights import is_production, require
from secrets_ui.known.secrets import secret_of
from secrets_ui.pages.environment_views import context_of
from secrets_ui.pages.finding import file_for, holds_values, page_url, said, sign_in_first, url_of
from secrets_ui.pages.forms import REVIEW, AddForm, MendForm, PlaceForm, RenameForm, RevealForm, ValueForm
from secrets_ui.values.kinds import text_of
from ui.forms import refuse

Save = Callable[[forms.Form], Edit]


@require_POST
@holds_values
def set_value(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """A new value for a key; a missing one is added."""
    found = editable(request, project, environment, file)
    secret = secret_of(found)
    keys = known_keys(secret, secret.current_version) if secret else {}
    form = ValueForm(request.POST, request.FILES, keys=keys)

    def edit(form: forms.Form) -> Edit:
        place: Place = form.cleaned_data["place"]
        return Edit(*place, "set" if place in keys else "add", form.cleaned_data["wanted"])

    return staged(request, found, form, edit, opened="edit")


@require_POST
@holds_values
def add(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """A new key."""
    found = editable(request, project, environment, file)
    form = AddForm(request.POST, request.FILES)
    loose = draft_of(request.user, secret_of(found)).loose

    def edit(form: forms.Form) -> Edit:
        data = form.cleaned_data
        value = loose if data["kept"] and loose is not None and data["wanted"] == b"" else data["wanted"]
        return Edit(data["of"], data["key"], "add", value)

    return staged(request, found, form, edit, opened="")


@require_POST
@holds_values
def rename(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """Another name for a key; its value stays."""
    found = editable(request, project, environment, file)
    return staged(
        request, found, RenameForm(request.POST),
        lambda form: edit_of(form, "rename", to=form.cleaned_data["to"]), opened="edit",
    )  # fmt: skip


@require_POST
@holds_values
def remove(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """A key is to go."""
    found = editable(request, project, environment, file)
    return staged(
        request,
        found,
        PlaceForm(request.POST),
        lambda form: edit_of(form, "remove"),
        opened="",
    )


def edit_of(form: forms.Form, do: Do, *, to: str = "") -> Edit:
    """An edit of the key that a form names."""
    secret, key = form.cleaned_data["place"]
    return Edit(secret, key, do, to=to)


def editable(request: HttpRequest, project: str, environment: str, file: int) -> SecretsFile:
    """The file, for somebody who may edit it. Raises Http404 or Refused."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "edit")
    return found


def staged(
    request: HttpRequest, file: SecretsFile, form: forms.Form, edit: Save, *, opened: str
) -> HttpResponse:
    """Puts the edit into the draft and goes back to the key's row; or the page again with what is wrong, without values."""
    if form.is_valid():
        register([form.cleaned_data.get("wanted") or b""])
        made = edit(form)
        try:
            stage(person(request.user), file, made)
            return redirect(page_url(file, made.place))
        except (ValidationError, Refused) as error:
            refuse(form, error)
    asked = str(request.POST.get("place", ""))[:800]
    context = context_of(request, file.environment, file_pk=file.pk, form=form)
    if opened and asked:
        context["editing"] = form.cleaned_data.get("place") if hasattr(form, "cleaned_data") else None
    else:
        context["add_form"] = form
    return render(request, "secrets_ui/environment.html", context, status=422)


@require_POST
@holds_values
def open_value(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """The stored value in a form, to be changed: for who may see it."""
    found = editable(request, project, environment, file)
    require(person(request.user), found, "reveal")
    form = RevealForm(request.POST)
    if not form.is_valid():
        return redirect(page_url(found))
    place, reason = form.cleaned_data["place"], form.cleaned_data["reason"]
    if is_production(found) and not reason.strip():
        messages.error(request, "Say why you need to see this value. Nothing was shown.")
        return redirect(page_url(found, place, edit=label(*place)))
    if (first := sign_in_first(request, found, page_url(found, place, edit=label(*place)))) is not None:
        return first
    try:
        text = text_of(reveal(person(request.user), found, place, how="opened for editing", reason=reason))
    except SlipwayError as error:
        messages.error(request, said(error, before="Nothing was shown. "))
        return redirect(page_url(found, place, edit=label(*place)))
    if text is None:
        messages.error(request, "This value is binary: it comes and goes as a file.")
        return redirect(page_url(found, place, edit=label(*place)))
    key = known_keys(secret := known_secret(found), secret.current_version).get(place)
    context = {"file": found, "environment": found.environment, "project": found.environment.project,
               "place": label(*place), "text": text, "key": key, "back": page_url(found, place)}  # fmt: skip
    return render(request, "secrets_ui/edit_value.html", context)


@require_POST
@holds_values
def take_back(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """One edit is undone."""
    found = editable(request, project, environment, file)
    form = MendForm({**request.POST.dict(), "code": "undo"})
    if form.is_valid() and not undo(person(request.user), found, form.cleaned_data["place"]).edits:
        messages.info(request, "Nothing of yours is left to save.")
        return redirect(page_url(found, form.cleaned_data["place"]))
    return back(found, form)


@require_POST
def discard(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """Everything typed is erased."""
    found = editable(request, project, environment, file)
    discard_draft(person(request.user), found)
    messages.info(request, "What you typed is erased. Nothing was changed.")
    return redirect(page_url(found))


@require_POST
@holds_values
def mend_value(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """POST: mends one oddity of a value, in the draft."""
    found = editable(request, project, environment, file)
    form = MendForm(request.POST)
    if form.is_valid():
        try:
            mend(person(request.user), found, form.cleaned_data["place"], form.cleaned_data["code"])
        except SlipwayError as error:
            messages.error(request, said(error))
    return back(found, form)


def back(file: SecretsFile, form: MendForm) -> HttpResponse:
    """To the review, or the key's row."""
    if not form.is_valid():
        return redirect(page_url(file))
    place: Place = form.cleaned_data["place"]
    has_edits = form.cleaned_data["back"] == REVIEW
    return redirect(url_of("review", file) if has_edits else page_url(file, place))
