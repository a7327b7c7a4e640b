"""Forms come out with labels, hints and errors joined to their fields, and the first wrong one focused."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django import forms

from tests.ui.samples import SampleForm
from ui.formrender import Switch


class Elements(HTMLParser):
    """All start tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, name: str) -> dict[str, str | None]:
        """Attributes of the first field called `name`."""
        return next(attrs for _, attrs in self.found if attrs.get("name") == name)

    def ids(self) -> list[str]:
        return [str(attrs["id"]) for _, attrs in self.found if attrs.get("id")]


@pytest.fixture
def wrong() -> Elements:
    form = SampleForm({"name": "fine", "namespace": "a_b", "cluster": "", "slack": "all"})
    return Elements(str(form))


def test_every_field_has_a_label_of_its_own() -> None:
    page = Elements(str(SampleForm()))
    labelled = {attrs["for"] for tag, attrs in page.found if tag == "label"}
    fields = [attrs for tag, attrs in page.found if tag in ("input", "select", "textarea")]
    assert fields
    assert {attrs["id"] for attrs in fields} <= labelled


def test_hints_and_errors_are_described_by_ids_that_exist(wrong: Elements) -> None:
    described = [word for _, attrs in wrong.found for word in (attrs.get("aria-describedby") or "").split()]
    assert "id_namespace_error" in described
    assert "id_name_helptext" in described
    assert set(described) <= set(wrong.ids())


class HintedForm(forms.Form):
    """Hints with a sign of HTML, and what may stay empty."""

    image = forms.CharField(help_text="In manifests as ${IMAGE_<NAME>}.")
    ready = forms.BooleanField(help_text="a < b", widget=Switch())
    where = forms.ChoiceField(choices=[("", "The whole project"), ("1", "Staging")], required=False)
    why = forms.CharField(required=False)


def test_hints_show_their_text_as_it_is_written() -> None:
    html = str(HintedForm())
    assert "${IMAGE_&lt;NAME&gt;}" in html
    assert "a &lt; b" in html


def test_a_list_of_choices_is_not_called_optional() -> None:
    html = str(HintedForm())
    assert html.count('class="optional"') == 1
    assert 'Why <span class="optional">optional</span>' in html


def test_ids_are_unique(wrong: Elements) -> None:
    assert len(wrong.ids()) == len(set(wrong.ids()))


def test_the_first_wrong_field_alone_has_the_focus(wrong: Elements) -> None:
    focused = [attrs["name"] for _, attrs in wrong.found if "autofocus" in attrs]
    assert focused == ["namespace"]


def test_a_wrong_form_takes_the_focus_from_a_field_that_asks_for_it() -> None:
    class Asks(forms.Form):
        first = forms.CharField(required=False, widget=forms.TextInput({"autofocus": True}))
        second = forms.CharField()

    assert "autofocus" in Elements(str(Asks())).named("first")
    page = Elements(str(Asks({"first": "x"})))
    assert "autofocus" not in page.named("first")
    assert "autofocus" in page.named("second")


def test_a_form_that_is_wrong_as_a_whole_leaves_the_focus_where_it_asks_for_it() -> None:
    class Asks(forms.Form):
        first = forms.CharField()
        second = forms.CharField(widget=forms.TextInput({"autofocus": True}))

        def clean(self) -> None:
            raise forms.ValidationError("These do not fit.")

    page = Elements(str(Asks({"first": "x", "second": "y"})))
    assert [attrs["name"] for _, attrs in page.found if "autofocus" in attrs] == ["second"]


def test_wrong_fields_say_so_to_everybody(wrong: Elements) -> None:
    assert wrong.named("namespace")["aria-invalid"] == "true"
    assert wrong.named("namespace")["class"] == "input mono"
    assert wrong.named("name").get("aria-invalid") is None


def test_what_was_typed_stays_but_for_passwords() -> None:
    html = str(SampleForm({"name": "", "namespace": "typed_in", "secret": "hunter2"}))
    assert 'value="typed_in"' in html
    assert "hunter2" not in html


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "x", "namespace": "a_b", "cluster": "lon", "slack": "all"}, "1 field needs a look"),
        ({"slack": "all"}, "3 fields need a look"),
    ],
)
def test_the_notice_counts_the_wrong_fields(data: dict[str, str], expected: str) -> None:
    assert expected in str(SampleForm(data))


def test_errors_of_the_whole_form_are_escaped() -> None:
    form = SampleForm({})
    form.add_error(None, "<script>")
    assert "&lt;script&gt;" in str(form)


def test_switch_and_optional_fields() -> None:
    html = str(SampleForm())
    assert 'role="switch"' in html
    assert html.count('class="optional"') == 2  # note and token; boxes need no such word
