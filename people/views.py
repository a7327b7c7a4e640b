"""Pages of accounts, the set-up page of the first admin, and the page of one's own account."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import person
from core.kept import keeps
from people import links, roles, second_steps, services
from people.forms import ChoosePasswordForm, NewPersonForm, OwnForm, PasswordForm, PersonForm, SetupForm
from people.help_views import choose, with_link
from people.models import User
from ui.forms import page, posted, saved

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
BESIDE = "password"  # the field that shows why a password is too weak


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """All accounts that are not archived."""
    everybody = list(services.people_for(person(request.user)))
    current = [one for one in everybody if one.is_active]
    steps = second_steps.held_by(current)
    rows = [(user, held, steps[user.pk]) for user, held in roles.with_roles(current)]
    return page(request, "people/people.html", people=rows, archived=len(everybody) - len(current))


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@keeps(NewPersonForm)
def person_new(request: HttpRequest) -> HttpResponse:
    """Making an account."""
    actor = person(request.user)
    services.require_admin(actor)
    form = NewPersonForm(posted(request))
    made: list[User] = []

    def save() -> None:
        made.append(services.create_user(actor, **form.cleaned_data))

    if request.method == "POST" and saved(form, save, otherwise=BESIDE):
        token = "" if form.cleaned_data["password"] else links.new_link(actor, user=made[0])
        return with_link(request, made[0], token, new=True)
    return page(request, "people/person_new.html", form)


@require_http_methods(["GET", "POST"])
@keeps(PersonForm)
def person_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """An account's fields."""
    actor = person(request.user)
    form = PersonForm(posted(request), instance=services.person_for(actor, pk))

    def save() -> None:
        services.change_user(actor, user=form.instance, **form.cleaned_data)

    if request.method == "POST" and saved(form, save):
        messages.success(request, "Saved.")
        return redirect("people:person", pk)
    return _person(request, services.person_for(actor, pk), form, PasswordForm())


def _person(request: HttpRequest, user: User, form: PersonForm, password_form: PasswordForm) -> HttpResponse:
    return page(
        request, "people/person.html", form, refused=password_form.is_bound, person=user, roles=roles.of(user),
        second_step=second_steps.of(user), is_own=user.pk == request.user.pk, password_form=password_form,
    )  # fmt: skip


@sensitive_post_parameters("password")
@require_POST
@keeps(PasswordForm)
def person_password(request: HttpRequest, pk: int) -> HttpResponse:
    """A new password for a person who lost theirs."""
    actor = person(request.user)
    user = services.person_for(actor, pk)
    form = PasswordForm(request.POST)

    def save() -> None:
        services.set_password(actor, user=user, password=form.cleaned_data["password"])

    if saved(form, save, otherwise=BESIDE):
        messages.success(request, f"{user} has a new password and is signed out everywhere.")
        return redirect("people:person", pk)
    return _person(request, user, PersonForm(instance=user), form)


@login_not_required
@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
@keeps(SetupForm, ChoosePasswordForm)
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Makes the first admin's account through the link printed at the first start, and signs them in. By the link of a person
    they choose their password."""
    if link := links.link_of(token):
        return choose(request, link)
    services.setup_link_for(token)
    form = SetupForm(posted(request))
    made: list[User] = []

    def save() -> None:
        values = {key: form.cleaned_data[key] for key in ("username", "name", "email", "password")}
        made.append(services.complete_setup(token=token, **values))

    if request.method == "POST" and saved(form, save, otherwise=BESIDE):
        login(request, made[0], backend=BACKEND)
        return redirect("/")
    return page(request, "people/setup.html", form)


@require_http_methods(["GET", "POST"])
@keeps(OwnForm)
def account(request: HttpRequest) -> HttpResponse:
    """One's own account."""
    actor = person(request.user)
    form = OwnForm(posted(request), instance=User.objects.filter(pk=actor.user.pk).first())
    if request.method == "POST" and saved(form, lambda: services.change_own(actor, **form.cleaned_data)):
        messages.success(request, "Saved.")
        return redirect("people:account")
    return page(request, "people/account.html", form, roles=roles.of(actor.user))
