"""Looking at one value. Only by POST, only one, and only until it is hidden again."""

from __future__ import annotations

import base64
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from audit.actors import person
from engine.errors import SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.revealing import How, reveal, reveal_draft
from secrets_ui.known.public import Place, label
from secrets_ui.known.rights import is_production, require
from secrets_ui.pages.environment_views import context_of
from secrets_ui.pages.finding import file_for, file_name, holds_values, page_url, said, sign_in_first, url_of
from secrets_ui.pages.forms import BASE64, REVIEW, RevealForm
from secrets_ui.values.kinds import text_of

SHOWN_SECONDS = 30
SHOWN = RevealForm.SHOWN
_HOW: dict[str, How] = {"copied": "copied", "downloaded": "downloaded"}


@require_POST
@holds_values
def show(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """One value: a page of its own, a part of the page by htmx, a text to copy, or a file."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "reveal")
    form = RevealForm(request.POST)
    if not form.is_valid():
        problems = form.errors.get("reason") or ["Say which value you want to see."]
        return refused(request, found, " ".join(map(str, problems)))
    place, how, reason = form.cleaned_data["place"], form.cleaned_data["how"], form.cleaned_data["reason"]
    if is_production(found) and not reason.strip():
        return refused(request, found, "Say why you need to see this value. Nothing was shown.", place)
    to_review = form.cleaned_data["back"] == REVIEW
    again = url_of("review", found) if to_review else page_url(found, place, reveal=label(*place))
    if (first := sign_in_first(request, found, again)) is not None:
        return first
    try:
        value = reveal(person(request.user), found, place, how=_HOW.get(how, "shown"), reason=reason)
    except SlipwayError as error:
        return refused(request, found, said(error, before="Nothing was shown. "), place)
    back = again if to_review else page_url(found, place)
    return answer(request, found, place, value, how, back=back)


@require_POST
@holds_values
def draft(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """POST: the unsaved value of a key in the person's draft."""
    found = file_for(request.user, project, environment, file)
    require(person(request.user), found, "reveal")
    form = RevealForm(request.POST)
    if not form.is_valid():
        return refused(request, found, "Say which value you want to see.")
    place, to_review = form.cleaned_data["place"], form.cleaned_data["back"] == REVIEW
    again = url_of("review", found) if to_review else page_url(found, place, edit=label(*place))
    if (first := sign_in_first(request, found, again)) is not None:
        return first
    try:
        value = reveal_draft(person(request.user), found, place)
    except SlipwayError as error:
        return refused(request, found, said(error, before="Nothing was shown. "), place)
    back = again if to_review else page_url(found, place)
    return answer(request, found, place, value, SHOWN, own=True, back=back)


def answer(
    request: HttpRequest, file: SecretsFile, place: Place, value: bytes, how: str, *, back: str, own: bool = False
) -> HttpResponse:  # fmt: skip
    """The value in the form that was asked for."""
    if how in (RevealForm.COPIED, RevealForm.DOWNLOADED):
        return raw(place, value, attachment=how == RevealForm.DOWNLOADED)
    text = base64.b64encode(value).decode() if how == BASE64 else text_of(value)
    context: dict[str, Any] = {
        "file": file, "environment": file.environment, "project": file.environment.project, "place": label(*place),
        "text": text, "is_base64": how == BASE64, "size": len(value), "seconds": SHOWN_SECONDS, "own": own, "back": back,
    }  # fmt: skip
    if request.headers.get("HX-Request"):
        return render(request, "secrets_ui/_value.html", context)
    response = render(request, "secrets_ui/value.html", context)
    response["Refresh"] = f"{SHOWN_SECONDS}; url={context['back']}"  # hidden again without any script
    return response


def raw(place: Place, value: bytes, *, attachment: bool) -> HttpResponse:
    """The bytes themselves, never taken for a page."""
    response = HttpResponse(value, content_type="application/octet-stream")
    response["X-Content-Type-Options"] = "nosniff"
    if attachment:
        response["Content-Disposition"] = file_name(place[1])
    return response


def refused(
    request: HttpRequest, file: SecretsFile, problem: str, place: Place | None = None
) -> HttpResponse:
    """The page again, saying why nothing was shown; a script gets only the reason."""
    if request.headers.get("X-Copy"):
        return HttpResponse(problem, content_type="text/plain; charset=utf-8", status=422)
    if request.headers.get("HX-Request"):
        return render(request, "secrets_ui/_refused.html", {"problem": problem}, status=422)
    context = context_of(request, file.environment, file_pk=file.pk)
    context |= {"reveal_problem": problem, "revealing": place}
    return render(request, "secrets_ui/environment.html", context, status=422)
