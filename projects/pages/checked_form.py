"""The base of this app's forms: fields from models, optimistic locking, and findings of live validation.

A form validates its own text. `CheckedForm.take` puts findings of outside systems (projects/checking.py) beside the
fields. Fields have the names of the services' parameters. A field for a secret has the widget `Unseen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.boundfield import BoundField

from core.findings import FAILED, Finding
from core.kept import TYPED_AGAIN, TYPED_BEFORE, is_secret


def of(model: type[models.Model], name: str, *, mono: bool = False, **changes: Any) -> forms.Field:
    """The form field of a model's field, with its validators. `mono`: in a monospaced font, for technical values."""
    column: Any = model._meta.get_field(name)
    field: forms.Field | None = column.formfield(**changes)
    assert field is not None  # noqa: S101  # every editable field has one
    # Django leaves these to the model, which is checked only after the form: a second round for the person.
    field.validators += [one for one in column.validators if one not in field.validators]
    if mono:
        field.widget.attrs |= {
            "class": "mono",
            "autocapitalize": "off",
            "spellcheck": "false",
            "autocomplete": "off",
        }
    return field


class EitherField(forms.CharField):
    """A required field with an alternative: the form checks that one of both is given."""

    def validate(self, value: Any) -> None:
        """Accepts an empty value: the form's `clean` decides."""


class CheckedForm(forms.Form):
    """A form with optimistic locking that can be saved although an outside system is down.

    `layout`: names of the fields row by row.
    """

    edited = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    save_anyway = forms.BooleanField(
        required=False, label="Save anyway", help_text="You know the reason and will correct it."
    )
    layout: tuple[tuple[str, ...], ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(is_secret(field) for field in self.fields.values()):
            self.fields[TYPED_BEFORE] = forms.CharField(widget=forms.HiddenInput, required=False)
        self.offers_override = False
        self.findings: list[Finding] = []

    def rows(self) -> Iterator[list[BoundField]]:
        """The visible fields, row by row."""
        for names in self.layout:
            row = [self[name] for name in names if name in self.fields]
            if row:
                yield row

    def clean(self) -> dict[str, Any]:
        """Adds an error for each secret that must be typed again: the session has ended since, or half an hour is over."""
        again = self.data.getlist(TYPED_AGAIN) if hasattr(self.data, "getlist") else []
        for name in again:
            if name in self.fields and not self.cleaned_data.get(name):
                self.add_error(name, "Enter this again: what you typed before is not kept any longer.")
        return self.cleaned_data

    def has(self, *names: str) -> bool:
        """Whether all of these fields are valid so far: then they can be tried, whatever is wrong with the others."""
        return all(name in self.cleaned_data for name in names)

    def changes(self, *names: str) -> bool:
        """Whether any of these fields differs from its initial value. Always true for a new row."""
        return not self.initial.get("edited", -1) >= 0 or bool({*names} & {*self.changed_data})

    def take(self, findings: Iterable[Finding]) -> bool:
        """Adds each failed finding to its field, unless the field's own text is wrong, and offers to save anyway where that is
        allowed. Returns whether the findings let the form be saved."""
        self.findings = list(findings)
        failed = [f for f in self.findings if f.state == FAILED]
        anyway = self.cleaned_data.get("save_anyway", False)
        open_ones = [f for f in failed if not (anyway and f.can_override)]
        wrong = set(self.errors)
        for finding in open_ones:
            if finding.field in wrong:
                continue
            text = f"{finding.text} {finding.detail}".strip()
            self.add_error(finding.field if finding.field in self.fields else None, text)
        self.offers_override = bool(failed) and all(f.can_override for f in failed)
        return not open_ones

    def values(self, *without: str) -> dict[str, Any]:
        """The entered values, without the form's own fields and those of `without`."""
        own = {"edited", "save_anyway", TYPED_BEFORE, *without}
        return {name: value for name, value in self.cleaned_data.items() if name not in own}


SLUG_HINT = "In addresses and on the cluster, e.g. storefront. It never changes."


def slug_field(
    model: type[models.Model], name: str = "slug", label: str = "Short name", hint: str = SLUG_HINT
) -> Any:
    """The form field for a slug, for forms of new rows."""
    field = of(model, name, mono=True, label=label, help_text=hint)
    field.widget.attrs["data-slug-of"] = "name"
    return field


def unused(rows: Any, slug: str, what: str, field: str = "slug") -> str:
    """Returns `slug` if none of the rows has it; else raises ValidationError. `what`: the kind of row, for the text."""
    held = rows.filter(**{field: slug}).first()
    if held is None:
        return slug
    if getattr(held, "archived_at", None):  # not everything can be archived
        text = f"There is {what} “{slug}” that is archived. Restore or remove it, or choose another name."
        raise ValidationError(text)
    raise ValidationError(f"There is {what} “{slug}” already.")
