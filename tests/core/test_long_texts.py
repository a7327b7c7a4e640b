"""A text that is too long is refused at its field and stays there; no browser cuts it, and a counter tells."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django import forms
from django.forms import BaseForm
from django.forms.renderers import get_default_renderer

from core.errors import Refused
from deployments.gate.lengths import require_reasons, require_short

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("builds", "deployments", "people", "projects", "registry", "secrets_ui", "ui")


def kinds() -> list[type[BaseForm]]:
    """Every form of the product."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if re.search(r"class \w*Form\(", path.read_text()):
                importlib.import_module(str(path.relative_to(ROOT)).removesuffix(".py").replace("/", "."))

    def below(kind: type) -> Iterator[type]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    return sorted(
        {one for one in below(BaseForm) if one.__module__.split(".")[0] in APPS},
        key=lambda one: one.__qualname__,
    )


def limited() -> list[tuple[str, forms.CharField]]:
    """Each text field with a limit, by form and name."""
    return [
        (f"{kind.__name__}.{name}", field)
        for kind in kinds()
        for name, field in kind.base_fields.items()
        if isinstance(field, forms.CharField) and field.max_length
    ]


def test_the_forms_are_found() -> None:
    names = {name for name, _ in limited()}
    assert len(names) > 50
    assert names >= {
        "EnvironmentForm.slug",
        "ProjectForm.name",
        "DeployForm.reason",
        "PersonForm.name",
        "MarkForm.reason",
    }


@pytest.mark.parametrize(
    ("name", "field"), limited(), ids=lambda given: given if isinstance(given, str) else ""
)
def test_a_longer_text_is_refused_and_kept(name: str, field: forms.CharField) -> None:
    most = field.max_length
    assert most is not None

    class OneField(forms.Form):
        text = field

    form = OneField({"text": "x" * (most + 1)})
    assert not form.is_valid()
    assert any(str(most) in str(error) for error in form.errors["text"]), form.errors
    drawn = str(form["text"])
    assert "maxlength" not in drawn
    if not field.widget.is_hidden:
        assert f'data-most="{most}"' in drawn
        hides = getattr(field.widget, "holds_secret", False) or isinstance(field.widget, forms.PasswordInput)
        assert ("x" * (most + 1) in drawn) != hides


def test_every_widget_is_drawn_the_same_way() -> None:
    field = forms.CharField(max_length=5)
    drawn = field.widget.render("a", "", {**field.widget.attrs}, get_default_renderer())
    assert 'data-most="5"' in drawn
    assert "maxlength" not in drawn


def test_no_page_and_no_script_cuts_a_text() -> None:
    for folder in ("templates", "static/js"):
        for path in (ROOT / folder).rglob("*"):
            if (
                path.suffix in (".html", ".js")
                and "django/forms" not in str(path)
                and "vendor" not in str(path)
            ):
                assert not re.search(r"max-?length=", path.read_text(), re.IGNORECASE), path
    assert ".slice(0, most" not in (ROOT / "static/js/app.js").read_text()


@pytest.mark.parametrize(("reason", "override"), [("x" * 501, ""), ("", "x" * 301)])
def test_the_gate_refuses_long_reasons_too(reason: str, override: str) -> None:
    require_reasons("x" * 500, "x" * 300)
    with pytest.raises(Refused) as caught:
        require_reasons(reason, override)
    assert caught.value.code == "reason"
    with pytest.raises(Refused, match=r"at most 3 characters; this one has 4\. Nothing was marked"):
        require_short("four", 3, "marked")
