"""One more variable for an environment: the button beside a finding that one is missing, and its page."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actors import person
from core.kept import keeps
from projects import variables
from projects.adding import add_variable
from projects.lookup import environment_of, settings_of
from projects.pages.saving import menu_of
from ui.back import next_or
from ui.forms import page, posted, saved


class VariableForm(forms.Form):
    """A variable. `next`: the address to go back to."""

    name = forms.CharField(max_length=63)
    value = forms.CharField(max_length=variables.LONGEST_VALUE, strip=False, required=False)
    type = forms.ChoiceField(choices=variables.TYPES, initial="string", required=False)
    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_type(self) -> str:
        """Text, where none was chosen."""
        return self.cleaned_data["type"] or "string"

    def clean(self) -> None:
        """The name and the value must fit. Raises nothing: problems stand beside their fields."""
        name, value = self.cleaned_data.get("name", ""), self.cleaned_data.get("value", "")
        if problem := variables.name_problem(name):
            self.add_error("name", problem)
        elif problem := variables.value_problem(name, value, self.cleaned_data.get("type", "string")):
            self.add_error("value", problem)


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(VariableForm)
def variable_add(request: HttpRequest, slug: str, env: str) -> HttpResponse:
    """GET: the form, with the name that the address proposes. POST: adds the variable and goes back to where it was missing."""
    project = settings_of(request.user, slug)
    place = environment_of(project, env)
    back = next_or(request, reverse("projects:environment", args=[slug, env]))
    form = VariableForm(posted(request), initial={"name": request.GET.get("name", "")[:63], "next": back})

    def save() -> None:
        data = form.cleaned_data
        add_variable(
            person(request.user), environment=place, name=data["name"], value=data["value"], kind=data["type"]
        )

    if request.method == "POST" and saved(form, save, otherwise="name"):
        messages.success(request, f"{place.name} has the variable {form.cleaned_data['name']} now.")
        return redirect(back)
    menu = menu_of(project, "environments")
    return page(
        request, "projects/variable.html", form, project=project, menu=menu, environment=place, back=back
    )
