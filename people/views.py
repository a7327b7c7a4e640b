"""The portal's own admin, accounts, the first admin's set-up page, and one's own account."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from engine.errors import SlipwayError
from people import services
from people.forms import AccountForm, NewPersonForm, OwnForm, PasswordForm, PersonForm, SetupForm
from people.models import User

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: the fields that were sent, or nothing when the page is only looked at."""
    return request.POST if request.method == "POST" else None


def saved(form: AccountForm, save: Callable[[], object]) -> bool:
    """Whether a sent form was saved; if not, it says why."""
    if not form.is_valid():
        return False
    try:
        save()
    except (SlipwayError, ValidationError) as error:
        form.refuse(error)
        return False
    return True


def page(
    request: HttpRequest, template: str, form: AccountForm | None = None, **context: object
) -> HttpResponse:
    """The page; 422 when it shows a form that was sent and not saved."""
    refused = form is not None and form.is_bound and bool(form.errors)
    return render(request, template, {"form": form, **context}, status=422 if refused else 200)


@require_safe
def admin(request: HttpRequest) -> HttpResponse:
    """Where admins find everything that is not a project's."""
    services.require_admin(person(request.user))
    return page(request, "people/admin.html")


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """All accounts."""
    return page(request, "people/people.html", people=services.people_for(person(request.user)))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def person_new(request: HttpRequest) -> HttpResponse:
    """Making an account."""
    actor = person(request.user)
    services.require_admin(actor)
    form = NewPersonForm(posted(request))
    if request.method == "POST" and saved(form, lambda: services.create_user(actor, **form.cleaned_data)):
        messages.success(
            request, f"The account {form.cleaned_data['username']} is made. Give it a role in a project next."
        )
        return redirect("people:people")
    return page(request, "people/person_new.html", form)


@require_http_methods(["GET", "POST"])
def person_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """An account's fields."""
    actor = person(request.user)
    form = PersonForm(posted(request), instance=services.person_for(actor, pk))

    def save() -> None:
        services.change_user(actor, user=form.instance, **form.cleaned_data)

    if request.method == "POST" and saved(form, save):
        messages.success(request, "Saved.")
        return redirect("people:person", pk)
    shown = services.person_for(actor, pk)
    return page(request, "people/person.html", form, person=shown, password_form=PasswordForm())


@sensitive_post_parameters("password")
@require_POST
def person_password(request: HttpRequest, pk: int) -> HttpResponse:
    """A new password for somebody who lost his."""
    actor = person(request.user)
    user = services.person_for(actor, pk)
    form = PasswordForm(request.POST)
    if form.is_valid():
        try:
            services.set_password(actor, user=user, password=form.cleaned_data["password"])
        except ValidationError as error:
            form.add_error("password", error.messages)
        else:
            messages.success(request, f"{user} has a new password and is signed out everywhere.")
            return redirect("people:person", pk)
    context = {"form": PersonForm(instance=user), "person": user, "password_form": form}
    return render(request, "people/person.html", context, status=422)


@login_not_required
@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The first admin makes his account by the link printed at the first start, and is signed in."""
    services.setup_link_for(token)
    form = SetupForm(posted(request))
    made: list[User] = []

    def save() -> None:
        values = {key: form.cleaned_data[key] for key in ("username", "name", "email", "password")}
        made.append(services.complete_setup(token=token, **values))

    if request.method == "POST" and saved(form, save):
        login(request, made[0], backend=BACKEND)
        return redirect("/")
    return page(request, "people/setup.html", form)


@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """One's own account."""
    actor = person(request.user)
    form = OwnForm(posted(request), instance=User.objects.filter(pk=actor.user.pk).first())
    if request.method == "POST" and saved(form, lambda: services.change_own(actor, **form.cleaned_data)):
        messages.success(request, "Saved.")
        return redirect("people:account")
    return page(request, "people/account.html", form)
