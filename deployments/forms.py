"""Forms of deploys. They check what was typed; rights and rules are the gate's."""

from __future__ import annotations

from typing import Any

from django import forms

from projects.models import Environment


class ConfirmedForm(forms.Form):
    """What starts something in an environment: production asks for its name, as long as nobody else reviews."""

    confirm = forms.CharField(required=False, max_length=50)
    key = forms.CharField(required=False, max_length=100)

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environment = environment

    def clean_confirm(self) -> str:
        """The environment's slug, where it is production."""
        typed: str = self.cleaned_data["confirm"]
        if self.environment.is_production and typed.strip().lower() != self.environment.slug:
            raise forms.ValidationError(f"Type {self.environment.slug} to confirm. Nothing was started.")
        return typed


class DeployForm(ConfirmedForm):
    """The button of the new deploy page."""

    revision = forms.CharField(max_length=200)
    reason = forms.CharField(required=False, max_length=500)
