"""What every form of this app is made of: fields from models, the optimistic lock, and what trying things found.

A form answers for the text it was given; what the outside says (projects/checking.py) is put beside the fields by
`CheckedForm.take`. Fields have the names that the services use. One that holds a secret has the widget `Unseen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.boundfield import BoundField

from core.findings import FAILED, Finding
from core.kept import TYPED_AGAIN


def of(model: type[models.Model], name: str, *, mono: bool = False, **changes: Any) -> forms.Field:
    """The form field of a model's field, with its validators. `mono`: for what machines read."""
    field = model._meta.get_field(name).formfield(**changes)  # type: ignore[union-attr]
    assert field is not None  # noqa: S101  # every editable field has one
    if mono:
        field.widget.attrs |= {
            "class": "mono",
            "autocapitalize": "off",
            "spellcheck": "false",
            "autocomplete": "off",
        }
    return field


class EitherField(forms.CharField):
    """A field that is not optional, although something else may be given in its stead: the form checks that."""

    def validate(self, value: Any) -> None:
        """Nothing is missing yet."""


class CheckedForm(forms.Form):
    """A form that carries the optimistic lock and can be saved although something outside is down.

    `layout`: names of the fields row by row.
    """

    edited = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    save_anyway = forms.BooleanField(
        required=False, label="Save anyway", help_text="You know why, and will see to it."
    )
    layout: tuple[tuple[str, ...], ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offers_override = False
        self.findings: list[Finding] = []

    def rows(self) -> Iterator[list[BoundField]]:
        """The visible fields, row by row."""
        for names in self.layout:
            row = [self[name] for name in names if name in self.fields]
            if row:
                yield row

    def clean(self) -> dict[str, Any]:
        """A form sent again after the session ended lacks its secrets: it asks for them and is not saved without."""
        again = self.data.getlist(TYPED_AGAIN) if hasattr(self.data, "getlist") else []
        for name in again:
            if name in self.fields and not self.cleaned_data.get(name):
                self.add_error(name, "Enter this again: it was not kept when your session ended.")
        return self.cleaned_data

    def changes(self, *names: str) -> bool:
        """Whether any of these fields differs from what the form was opened with; a new thing differs altogether."""
        return not self.initial.get("edited", -1) >= 0 or bool({*names} & {*self.changed_data})

    def take(self, findings: Iterable[Finding]) -> bool:
        """Puts what failed beside its field, and offers to save anyway where that is allowed. Whether to go on."""
        self.findings = list(findings)
        failed = [f for f in self.findings if f.state == FAILED]
        anyway = self.cleaned_data.get("save_anyway", False)
        open_ones = [f for f in failed if not (anyway and f.can_override)]
        for finding in open_ones:
            text = f"{finding.text} {finding.detail}".strip()
            self.add_error(finding.field if finding.field in self.fields else None, text)
        self.offers_override = bool(failed) and all(f.can_override for f in failed)
        return not open_ones

    def values(self, *without: str) -> dict[str, Any]:
        """What was entered, without what the form has for itself."""
        own = {"edited", "save_anyway", *without}
        return {name: value for name, value in self.cleaned_data.items() if name not in own}


SLUG_HINT = "In addresses and on the cluster, e.g. storefront. It never changes."


def slug_field(
    model: type[models.Model], name: str = "slug", label: str = "Short name", hint: str = SLUG_HINT
) -> Any:
    """A slug: only when something is made."""
    return of(model, name, mono=True, label=label, help_text=hint)


def unused(rows: Any, slug: str, what: str, field: str = "slug") -> str:
    """`slug`, if none of the rows has it."""
    if rows.filter(**{field: slug}).exists():
        raise ValidationError(f"There is {what} “{slug}” already.")
    return slug
