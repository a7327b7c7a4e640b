"""The rows of the form of proposals. A row that is not ticked counts for nothing, and is not judged."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django.forms.utils import ErrorDict

from projects import variables
from projects.dockerfiles import MOST
from projects.models import Cluster, Environment, Image, Registry, SecretsFile
from projects.pages.checked_form import of
from projects.reading.directories import MOST as MOST_FOLDERS
from projects.reading.manifests import FoundVariable
from projects.reading.proposing import ProposedEnvironment, ProposedFile
from ui.formrender import Switch

MOST_VARIABLES = 400  # of all environments together
MOST_FILES = 100


def _checked(model: type[models.Model], name: str, **changes: Any) -> forms.Field:
    """The field of a model's form with the model's own checks, so that all mistakes of all rows are told at once."""
    field = of(model, name, **changes)
    field.validators += model._meta.get_field(name).validators  # type: ignore[union-attr]
    return field


class Ticked(forms.Form):
    """A row that counts only when it is ticked."""

    take = forms.BooleanField(required=False, label="Take")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "empty_permitted": False})

    @property
    def is_taken(self) -> bool:
        """Whether the row was sent with its tick, or is proposed with one."""
        return bool(self["take"].value())

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.is_taken:
            self._errors = ErrorDict()


class EnvironmentRow(Ticked):
    """An environment. `found`: what was read of its folder; None when that is not there any more."""

    config_directory = _checked(Environment, "config_directory", widget=forms.HiddenInput)
    pull_secret = _checked(Environment, "pull_secret", widget=forms.HiddenInput)
    name = _checked(Environment, "name", label="Name")
    slug = _checked(Environment, "slug", mono=True, label="Short name")
    cluster = forms.ModelChoiceField(Cluster.objects.current(), label="Cluster", empty_label="Choose…")
    namespace = _checked(Environment, "namespace", mono=True, label="Namespace")
    is_production = _checked(Environment, "is_production", label="Production", widget=Switch())
    found: ProposedEnvironment | None = None


class VariableRow(Ticked):
    """A variable of the environment with that folder."""

    folder = forms.CharField(max_length=200, widget=forms.HiddenInput)
    name = forms.CharField(max_length=63, widget=forms.HiddenInput)
    value = forms.CharField(
        max_length=variables.LONGEST_VALUE, label="Value", strip=False,
        widget=forms.TextInput({"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Give it a value, or untick it: a deploy stops without one."},
    )  # fmt: skip
    type = forms.ChoiceField(choices=variables.TYPES, label="Type")
    found: FoundVariable | None = None

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if problem := variables.name_problem(data.get("name", "")):
            self.add_error(None, problem)
        elif "value" in data and (
            problem := variables.value_problem(data["name"], data["value"], data.get("type", "string"))
        ):
            self.add_error("value", problem)
        return data


class FileRow(Ticked):
    """A secrets file of the environment with that folder."""

    folder = forms.CharField(max_length=200, widget=forms.HiddenInput)
    path = _checked(SecretsFile, "path", widget=forms.HiddenInput)
    secret_id = _checked(SecretsFile, "secret_id", mono=True, label="Secret in AWS", help_text="")
    region = _checked(SecretsFile, "region", mono=True, label="Region")
    found: ProposedFile | None = None


class ImageRow(Ticked):
    """An image."""

    dockerfile = _checked(Image, "dockerfile", widget=forms.HiddenInput)
    context = _checked(Image, "context", widget=forms.HiddenInput)
    name = _checked(Image, "name", mono=True, label="Name")
    registry = forms.ModelChoiceField(Registry.objects.current(), label="Registry", empty_label="Choose…")
    repository = _checked(Image, "repository", mono=True, label="Repository")


class _EnvironmentRows(forms.BaseFormSet):
    @classmethod
    def get_default_prefix(cls) -> str:
        return "environments"


class _VariableRows(forms.BaseFormSet):
    @classmethod
    def get_default_prefix(cls) -> str:
        return "variables"


class _FileRows(forms.BaseFormSet):
    @classmethod
    def get_default_prefix(cls) -> str:
        return "files"


class _ImageRows(forms.BaseFormSet):
    @classmethod
    def get_default_prefix(cls) -> str:
        return "images"


def _formset(form: type[Ticked], base: type[forms.BaseFormSet], most: int) -> Any:
    return forms.formset_factory(form, base, extra=0, max_num=most, absolute_max=most, validate_max=True)


EnvironmentRows = _formset(EnvironmentRow, _EnvironmentRows, MOST_FOLDERS)
VariableRows = _formset(VariableRow, _VariableRows, MOST_VARIABLES)
FileRows = _formset(FileRow, _FileRows, MOST_FILES)
ImageRows = _formset(ImageRow, _ImageRows, MOST)
