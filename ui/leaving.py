"""The form with which something is archived, restored or removed. The page around it: components/leaving.html."""

from __future__ import annotations

from typing import Any

from django import forms

ARCHIVE, RESTORE, REMOVE = "archive", "restore", "remove"


class LeavingForm(forms.Form):
    """What to do; to remove something, its name must be typed. `name`: the name as the page shows it."""

    do = forms.ChoiceField(choices=[(do, do) for do in (ARCHIVE, RESTORE, REMOVE)], widget=forms.HiddenInput)
    confirm = forms.CharField(required=False, max_length=150)

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        field = self.fields["confirm"]
        field.label = f"Type {name} to remove it"
        field.widget.attrs |= {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Adds an error when something is to be removed and its name was not typed."""
        data = self.cleaned_data
        if data.get("do") == REMOVE and data.get("confirm", "").strip() != self.name:
            self.add_error("confirm", f"This is not its name. Type {self.name}.")
        return data
