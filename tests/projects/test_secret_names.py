"""Names of secret keys: counted for everybody, shown to people with the right."""

from __future__ import annotations

from django.template import Context, Template

from engine.errors import ManifestError
from projects.secret_names import counted, shown_keys, without_names

KEYS = tuple(f"app/K{number}" for number in range(23))


def test_they_are_shown_by_right_only() -> None:
    assert shown_keys(KEYS[:2], True) == "app/K0, app/K1"
    assert shown_keys(KEYS, True).endswith("app/K19 and 3 more")
    assert shown_keys(KEYS, False) == ""


def test_everybody_may_know_how_many() -> None:
    assert [counted(KEYS[:1]), counted(KEYS)] == ["1 key", "23 keys"]


def test_a_template_shows_them_by_right_only() -> None:
    template = Template("{% load secret_names %}[{{ keys|shown_keys:sees }}]")
    assert [template.render(Context({"keys": KEYS[:1], "sees": sees})) for sees in (True, False)] == [
        "[app/K0]",
        "[]",
    ]


def test_an_error_is_told_without_them() -> None:
    problems = (
        "s.yaml:1: Secret app: data.TOKEN is not valid base64",
        "s.yaml:1: Secret app: data.PIN is not valid base64",
        "s.yaml:9: only objects of kind Secret may stand in a secrets file",
    )
    told = without_names(ManifestError(f"{problems[0]} (and 2 more)", problems=problems, hint="Correct it."))
    plain = "s.yaml:1: Secret app: a value of data is not valid base64"
    assert told.message == f"{plain} (and 1 more)"
    assert (told.problems, told.hint) == ((plain, problems[2]), "Correct it.")
    assert told.key_names == {plain: ("TOKEN", "PIN")}


def test_an_error_without_problems_stays() -> None:
    assert without_names(ManifestError("It is gone.", hint="Look.")).message == "It is gone."
