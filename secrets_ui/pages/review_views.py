"""The review before a save: changes, comment, and the changes of two people side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from adapters.errors import ExternalError
from audit.actors import person
from core.errors import Refused
from core.kept import keeps
from engine.errors import ManifestError, SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.asking import demands_request
from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.merging import Merged
from secrets_ui.editing.saving import resolve, review, save
from secrets_ui.editing.staging import known_secret, stage
from secrets_ui.known.public import Place
from secrets_ui.known.reference import reference_at
from secrets_ui.known.rights import is_production, may
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import SecretVersion
from secrets_ui.pages.changes import changes, counted, removed_number, touched_number
from secrets_ui.pages.clashes import Clash, clashes, fitting, with_answers
from secrets_ui.pages.edit_views import editable
from secrets_ui.pages.finding import holds_values, page_url, said, url_of
from secrets_ui.pages.forms import THEIRS, THIRD, SaveForm, ThirdForm, decisions
from ui.forms import refuse


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(SaveForm)
@holds_values
def review_page(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: what saving would do. POST: saves."""
    found = editable(request, project, environment, file)
    merged = reviewed(request, found)
    if isinstance(merged, HttpResponse):
        return merged
    form = SaveForm(
        request.POST if request.method == "POST" else None,
        file=found,
        removes=removed_number(merged),
    )
    if request.method == "POST" and form.is_valid():
        try:
            token, comment = str(form.cleaned_data["save_id"]), form.cleaned_data["comment"]
            return saved(request, found, save(person(request.user), found, token=token, comment=comment))
        except SlipwayError as error:
            refuse(form, error)
    return render(
        request,
        "secrets_ui/review.html",
        context_of(request, found, merged, form, clashes(known_secret(found), merged)),
        status=422 if form.errors else 200,
    )


def reviewed(request: HttpRequest, file: SecretsFile) -> Merged | HttpResponse:
    """The draft over what is current, or the answer where there is nothing to review, or no way to."""
    try:
        return review(person(request.user), file)
    except Refused as error:
        if request.method == "POST" and (done := sent_before(request, file)) is not None:
            return saved(request, file, done)
        messages.info(request, said(error))
        return redirect(page_url(file))
    except (ExternalError, ManifestError) as error:
        return unreadable(request, file, error)


def sent_before(request: HttpRequest, file: SecretsFile) -> SecretVersion | None:
    """The version of a form that was sent twice: the second time there is nothing to save any more."""
    form = SaveForm(request.POST, file=file)
    if not form.is_valid():
        return None
    try:
        return save(
            person(request.user),
            file,
            token=str(form.cleaned_data["save_id"]),
            comment=form.cleaned_data["comment"],
        )
    except SlipwayError:
        return None


def saved(request: HttpRequest, file: SecretsFile, row: SecretVersion | None) -> HttpResponse:
    """Back to the page."""
    if row is None:
        messages.info(request, "All of this is stored already: nothing was saved.")
    elif row.state == SecretVersion.State.WAITING:
        messages.success(request, "Asked for. It waits until another person has approved it.")
        return redirect(url_of("requests", file))
    else:
        messages.success(
            request, f"Saved as version {row.version_id[:8]}. Pods take it with the next deploy."
        )
    return redirect(page_url(file))


def unreadable(request: HttpRequest, file: SecretsFile, error: SlipwayError) -> HttpResponse:
    """AWS or the file does not let itself be read: what was typed is kept."""
    context = {"file": file, "environment": file.environment, "project": file.environment.project, "error": error,
               "back": page_url(file)}  # fmt: skip
    return render(request, "secrets_ui/review_unreadable.html", context, status=502)


def context_of(
    request: HttpRequest, file: SecretsFile, merged: Merged, form: SaveForm, found: list[Clash]
) -> dict[str, Any]:
    """The page's context: names, kinds and lengths."""
    secret = secret_of(file)
    reference = reference_at(file.environment, {file.path: secret.arn} if secret else {})
    made = changes(secret.arn if secret else "", merged, reference)
    return {
        "file": file,
        "environment": file.environment,
        "project": file.environment.project,
        "merged": merged,
        "changes": made,
        "counts": counted(made),
        "untouched": len(merged.before) - touched_number(made),
        "clashes": found,
        "theirs": fitting(secret, merged),
        "form": form,
        "back": page_url(file),
        "blocked": bool(merged.clashes or merged.problems),
        "secret": secret,
        "asks": demands_request(file),
        "may_reveal": may(request.user, file, "reveal")["reveal"],
        "needs_reason": is_production(file),
    }


@require_POST
@holds_values
def decide(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """POST: decides whose value stays, for each key that both changed, or takes a third one."""
    found = editable(request, project, environment, file)
    actor = person(request.user)
    merged = reviewed(request, found)
    if isinstance(merged, HttpResponse):
        return merged
    sides = decisions(request.POST, merged.clashes)
    errors = third_values(request, found, merged, sides)
    if errors:
        return asked_again(request, found, sides, errors)
    mine = {place: side != THEIRS for place, side in sides.items()}
    try:
        left = resolve(actor, found, current=str(request.POST.get("current", "")), mine=mine)
    except Refused as error:
        messages.error(request, said(error))
        return redirect(url_of("review", found))
    if not left.edits:
        messages.info(request, "Nothing of yours is left to save.")
        return redirect(page_url(found))
    return redirect(url_of("review", found))


def third_values(
    request: HttpRequest, file: SecretsFile, merged: Merged, sides: Mapping[Place, str]
) -> dict[Place, str]:
    """Puts the third values into the draft, in place of the person's own; what is wrong with the others, by key."""
    errors: dict[Place, str] = {}
    for at, place in enumerate(merged.clashes):
        if sides.get(place) != THIRD:
            continue
        form = ThirdForm(request.POST, request.FILES, prefix=f"third-{at}", key=merged.before.get(place))
        try:
            if not form.is_valid():
                raise ValidationError([text for texts in form.errors.values() for text in texts])
            stage(person(request.user), file, Edit(*place, "set", form.wanted))
        except ValidationError as error:
            errors[place] = " ".join(error.messages)
    return errors


def asked_again(
    request: HttpRequest, file: SecretsFile, sides: Mapping[Place, str], errors: Mapping[Place, str]
) -> HttpResponse:
    """The page again with what was chosen, and what is wrong with a third value; other third values are the person's own now."""
    merged = review(person(request.user), file)
    form = SaveForm(file=file, removes=removed_number(merged))
    found = with_answers(clashes(known_secret(file), merged), sides, errors)
    return render(
        request, "secrets_ui/review.html", context_of(request, file, merged, form, found), status=422
    )
