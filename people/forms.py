"""Forms of accounts. Passwords are never sent back to the browser (Django's PasswordInput)."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse

from core import again
from core.kept import TYPED_AGAIN
from people.models import User
from people.signals import wrong_code, wrong_password
from ui.formrender import Switch


class SignInForm(LoginForm):
    """The form of sign-in. The first field has the focus; after a wrong password, the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first = "password" if self.data.get("login") else "login"
        self.fields[first].widget.attrs["autofocus"] = True

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        """As allauth has it. The form that was sent after the last session had ended comes along (core/again.py)."""
        again.take_along(request, request.POST.get(again.KEY, ""))
        return super().login(request, redirect_url)


class TwicePassword(forms.Form):
    """A new password, typed twice."""

    password = forms.CharField(
        strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text=" ".join(password_validators_help_texts()),
    )  # fmt: skip
    again = forms.CharField(
        label="Password, again", strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"})
    )

    def clean(self) -> dict[str, Any]:
        """Adds an error unless both passwords are the same."""
        super().clean()
        data = self.cleaned_data
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", "The two passwords are not the same.")
        return data


class ChoosePasswordForm(TwicePassword):
    """The form by which a person chooses a password, by a link."""


class TakeAwayForm(forms.Form):
    """Why an admin takes a person's second step away."""

    reason = forms.CharField(
        label="How do you know that it is they who ask?", max_length=200,
        help_text="Kept in the audit, e.g. “called me, I know the voice”. A person who has their password signs in with it alone "
        "afterwards.",
    )  # fmt: skip


class SetupForm(TwicePassword, forms.ModelForm):
    """The form by which the first admin makes their account."""

    field_order = ("username", "name", "email", "password", "again")

    class Meta:
        model = User
        fields = ("username", "name", "email")
        help_texts = {"username": "Letters, digits and @ . + - _", "name": "As others see you."}


class NewPersonForm(forms.ModelForm):
    """The form by which an admin makes an account, with its first password or a link by which the person chooses one."""

    password = forms.CharField(
        label="First password", required=False, strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="Leave it empty: then you get a link by which the person chooses their own password.",
    )  # fmt: skip

    class Meta:
        model = User
        fields = ("username", "name", "email", "is_admin", "is_auditor")
        widgets = {"is_admin": Switch(), "is_auditor": Switch()}
        help_texts = {
            "username": "Letters, digits and @ . + - _",
            "is_admin": "May do everything: people, clusters, registries, all projects",
            "is_auditor": "Reads the audit log, nothing else",
        }

    def clean(self) -> dict[str, Any]:
        """Adds an error for a password that was typed before the session ended: without one a link would be made."""
        super().clean()
        data = self.cleaned_data
        if "password" in getattr(self.data, "getlist", lambda _: ())(TYPED_AGAIN) and not data.get(
            "password"
        ):
            self.add_error("password", "Enter this again: what you typed before is not kept any longer.")
        return data


class PersonForm(forms.ModelForm):
    """The form by which an admin changes an account. The user name cannot change, because audit events contain it."""

    class Meta:
        model = User
        fields = ("name", "email", "is_admin", "is_auditor")
        widgets = {"is_admin": Switch(), "is_auditor": Switch()}
        help_texts = NewPersonForm.Meta.help_texts


class PasswordForm(forms.Form):
    """The form by which an admin sets a new password for an account."""

    password = forms.CharField(
        label="New password", strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"})
    )


class OwnPasswordForm(ChangePasswordForm):
    """The form by which people change their own password. A wrong old one is on record; allauth limits the tries."""

    def clean_oldpassword(self) -> str:
        """As allauth has it. Raises ValidationError."""
        try:
            return str(super().clean_oldpassword())
        except forms.ValidationError:
            wrong_password(self.user, "where they change it")
            raise


class AuthenticatorForm(ActivateTOTPForm):
    """The form by which people set up an authenticator app. A wrong code is on record; allauth limits the tries."""

    def clean_code(self) -> str:
        """As allauth has it. Raises ValidationError."""
        try:
            return str(super().clean_code())
        except forms.ValidationError as error:
            if error.code == "incorrect_code":
                wrong_code(self.user, "while setting it up")
            raise


class OwnForm(forms.ModelForm):
    """The form by which people change their own account."""

    class Meta:
        model = User
        fields = ("name", "email")
        help_texts = {"name": "As others see you; your user name if empty."}
