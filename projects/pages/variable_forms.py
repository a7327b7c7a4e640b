"""The formset for an environment's variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from projects import variables
from projects.models import Environment
from projects.reading.manifests import FoundVariable


class VariableForm(forms.Form):
    """One variable. A row without a name is ignored."""

    name = forms.CharField(max_length=63, required=False, label="Name")
    value = forms.CharField(max_length=variables.LONGEST_VALUE, required=False, label="Value", strip=False)
    type = forms.ChoiceField(choices=variables.TYPES, initial="string", label="Type")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, example in (("name", "NAME"), ("value", "value")):
            attributes = {
                "class": "mono",
                "autocomplete": "off",
                "spellcheck": "false",
                "placeholder": example,
            }
            self.fields[name].widget.attrs |= attributes

    def has_changed(self) -> bool:
        """Whether the row counts: a new row does as soon as it has a name or a value, whatever its type is."""
        return super().has_changed() and (
            not self.empty_permitted or bool({"name", "value"} & {*self.changed_data})
        )

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        name, value = data.get("name", ""), data.get("value", "")
        if not name:
            if value:
                self.add_error("name", "Give the variable a name, or empty the row to remove it.")
            return data
        if problem := variables.name_problem(name):
            self.add_error("name", problem)
        elif problem := variables.value_problem(name, value, data.get("type", "string")):
            self.add_error("value", problem)
        return data


class VariableRows(forms.BaseFormSet):
    """The variables of an environment, with empty rows for new ones."""

    @classmethod
    def get_default_prefix(cls) -> str:
        return "variables"

    def clean(self) -> None:
        """Adds an error for a name that is used twice."""
        names = [row["name"] for row in self.entered()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValidationError(f"{', '.join(twice)}: there more than once.")

    def entered(self) -> list[dict[str, str]]:
        """The variables in the form that the service takes."""
        rows = (form.cleaned_data for form in self.forms if hasattr(form, "cleaned_data"))
        return [
            {"name": row["name"], "value": row.get("value", ""), "type": row.get("type") or "string"}
            for row in rows
            if row.get("name")
        ]


VariableFormSet = forms.formset_factory(
    VariableForm,
    formset=VariableRows,
    extra=3,
    max_num=variables.MOST,
    absolute_max=variables.MOST + 10,
    validate_max=True,
)


def variable_rows(
    data: Any, environment: Environment | None, further: Iterable[FoundVariable] = (), *, propose: str = ""
) -> VariableRows:
    """The formset for an environment's variables, bound when `data` is given. `further`: variables that manifests use; those
    without a value get a row. `propose`: the name of a new one, whose value is to be typed; without effect on a bound formset."""
    stored = environment.variables if environment else []
    initial = [{"name": v["name"], "value": v["value"], "type": v["type"]} for v in stored]
    known = {row["name"] for row in initial}
    initial += [{"name": one.name, "value": "", "type": one.kind} for one in further if one.name not in known]
    rows = VariableFormSet(data, initial=initial)
    assert isinstance(rows, VariableRows)  # noqa: S101  # what the factory was told
    if propose and data is None and propose not in {row["name"] for row in initial}:
        new = rows.forms[len(initial)]
        new.initial = {"name": propose[:63]}
        new.fields["value"].widget.attrs["autofocus"] = True
    return rows
