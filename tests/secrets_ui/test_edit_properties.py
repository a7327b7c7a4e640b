"""Whatever a secrets file looks like: an edit changes its key and nothing else, and is read as it was meant.

A hundred examples of each; `pytest tests/secrets_ui --hypothesis-profile=deep` tries fifty times as many.
"""

from __future__ import annotations

import base64

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.errors import ManifestError
from engine.manifests.masking import values_of
from engine.manifests.secretfiles import parse_secrets_file
from secrets_ui.files.edit import apply_edits
from secrets_ui.files.edits import Add, Edit, EditError, Remove, Rename, Set
from secrets_ui.files.model import SecretsText, open_text
from secrets_ui.files.proof import NotAsMeant
from tests.secrets_ui.styles import KEYS, VALUES, Made, files

MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def engine_reads(text: str) -> list[dict[str, bytes]]:
    return [dict(values_of(document.body)) for document in parse_secrets_file(text, path="s.yaml")]


def yaml_reads(text: str, loader: type) -> list[dict[str, bytes]]:
    """What PyYAML makes of it: base64 must have stayed text."""
    found = []
    for body in yaml.load_all(text.removeprefix("\ufeff"), Loader=loader):
        values = {key: base64.b64decode(value or "") for key, value in (body.get("data") or {}).items()}
        values |= {key: (value or "").encode() for key, value in (body.get("stringData") or {}).items()}
        found.append(values)
    return found


@MANY
@given(files())
def test_a_file_is_opened_as_the_engine_reads_it_and_saved_unchanged(made: Made) -> None:
    opened = open_text(made.text)
    assert [secret.values() for secret in opened.secrets] == made.secrets == engine_reads(made.text)
    same = {
        (s.index, e.key): Set(e.value)
        for s in opened.secrets
        for e in s.entries
        if e.editable and e.value is not None
    }
    assert apply_edits(opened, same) == made.text
    assert apply_edits(opened, {}) == made.text


@MANY
@given(files(), st.data())
def test_setting_one_value_changes_only_its_own_characters(made: Made, data: st.DataObject) -> None:
    opened = open_text(made.text)
    places = [(s.index, e.key) for s in opened.secrets for e in s.entries if e.editable]
    assume(places)
    index, key = data.draw(st.sampled_from(places))
    value = data.draw(VALUES)
    try:
        text = apply_edits(opened, {(index, key): Set(value)})
    except EditError:
        assert opened.secrets[index].entry(key).part == "stringData"  # text only
        return
    if text == made.text:
        assert made.secrets[index][key] == value
        return
    made.secrets[index][key] = value
    assert engine_reads(text) == made.secrets
    key_node, value_node = opened.secrets[index].entry(key).pair
    mark = len(made.text) - len(opened.body)
    start = key_node.end + mark
    end = start + 1 if value_node.is_blank else value_node.end + mark
    assert text.startswith(made.text[:start])
    assert text.endswith(made.text[end:])


@MANY
@given(files(), st.data())
def test_many_edits_at_once_are_read_as_meant(made: Made, data: st.DataObject) -> None:
    opened = open_text(made.text)
    edits: dict[tuple[int, str], Edit] = {}
    wanted = [dict(values) for values in made.secrets]
    for secret in opened.secrets:
        for entry in secret.entries:
            edit = data.draw(st.sampled_from(["", "", "set", "remove", "rename"])) if entry.editable else ""
            if edit == "set":
                edits[secret.index, entry.key] = Set(value := data.draw(VALUES))
                wanted[secret.index][entry.key] = value
            elif edit == "remove":
                edits[secret.index, entry.key] = Remove()
                del wanted[secret.index][entry.key]
            elif edit == "rename":
                edits[secret.index, entry.key] = Rename(to := f"{entry.key}.1")
                assume(to not in made.secrets[secret.index])
                wanted[secret.index][to] = wanted[secret.index].pop(entry.key)
        for key in data.draw(st.lists(KEYS, max_size=3, unique=True)):
            if (
                not secret.closed
                and key not in made.secrets[secret.index]
                and key not in wanted[secret.index]
            ):
                edits[secret.index, key] = Add(value := data.draw(VALUES))
                wanted[secret.index][key] = value
    if puts_binary_into_text(opened, edits):
        with pytest.raises(EditError, match="text only"):
            apply_edits(opened, edits)
        return
    text = apply_edits(opened, edits)
    assert engine_reads(text) == wanted
    assert text.startswith(made.text[:1])
    assert ("\r\n" in text) == ("\r\n" in made.text) or "\n" not in made.text
    assert text.count("\n") == text.count("\r\n") or "\r\n" not in made.text
    for comment in ("# top", "# end", "# about the next key: x", "# the end"):
        assert text.count(comment) == made.text.count(comment)


@MANY
@given(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=4),
    st.sampled_from(["data:\n", "data: {}\n", "", "data: null\n"]),
)
def test_written_values_are_text_for_every_reader(values: dict[str, bytes], body: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n{body}"
    text = apply_edits(open_text(text), {(0, key): Add(value) for key, value in values.items()})
    assert (
        engine_reads(text)
        == yaml_reads(text, yaml.CSafeLoader)
        == yaml_reads(text, yaml.CBaseLoader)
        == [values]
    )


@MANY
@given(st.text(), st.sampled_from(["'", '"', "", "|", ">-"]))
def test_all_of_unicode_goes_into_text_and_back(value: str, style: str) -> None:
    start = {"'": "'x'", '"': '"x"', "": "x", "|": "|\n    x", ">-": ">-\n    x"}[style]
    text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  k: {start}\n  z: last\n"
    value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    edited = apply_edits(open_text(text), {(0, "k"): Set(value.encode())})
    assert engine_reads(edited) == [{"k": value.encode(), "z": b"last"}]
    assert yaml_reads(edited, yaml.CSafeLoader) == [{"k": value.encode(), "z": b"last"}]


@MANY
@given(files(), st.data())
def test_a_broken_file_is_edited_as_meant_or_not_at_all(made: Made, data: st.DataObject) -> None:
    """Some characters of YAML's own put anywhere: the file is refused, or the edit, or the edit changes its key alone."""
    at = data.draw(st.integers(0, len(made.text)))
    noise = data.draw(
        st.sampled_from(
            [*"{}[]'\"&*!|>?:#,-%@`\t\n\0 ", "\n  ", "&a ", "*a", "<<: ", "? ", "---\n", "\ud800"]
        )
    )
    try:
        opened = open_text(made.text[:at] + noise + made.text[at:])
    except ManifestError:
        return
    for place in [(secret.index, entry.key) for secret in opened.secrets for entry in secret.entries]:
        for made_edit in (Set(b"fresh value"), Remove(), Rename("fresh-name")):
            try:
                text = apply_edits(opened, {place: made_edit})
            except (EditError, NotAsMeant):
                continue
            values = open_text(text).secrets[place[0]].values()
            others = {k: v for k, v in opened.secrets[place[0]].values().items() if k != place[1]}
            assert {k: v for k, v in values.items() if k not in (place[1], "fresh-name")} == others
            assert isinstance(made_edit, Remove | Rename) or values[place[1]] == b"fresh value"


def puts_binary_into_text(opened: SecretsText, edits: dict[tuple[int, str], Edit]) -> bool:
    """Some edit gives a key of `stringData` a value that is no text."""
    for (index, key), made in edits.items():
        entry = opened.secrets[index].entry(key)
        if entry and entry.part == "stringData" and isinstance(made, Set):
            try:
                made.value.decode()
            except UnicodeDecodeError:
                return True
    return False
