"""The page on which an account is archived, restored and removed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.kept import keeps
from people import leaving
from people.models import User
from people.services import person_for
from ui.forms import page, posted, saved
from ui.leaving import ARCHIVE, REMOVE, RESTORE, LeavingForm

DONE = {
    ARCHIVE: "{} is archived and cannot sign in.",
    RESTORE: "{} is restored and can sign in again.",
    REMOVE: "The account {} is removed.",
}


@require_http_methods(["GET", "POST"])
@keeps(LeavingForm)
def account(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: what archiving does; POST: does it."""
    actor = person(request.user)
    user = person_for(actor, pk)
    form = LeavingForm(posted(request), name=user.username)
    does = {ARCHIVE: leaving.archive, RESTORE: leaving.restore, REMOVE: leaving.remove}
    if request.method == "POST" and saved(form, lambda: does[form.cleaned_data["do"]](actor, user=user)):
        done = form.cleaned_data["do"]
        messages.success(request, DONE[done].format(user.username))
        return redirect("people:people") if done == REMOVE else redirect("people:person", pk)
    admins = User.objects.filter(is_admin=True, is_active=True).count()
    back = reverse("people:person", args=[pk])
    return page(
        request, "people/leaving.html", form, standing=leaving.standing(user, admins), back=back
    )  # fmt: skip
