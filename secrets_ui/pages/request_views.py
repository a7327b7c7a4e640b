"""Changes that wait for another person: the list, what one of them would change, and the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import Actor, person
from core.kept import keeps
from engine.errors import SlipwayError
from projects.access import require_secret
from projects.models import SecretsFile
from secrets_ui.editing.revealing import reveal
from secrets_ui.known.public import Key, Place, changed_places, keys_of, label, place_of
from secrets_ui.known.rights import is_production, may, require
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import ChangeRequest, SecretVersion
from secrets_ui.pages.finding import file_for, holds_values, page_url, said, sign_in_first, url_of
from secrets_ui.pages.forms import DecideForm, SideForm
from secrets_ui.pages.reveal_views import SHOWN, answer
from secrets_ui.requests.deciding import approve, is_own, is_stale, refuse, waits, withdraw
from secrets_ui.requests.lists import KEPT, requests_of
from secrets_ui.requests.redoing import redo
from ui import forms as ui

_SAID = {
    DecideForm.APPROVE: "Approved: it is the current version now. Pods take it with the next deploy.",
    DecideForm.REFUSE: "Refused. The person who asked sees why.",
    DecideForm.WITHDRAW: "Withdrawn. Nothing was changed.",
}


@dataclass(frozen=True)
class Line:
    """One key that the change touches. `before`, `after`: the key without its value."""

    place: Place
    change: str
    before: Key | None
    after: Key | None
    alone: bool = False

    @property
    def name(self) -> str:
        """As the page calls it: a file of one Secret does not repeat that one's name."""
        return self.place[1] if self.alone else self.id

    @property
    def id(self) -> str:
        """As addresses and forms write the key."""
        return label(*self.place)


@never_cache
@require_safe
def requests(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """Every request for a secret: those that wait first."""
    found = file_for(request.user, project, environment, file)
    require_secret(person(request.user), found.environment, "names")
    secret = secret_of(found)
    rows = list(requests_of(secret)[:KEPT]) if secret is not None else []
    shown = sorted(rows, key=lambda row: (not waits(row), -row.pk))
    context = {**_context(found), "requests": [(row, is_stale(row)) for row in shown]}
    return render(request, "secrets_ui/requests.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@keeps(DecideForm)
def request_page(request: HttpRequest, project: str, environment: str, file: int, asked: int) -> HttpResponse:
    """GET: what would change, without values. POST: approves, refuses or withdraws."""
    found = file_for(request.user, project, environment, file)
    actor = person(request.user)
    require_secret(actor, found.environment, "names")
    row = row_of(found, asked)
    form = DecideForm(ui.posted(request))
    if ui.saved(form, lambda: _decide(actor, found, row, form)):
        messages.success(request, _SAID[form.cleaned_data["do"]])
        return redirect(request.path)
    row = row_of(found, asked)
    before, after = _keys(row)
    context: dict[str, Any] = {
        **_context(found), "row": row, "lines": lines(before, after), "stale": is_stale(row), "waits": waits(row),
        "own": is_own(actor, row), "revealing": place_of(request.GET["reveal"]) if request.GET.get("reveal") else None,
        "may": may(request.user, found, "reveal", "edit", "approve"),
    }  # fmt: skip
    return ui.page(request, "secrets_ui/request.html", form, **context)


def row_of(file: SecretsFile, pk: int) -> ChangeRequest:
    """The request for this file's secret. Raises Http404."""
    secret = secret_of(file)
    row = requests_of(secret).filter(pk=pk).first() if secret is not None else None
    if row is None:
        raise Http404("There is no such request here.")
    return row


def _decide(actor: Actor, file: SecretsFile, row: ChangeRequest, form: DecideForm) -> ChangeRequest:
    do, note = form.cleaned_data["do"], form.cleaned_data["note"]
    if do == DecideForm.APPROVE:
        return approve(actor, file, row, note=note)
    if do == DecideForm.REFUSE:
        return refuse(actor, file, row, note=note)
    return withdraw(actor, file, row, note=note)


def _keys(row: ChangeRequest) -> tuple[dict[Place, Key], dict[Place, Key]]:
    base = SecretVersion.objects.filter(secret=row.secret_id, version_id=row.version.base_version).first()
    return keys_of(base.keys if base is not None else None), keys_of(row.version.keys)


def lines(before: Mapping[Place, Key], after: Mapping[Place, Key]) -> list[Line]:
    """What differs, by key."""
    changed = sorted(changed_places(before, after).items())
    alone = len({secret for secret, _ in [*before, *after]}) == 1
    return [Line(place, kind, before.get(place), after.get(place), alone) for place, kind in changed]


def _context(file: SecretsFile) -> dict[str, Any]:
    return {"file": file, "environment": file.environment, "project": file.environment.project, "back": page_url(file),
            "is_production": is_production(file)}  # fmt: skip


@require_POST
@holds_values
def do_again(request: HttpRequest, project: str, environment: str, file: int, asked: int) -> HttpResponse:
    """The changes of an ended request go into the draft of whoever asked."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "edit")
    try:
        redo(person(request.user), found, row_of(found, asked))
    except SlipwayError as error:
        messages.error(request, said(error))
        return redirect(_address(found, asked))
    return redirect(url_of("review", found))


def _address(file: SecretsFile, asked: int) -> str:
    place = file.environment
    return reverse("secrets:request", args=[place.project.slug, place.slug, file.pk, asked])


@require_POST
@holds_values
def look_at_value(
    request: HttpRequest, project: str, environment: str, file: int, asked: int
) -> HttpResponse:
    """One value of the version that waits, or of the one that it started from."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "reveal")
    row, form = row_of(found, asked), SideForm(request.POST)
    back = _address(found, asked)
    if not form.is_valid() or (is_production(found) and not form.cleaned_data["reason"].strip()):
        messages.error(request, "Say which value you need to see, and on production why. Nothing was shown.")
        return redirect(back)
    if (first := sign_in_first(request, found, back)) is not None:
        return first
    place, before = form.cleaned_data["place"], form.cleaned_data["side"] == SideForm.BEFORE
    version = row.version.base_version if before else row.version.version_id
    try:
        value = reveal(
            person(request.user), found, place, reason=form.cleaned_data["reason"], version_id=version
        )
    except SlipwayError as error:
        messages.error(request, said(error, before="Nothing was shown. "))
        return redirect(f"{back}?{urlencode({'reveal': label(*place)})}")
    return answer(request, found, place, value, SHOWN, back=back)
