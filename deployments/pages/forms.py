"""Forms of deploys. They check what was typed; rights and rules are the gate's."""

from __future__ import annotations

from typing import Any

from django import forms

from projects.models import Environment


class ConfirmedForm(forms.Form):
    """What starts something in an environment: production asks for its name, as long as nobody else reviews.

    `bad`: what is said against the release (deployments/marking.warning); the box must be ticked then.
    """

    confirm = forms.CharField(required=False, max_length=50)
    although_bad = forms.BooleanField(required=False)
    key = forms.CharField(required=False, max_length=100)

    def __init__(self, *args: Any, environment: Environment, bad: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environment = environment
        self.bad = bad

    def clean_confirm(self) -> str:
        """The environment's slug, where it is production."""
        typed: str = self.cleaned_data["confirm"]
        if self.environment.is_production and typed.strip().lower() != self.environment.slug:
            raise forms.ValidationError(f"Type {self.environment.slug} to confirm. Nothing was started.")
        return typed

    def clean_although_bad(self) -> bool:
        """Ticked, where the release is marked as bad."""
        ticked: bool = self.cleaned_data["although_bad"]
        if self.bad and not ticked:
            raise forms.ValidationError(
                f"{self.bad} Tick the box to use it all the same. Nothing was started."
            )
        return ticked


class CancelForm(forms.Form):
    """The two ways to stop a deploy: two buttons of one form. Anything but the second one's value is “Stop here”."""

    ROLL_BACK = "roll_back"

    then = forms.CharField(required=False, max_length=20)
    key = forms.CharField(required=False, max_length=100)

    @property
    def rolls_back(self) -> bool:
        """Whether “Stop and roll back” was pressed."""
        return self.is_valid() and self.cleaned_data["then"] == self.ROLL_BACK

    @property
    def key_sent(self) -> str:
        """What makes a double click one request; told apart from the other forms of the page."""
        key = self.cleaned_data["key"] if self.is_valid() else ""
        return f"stop-{key}" if key else ""


class MarkForm(forms.Form):
    """Why a release is bad."""

    reason = forms.CharField(
        max_length=300,
        error_messages={"required": "Say why the release is bad. Nothing was marked."},
    )


class DeployForm(ConfirmedForm):
    """The button of the new deploy page."""

    revision = forms.CharField(max_length=200)
    reason = forms.CharField(required=False, max_length=500)
    override = forms.BooleanField(required=False)
    override_reason = forms.CharField(required=False, max_length=300)
    branch = forms.CharField(required=False)  # whose commits the page listed; shown again, never deployed by

    def clean_override_reason(self) -> str:
        """Why findings are overridden; a box that is ticked without a reason is not enough."""
        reason: str = self.cleaned_data["override_reason"].strip()
        if self.cleaned_data.get("override") and not reason:
            raise forms.ValidationError("Say why it may be deployed nevertheless. Nothing was started.")
        return reason if self.cleaned_data.get("override") else ""
