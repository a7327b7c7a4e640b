"""Renders every form in the portal's style: `{{ form }}`, `{{ form.field.as_field_group }}` and single widgets.

Set as FORM_RENDERER. Label above, hint and error below, both joined to the field by `aria-describedby` (Django gives
the ids), focus on the first wrong field.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.forms.renderers import TemplatesSetting

_BOXES = (forms.CheckboxInput, forms.RadioSelect, forms.CheckboxSelectMultiple)


class Switch(forms.CheckboxInput):
    """A checkbox that screen readers announce as on or off: for a setting that applies when the form is saved."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"role": "switch", **(attrs or {})})


class UiBoundField(BoundField):
    """Adds the attributes that the stylesheet and keyboard users need."""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        """Django's attributes, the class `input`, and focus on the first wrong field of the form."""
        widget = widget or self.field.widget
        built: dict[str, Any] = super().build_widget_attrs(attrs, widget)
        if not isinstance(widget, _BOXES) and not widget.is_hidden:
            own = str(widget.attrs.get("class", ""))
            built.setdefault("class", f"input {own}".strip())
        if str(widget.attrs.get("placeholder", "")).lower() == str(self.label).lower():
            built["placeholder"] = False  # it only repeats the label
        # Where only the form as a whole is wrong, a field's own wish for the focus stays.
        wrong = self._first_wrong() if self.form.is_bound and self.form.errors else None
        if wrong is not None:
            built["autofocus"] = self.name == wrong
        return built

    def _first_wrong(self) -> str | None:
        """The first wrong field as the page shows them: by rows (`layout`), where the form has them."""
        shown = [name for row in getattr(self.form, "layout", ()) for name in row] + [*self.form.fields]
        return next((name for name in shown if name in self.form.errors), None)


class UiRenderer(TemplatesSetting):
    """Uses our templates for forms and fields, and Django's own for widgets."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
    bound_field_class = UiBoundField
