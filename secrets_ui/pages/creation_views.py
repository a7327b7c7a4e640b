"""A request to make a secret from the reference file: which keys it would have, and the decision."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from audit.actors import Actor, person
from core.kept import keeps
from engine.errors import SlipwayError
from projects.access import require_secret
from projects.models import SecretsFile
from secrets_ui.editing.creating import blank_at
from secrets_ui.known.public import Key, keys_of, public_rows
from secrets_ui.known.reading import opened_text
from secrets_ui.known.rights import may
from secrets_ui.models import CreationRequest
from secrets_ui.pages.finding import file_for, page_url, said
from secrets_ui.pages.forms import DecideForm
from secrets_ui.requests.creation import STATE, approve, is_own, of_file, refuse, withdraw
from ui import forms as ui

_SAID = {
    DecideForm.APPROVE: "Approved: the secret is in AWS now. Fill in the values.",
    DecideForm.REFUSE: "Refused. The person who asked sees why. Nothing of it is in AWS.",
    DecideForm.WITHDRAW: "Withdrawn. Nothing of it is in AWS.",
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@keeps(DecideForm)
def creation_page(
    request: HttpRequest, project: str, environment: str, file: int, asked: int
) -> HttpResponse:
    """GET: the keys that the secret would have. POST: approves, refuses or withdraws."""
    found = file_for(request.user, project, environment, file)
    actor = person(request.user)
    require_secret(actor, found.environment, "names")
    row = row_of(found, asked)
    form = DecideForm(ui.posted(request))
    if ui.saved(form, lambda: _decide(actor, found, row, form)):
        messages.success(request, _SAID[form.cleaned_data["do"]])
        return redirect(request.path)
    row = row_of(found, asked)
    keys, problem = _keys(found, row)
    context: dict[str, Any] = {
        "file": found, "environment": found.environment, "project": found.environment.project, "row": row,
        "back": page_url(found), "keys": keys, "problem": problem, "waits": row.state == STATE.WAITING,
        "own": is_own(actor, row), "alone": len({key.secret for key in keys}) == 1,
        "may": may(request.user, found, "edit", "approve"),
    }  # fmt: skip
    return ui.page(request, "secrets_ui/creation.html", form, **context)


def row_of(file: SecretsFile, pk: int) -> CreationRequest:
    """The request for the secret that this file names. Raises Http404."""
    row = of_file(file).filter(pk=pk).first()
    if row is None:
        raise Http404("There is no such request here.")
    return row


def _decide(actor: Actor, file: SecretsFile, row: CreationRequest, form: DecideForm) -> CreationRequest:
    do, note = form.cleaned_data["do"], form.cleaned_data["note"]
    if do == DecideForm.APPROVE:
        return approve(actor, file, row, note=note)
    if do == DecideForm.REFUSE:
        return refuse(actor, file, row, note=note)
    return withdraw(actor, file, row, note=note)


def _keys(file: SecretsFile, row: CreationRequest) -> tuple[list[Key], str]:
    """The keys of the reference file as it was asked for, or why they cannot be told."""
    try:
        rows = public_rows(file.secret_id, opened_text(blank_at(file, row.sha).text))
    except SlipwayError as error:
        return [], said(error)
    return list(keys_of(rows).values()), ""
