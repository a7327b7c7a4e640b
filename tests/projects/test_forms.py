"""Every field of a form is shown and, for an existing row, filled in. A switch that is not would be set off unseen."""

from __future__ import annotations

import pytest

from projects.pages import forms, infrastructure_forms
from projects.pages.checked_form import CheckedForm
from projects.pages.forms import EnvironmentForm
from tests import factories as make

FORMS = [
    form
    for module in (forms, infrastructure_forms)
    for form in vars(module).values()
    if isinstance(form, type) and issubclass(form, CheckedForm) and form is not CheckedForm
]
# `save_anyway` is shown beside the findings, `edited` is hidden.
ELSEWHERE = CheckedForm.base_fields.keys()


def test_the_forms_are_found() -> None:
    assert {EnvironmentForm, infrastructure_forms.ClusterForm} <= set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_every_field_is_shown(form: type[CheckedForm]) -> None:
    shown = [name for row in form.layout for name in row]
    assert sorted(shown) == sorted(form.base_fields.keys() - ELSEWHERE)


@pytest.mark.django_db
def test_every_field_of_an_existing_environment_is_filled_in() -> None:
    filled = EnvironmentForm.initial_of(make.make_environment())
    assert filled.keys() == EnvironmentForm.base_fields.keys() - {"slug", "save_anyway"}
