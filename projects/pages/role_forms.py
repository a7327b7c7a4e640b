"""The formset of a person's roles in many projects: one row for each project."""

from __future__ import annotations

from typing import Any

from django import forms

from projects.models import Role

NONE = ("", "No role")
MOST = 200  # rows of one page; a filter finds the others


class RoleForm(forms.Form):
    """One project. `was`: the role when the page was opened, so that nobody overwrites what another person gave meanwhile."""

    project = forms.IntegerField(widget=forms.HiddenInput)
    was = forms.ChoiceField(choices=[NONE, *Role.choices], required=False, widget=forms.HiddenInput)
    role = forms.ChoiceField(choices=[NONE, *Role.choices], required=False, label="Role")


class RoleRows(forms.BaseFormSet):
    """The rows of a page."""

    @classmethod
    def get_default_prefix(cls) -> str:
        return "roles"

    def wanted(self) -> dict[int, tuple[str, str]]:
        """The changed rows of a valid formset: a project's key → its role before and after."""
        rows = [form.cleaned_data for form in self.forms]
        return {row["project"]: (row["was"], row["role"]) for row in rows if row["was"] != row["role"]}

    def now(self, roles: dict[int, str]) -> None:
        """Takes these roles, by a project's key, for what is there now; what was chosen stays."""
        data = self.data.copy()  # type: ignore[attr-defined]  # of a request
        for form in self.forms:
            key = form.cleaned_data["project"]
            if key in roles:
                data[form.add_prefix("was")] = roles[key]
            form.data = data
        self.data = data


RoleFormSet: Any = forms.formset_factory(RoleForm, formset=RoleRows, extra=0, max_num=MOST, absolute_max=MOST)
