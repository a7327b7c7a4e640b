"""Forms of deploys. They validate input; the gate checks rights and rules."""

from __future__ import annotations

from typing import Any

from django import forms

from deployments.pages.shown_versions import opened
from projects.models import Environment


class ConfirmedForm(forms.Form):
    """Base of forms that start a deploy. In production the person types the environment's slug, because no second person
    reviews.

    `bad`: the warning that the release is marked as bad (`gate.marking.warning`); the box `although_bad` is required then.
    """

    confirm = forms.CharField(required=False, max_length=50)
    although_bad = forms.BooleanField(required=False)
    key = forms.CharField(required=False, max_length=100)

    def __init__(self, *args: Any, environment: Environment, bad: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environment = environment
        self.bad = bad

    def clean_confirm(self) -> str:
        """In production the text must be the environment's slug. Raises ValidationError."""
        typed: str = self.cleaned_data["confirm"]
        if self.environment.is_production and typed.strip().lower() != self.environment.slug:
            raise forms.ValidationError(f"Type {self.environment.slug} to confirm. Nothing was started.")
        return typed

    def clean_although_bad(self) -> bool:
        """The box must be ticked when the release is marked as bad. Raises ValidationError."""
        ticked: bool = self.cleaned_data["although_bad"]
        if self.bad and not ticked:
            raise forms.ValidationError(
                f"{self.bad} Tick the box to use it all the same. Nothing was started."
            )
        return ticked


class CancelForm(forms.Form):
    """The two ways to stop a deploy, as two buttons of one form. Any value of `then` but ROLL_BACK means “Stop here”."""

    ROLL_BACK = "roll_back"

    then = forms.CharField(required=False, max_length=20)
    key = forms.CharField(required=False, max_length=100)

    @property
    def rolls_back(self) -> bool:
        """Whether “Stop and roll back” was pressed."""
        return self.is_valid() and self.cleaned_data["then"] == self.ROLL_BACK

    @property
    def key_sent(self) -> str:
        """The idempotency key of this form, or empty. The prefix separates it from the page's other forms."""
        key = self.cleaned_data["key"] if self.is_valid() else ""
        return f"stop-{key}" if key else ""


class MarkForm(forms.Form):
    """The form that marks a release as bad, with a reason."""

    reason = forms.CharField(
        max_length=300,
        error_messages={"required": "Say why the release is bad. Nothing was marked."},
    )


class DeployForm(ConfirmedForm):
    """The button of the new deploy page."""

    revision = forms.CharField(max_length=200)
    kind = forms.CharField(required=False, max_length=20)
    secret_versions = forms.CharField(required=False, max_length=20_000, widget=forms.HiddenInput)
    reason = forms.CharField(required=False, max_length=500)
    override = forms.BooleanField(required=False)
    override_reason = forms.CharField(required=False, max_length=300)
    plan = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    branch = forms.CharField(required=False)  # branch of the listed commits, to show the page again

    def clean_secret_versions(self) -> dict[str, str]:
        """The versions of the secrets files that the preview showed."""
        try:
            return opened(self.environment, self.cleaned_data["secret_versions"])
        except ValueError as error:
            raise forms.ValidationError(
                "The versions of the secrets in this form are not those of a preview. Look at the preview again. "
                "Nothing was started."
            ) from error

    def clean_override_reason(self) -> str:
        """Why findings are overridden: required with the box, ignored without it."""
        reason: str = self.cleaned_data["override_reason"].strip()
        if self.cleaned_data.get("override") and not reason:
            raise forms.ValidationError("Say why it may be deployed nevertheless. Nothing was started.")
        return reason if self.cleaned_data.get("override") else ""
