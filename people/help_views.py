"""Pages by which an admin lets a person in again who lost their phone or their password, and the page of that person's link."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from audit.actors import person
from core.kept import keeps
from people import links, second_steps, services
from people.forms import ChoosePasswordForm, TakeAwayForm
from people.fresh import confirm_first
from people.models import SetupLink, User
from ui.forms import page, posted, saved


@require_http_methods(["GET", "POST"])
@keeps(TakeAwayForm)
def second_step(request: HttpRequest, pk: int) -> HttpResponse:
    """Taking away a second step, after a question and a fresh sign-in."""
    actor = person(request.user)
    user = services.person_for(actor, pk)
    second_steps.may_take_away(actor, user)
    if answer := confirm_first(request):
        return answer
    form = TakeAwayForm(posted(request))
    held = second_steps.of(user)

    def save() -> None:
        second_steps.take_away(actor, user=user, reason=form.cleaned_data["reason"])

    if request.method == "POST" and saved(form, save):
        messages.success(
            request,
            f"{user} has no second step any more, is signed out everywhere, and reads of it at the next sign-in.",
        )
        return redirect("people:person", pk)
    return page(request, "people/second_step.html", form, person=user, second_step=held)


@never_cache
@require_POST
def password_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Makes a link by which the person chooses a password, and shows it once."""
    actor = person(request.user)
    user = services.person_for(actor, pk)
    return with_link(request, user, links.new_link(actor, user=user))


def with_link(request: HttpRequest, user: User, token: str, *, new: bool = False) -> HttpResponse:
    """The page that shows a link once. `new`: the account was made just now; without a token it has a password already."""
    address = settings.BASE_URL + reverse("people:setup", args=[token]) if token else ""
    return page(request, "people/link.html", person=user, link=address, new=new)


def choose(request: HttpRequest, link: SetupLink) -> HttpResponse:
    """The page of a link: the person chooses a password, and signs in with it. A second step is asked for as ever."""
    form = ChoosePasswordForm(posted(request))

    def save() -> None:
        links.choose_password(link, password=form.cleaned_data["password"])

    if request.method == "POST" and saved(form, save, otherwise="password"):
        messages.success(request, "Your password is set. Sign in with it.")
        return redirect("account_login")
    return page(request, "people/choose.html", form, person=link.user)
