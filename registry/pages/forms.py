"""The forms of a cluster's policy and of a pause."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from projects.models import Registry
from projects.pages.checked_form import CheckedForm, of
from projects.validators import NAMESPACE
from registry.models import Namespaces, PullPolicy
from ui.formrender import Switch

HOURS = ((1, "1 hour"), (4, "4 hours"), (12, "12 hours"), (24, "1 day"), (168, "1 week"))
_NAME = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
_KEY = rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"
_TERM = re.compile(
    rf"!?\s*{_KEY}|{_KEY}\s*(=|==|!=)\s*{_NAME}?|{_KEY}\s+(in|notin)\s+\(\s*{_NAME}(\s*,\s*{_NAME})*\s*\)"
)
_COMMA = re.compile(r",(?![^(]*\))")  # not inside of brackets


def is_selector(text: str) -> bool:
    """Whether a text is a label selector as Kubernetes reads it."""
    return all(_TERM.fullmatch(part.strip()) for part in _COMMA.split(text))


class PolicyForm(CheckedForm):
    """Which namespaces of a cluster get which credential."""

    namespaces = forms.ChoiceField(
        label="Namespaces", choices=Namespaces.choices, widget=forms.RadioSelect,
        help_text="Those of Kubernetes itself (kube-…), and those with the label slipway.dev/pull-credential: off, get none.",
    )  # fmt: skip
    selector = of(
        PullPolicy, "selector", mono=True, label="Label", required=False,
        help_text="For “Those with a label”, e.g. team=shop,tier!=db.",
    )  # fmt: skip
    secret_name = of(
        PullPolicy, "secret_name", mono=True, label="Name of the Secret",
        help_text="Where no environment names one of its own.",
    )  # fmt: skip
    registries = forms.ModelMultipleChoiceField(
        Registry.objects.current(), label="Registries", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="That the Secret opens. None chosen: all, also those that are registered later.",
    )  # fmt: skip
    service_accounts = forms.CharField(
        label="Service accounts", required=False, max_length=500,
        help_text="They get the Secret, so that pods need not name it: names with commas between, e.g. default. "
        "Their other entries stay. Pods that run already keep what they were made with.",
    )  # fmt: skip
    enabled = forms.BooleanField(
        label="Keep the credentials valid", required=False, widget=Switch(),
        help_text="Off: nothing is written in this cluster; the Secrets end with their tokens.",
    )  # fmt: skip
    paused_until = forms.DateTimeField(
        label="Paused until (UTC)", required=False,
        widget=forms.DateTimeInput({"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
        help_text="Nothing is written until then. Empty: no pause.",
    )  # fmt: skip
    layout = (
        ("namespaces",), ("selector", "secret_name"), ("registries",), ("service_accounts",), ("enabled", "paused_until"),
    )  # fmt: skip

    def clean_selector(self) -> str:
        """Refuses what Kubernetes would not read as a selector."""
        text: str = self.cleaned_data["selector"].strip()
        if text and not is_selector(text):
            raise ValidationError("Write a label selector, such as team=shop,tier!=db.")
        return text

    def clean_service_accounts(self) -> list[str]:
        """The names."""
        names = [name for name in re.split(r"[\s,]+", self.cleaned_data["service_accounts"]) if name]
        for name in names:
            NAMESPACE(name)  # raises; a service account's name has at least these rules
        return list(dict.fromkeys(names))

    def clean_paused_until(self) -> datetime | None:
        """Refuses a moment that has passed, unless it was stored before."""
        until: datetime | None = self.cleaned_data["paused_until"]
        if until is not None and until <= timezone.now() and "paused_until" in self.changed_data:
            raise ValidationError("Choose a moment that is still to come.")
        return until

    def clean(self) -> dict[str, Any]:
        """A label is needed where the label decides."""
        found = super().clean()
        if found.get("namespaces") == Namespaces.SELECTOR and "selector" in found and not found["selector"]:
            self.add_error("selector", "Write a label selector, such as team=shop.")
        return found

    def policy(self, stored: PullPolicy) -> PullPolicy:
        """The policy as entered, not stored, for a preview."""
        found = self.cleaned_data
        return PullPolicy(
            cluster=stored.cluster, namespaces=found["namespaces"], selector=found["selector"],
            secret_name=found["secret_name"], enabled=found["enabled"],
        )  # fmt: skip

    @staticmethod
    def initial_of(policy: PullPolicy) -> dict[str, Any]:
        """The initial values of a cluster's policy; `edited` is 0 for one that is not stored."""
        names = ("namespaces", "selector", "secret_name", "enabled", "edited")
        until = policy.paused_until if policy.paused_until and policy.paused_until > timezone.now() else None
        return {name: getattr(policy, name) for name in names} | {
            "registries": list(policy.registries.values_list("pk", flat=True)) if policy.pk else [],
            "service_accounts": ", ".join(policy.service_accounts),
            "paused_until": until,
        }


class PauseForm(forms.Form):
    """For how long nothing is written."""

    hours = forms.TypedChoiceField(
        label="For",
        choices=HOURS,
        coerce=int,
        initial=4,
        help_text="It ends by itself. You can resume at any time.",
    )

    @property
    def until(self) -> datetime:
        """The end of the pause."""
        return timezone.now() + timedelta(hours=self.cleaned_data["hours"])
