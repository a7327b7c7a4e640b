"""Whole Secrets come into a file and go out of it: every other byte stays, and the file is read as it was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_ui.files.model import SecretsText, open_text
from secrets_ui.files.proof import NotAsMeant
from secrets_ui.files.whole import NewSecret, WholeError, add_secret, cannot_add, cannot_remove, remove_secret
from tests.secrets_ui.styles import KEYS, VALUES, Made, files
from tests.secrets_ui.support import HEAD, b64
from tests.secrets_ui.test_edit_properties import MANY, engine_reads

TYPES = st.sampled_from(["Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson"])
SECOND = "apiVersion: v1\nkind: Secret\nmetadata: {name: second}\ndata: {A: eA==}\n"
TAILS = [
    "",
    "# the end",
    "...",
    "...\n",
    "...\n# the end\n",
    "\n\n",
    "---\n",
    "---",
    "--- # empty\n",
    "  ",
    "\n# x\n\n# y",
]


def added(text: str, **values: bytes) -> str:
    return add_secret(open_text(text), NewSecret("fresh", "Opaque", values))


def removed(text: str, name: str) -> str:
    opened = open_text(text)
    return remove_secret(opened, next(secret.index for secret in opened.secrets if secret.name == name))


def values_of(opened: SecretsText) -> list[dict[str, bytes]]:
    return [secret.values() for secret in opened.secrets]


@MANY
@given(files(), st.dictionaries(KEYS, VALUES, max_size=4), TYPES, st.sampled_from(TAILS))
def test_a_secret_is_added_behind_every_byte_that_was_there(
    made: Made, values: dict[str, bytes], type_: str, tail: str
) -> None:
    end = "\r\n" if "\r\n" in made.text else "\n"
    text = made.text
    if not open_text(text).tree.json and tail:
        text = (text if text.endswith(end) else text + end) + tail.replace("\n", end)
    opened, new = open_text(text), NewSecret("fresh", type_, values)
    if opened.tree.json:
        with pytest.raises(WholeError, match="is JSON"):
            add_secret(opened, new)
        return
    try:
        result = add_secret(opened, new)
    except NotAsMeant:
        # Only where a line end at the end of the text would belong to the last value.
        assert not text.endswith(end)
        assert [e for e in opened.secrets[-1].entries if e.pair[1].is_block]
        return
    assert result.startswith(text)
    assert engine_reads(result) == [*made.secrets, values] == values_of(open_text(result))
    assert result.endswith(end) == text.endswith(end)
    assert "\n" not in text or result.count("\r\n") == (result.count("\n") if end == "\r\n" else 0)
    again = open_text(result)
    assert again.secrets[-1].type == type_
    assert remove_secret(again, len(again.secrets) - 1) == text + ("" if text.endswith(end) else end)


@MANY
@given(files(), st.data())
def test_a_removed_secret_takes_its_document_and_nothing_else(made: Made, data: st.DataObject) -> None:
    opened = open_text(made.text)
    index = data.draw(st.sampled_from(range(len(opened.secrets))))
    if len(opened.secrets) == 1:
        assert "only Secret" in cannot_remove(opened, index)
        return
    result = remove_secret(opened, index)
    left = [values for at, values in enumerate(made.secrets) if at != index]
    assert engine_reads(result) == left == values_of(open_text(result))
    start = next(at for at, sign in enumerate([*result, ""]) if sign != made.text[at : at + 1])
    cut = len(made.text) - len(result)
    assert made.text[:start] + made.text[start + cut :] == result


def test_where_the_parts_of_a_removed_document_end() -> None:
    first, last = f"{HEAD}data: {{A: eA==}}\n", "kind: ConfigMap\n"
    text = f"# of the file\n---\n{first}# of the first\n...\n# between\n---\n{SECOND}# of the second\n---\n{last}"
    assert removed(text, "app") == f"# of the file\n---\n{SECOND}# of the second\n---\n{last}"
    assert (
        removed(text, "second") == f"# of the file\n---\n{first}# of the first\n...\n# between\n---\n{last}"
    )
    assert removed(f"\ufeff{first}--- # second\n{SECOND}", "second") == f"\ufeff{first}"
    assert removed(f"\ufeff{first}--- # second\n{SECOND}", "app") == f"\ufeff--- # second\n{SECOND}"


def test_the_namespace_of_all_others_or_none() -> None:
    def namespaced(name: str) -> str:
        return HEAD.replace("name: app", f"name: {name}\n  namespace: shop") + "data: {A: eA==}\n"

    for text, namespace in [
        (namespaced("app"), "shop"),
        (f"{namespaced('app')}---\n{namespaced('other')}", "shop"),
        (f"{namespaced('app')}---\n{SECOND}", ""),
        (SECOND, ""),
    ]:
        assert open_text(added(text, KEY=b"x")).secrets[-1].namespace == namespace


def test_the_new_document_as_it_is_written() -> None:
    assert added(f"{HEAD}data:\n  A: eA==", B=b"of b") == (
        f"{HEAD}data:\n  A: eA==\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: fresh\ntype: Opaque\ndata:\n"
        f"  B: {b64('of b')}"
    )


def test_a_block_that_would_get_a_line_end_is_left_alone() -> None:
    text = f"{HEAD}stringData:\n  A: |\n    as it is"
    with pytest.raises(NotAsMeant):
        added(text, B=b"x")


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ('{"A": "x"}', "fresh", "stands for one Secret"),
        ('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}}', "fresh", "is JSON"),
        (SECOND, "second", "holds a Secret second already"),
        (SECOND, "Second", "A name has small letters"),
        (SECOND, "a..b", "A name has small letters"),
        (SECOND, "-a", "A name has small letters"),
        (SECOND, "a" * 254, "A name has small letters"),
        (SECOND, "", "A name has small letters"),
        (SECOND, "fresh\n", "A name has small letters"),
        (SECOND, "a.b-c", ""),
    ],
)
def test_why_no_secret_can_be_added(text: str, name: str, why: str) -> None:
    found = cannot_add(open_text(text), name)
    assert why in found
    assert bool(why) == bool(found)


def test_a_secret_in_a_list_stays_there() -> None:
    items = "\n".join(f"- {{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}}}" for name in "ab")
    opened = open_text(f"apiVersion: v1\nkind: List\nitems:\n{items}\n")
    with pytest.raises(WholeError, match="in a list of objects"):
        remove_secret(opened, 0)
