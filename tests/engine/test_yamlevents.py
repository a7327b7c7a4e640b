"""Lines that libyaml does not see are read as if it had seen them, whatever stands around and between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import ManifestError
from engine.manifests import yamlread
from engine.manifests.secretfiles import parse_secrets_file
from engine.manifests.yamlevents import MAX_CHARACTERS, Run, _are_pairs, events, every_event
from engine.manifests.yamlread import Budget, YamlError, read_yaml

HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n"
UNDER = frozenset({"data", "stringData"})
# What may stand before, between and behind plain lines.
HOSTILE = [
    "", " ", "\n", "\t", "\r\n", "\r", "\x85", "\u2028", "\u2029", "\ufeff", "\xe4", "\U0001f511", "\x00", "\x07",
    "#", " # a", "---\n", "...\n", "--- ", "%YAML 1.1\n", "<<: *a\n", "  <<: *a\n", "  <<: {K1: eA==}\n", "&a ",
    "*a", "!!str ", "!x ", "? ", ": ", "- ", "  - a\n", "|\n", ">-\n", "  K: |\n", "    K: >\n", "  K: 'a\n",
    "  K: \"a\n", "'", "\"", "{", "}", "[", "]", ",", "  K:\n", "  null: eA==\n", "  yes: eA==\n", "  1: eA==\n",
    "  ~: eA==\n", "  .5: eA==\n", "  0x1F: eA==\n", "  K1: eA==\n", "  deeper\n", "    deeper: eA==\n",
    "   K: eA==\n", " K: eA==\n", "K: eA==\n", "data:\n", "stringData:\n", "data: &a\n", "  K: a b\n", "  K: ${V}\n",
    "  K: eA== # c\n", "  K: eA== \n", "  K:  eA==\n", "  K : eA==\n", "  \"K\": eA==\n", "  K: eA==\r\n",
    "  K: eA==", "  ? K\n  : eA==\n", "  # K: eA==\n", "  K: true\n", "  K: 1_000\n", "  K: null\n", "\n\n\n",
    "  \n", "  K: *a\n", "  K: &a eA==\n",
]  # fmt: skip


def lines(count: int, indent: int = 2, first: int = 1) -> str:
    return "".join(
        f"{' ' * indent}K{number}: dmFsdWU{number % 10}\n" for number in range(first, first + count)
    )


def outcome(read: Callable[[], Any]) -> object:
    """What reading gives, or how it fails."""
    try:
        return read()
    except yaml.MarkedYAMLError as error:
        marks = [
            (mark.index, mark.line, mark.column) for mark in (error.problem_mark, error.context_mark) if mark
        ]
        return type(error), error.problem, error.context, marks
    except yaml.reader.ReaderError as error:
        return type(error), error.position, error.reason
    except (UnicodeEncodeError, YamlError, ManifestError) as error:
        return type(error), str(error)


def told(found: Iterator[Any]) -> Iterator[object]:
    for event in found:
        if isinstance(event, Run):
            yield from told(event.events())
            continue
        marks = [(mark.index, mark.line, mark.column) for mark in (event.start_mark, event.end_mark)]
        own = [
            getattr(event, name, None)
            for name in ("value", "tag", "anchor", "implicit", "flow_style", "explicit")
        ]
        yield type(event), marks, own, getattr(event, "style", None) or ""


def assert_same(text: str) -> None:
    """Both ways give the same events, the same data and the same mistakes."""
    assert outcome(lambda: [*told(events(text))]) == outcome(lambda: [*told(every_event(text))])

    def read(budget: Budget) -> object:
        documents = [*read_yaml(text, text_under=UNDER, budget=budget)]
        parts = [(one.value, one.line, one.marks, [*one.lines.values()]) for one in documents]
        return parts, [list(one.value.get("data") or ()) for one in documents if isinstance(one.value, dict)]

    results = []
    for way in (events, every_event):
        with mock.patch.object(yamlread, "events", way):
            budgets = Budget(), Budget(values=30), Budget(characters=200)
            results.append(
                [(outcome(lambda one=one: read(one)), one.values, one.characters) for one in budgets]
            )
            results[-1].append(outcome(lambda: parse_secrets_file(text, path="s")))
    assert results[0] == results[1]


BLOCKS = st.builds(lines, st.integers(1, 14), st.integers(0, 4), st.integers(1, 9))
PIECES = st.one_of(BLOCKS, BLOCKS, st.sampled_from(HOSTILE), st.just(HEAD), st.text(max_size=3))


@given(st.lists(PIECES, max_size=8).map("".join))
def test_any_text_is_read_the_same(text: str) -> None:
    assert_same(text)


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(HOSTILE)), max_size=3))
@example([(0, "")])
def test_a_file_with_something_anywhere_in_it_is_read_the_same(put: list[tuple[int, str]]) -> None:
    text = HEAD + lines(20) + "  last: eA==\ntype: Opaque\n"
    for at, piece in put:
        text = text[: at % len(text)] + piece + text[at % len(text) :]
    assert_same(text)


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("line", [0, 1, 2, 9, 18, 19])
def test_something_before_within_and_behind_a_line(piece: str, line: int) -> None:
    rows = lines(20).splitlines(keepends=True)
    own = rows[line]
    for changed in (
        piece + own,
        own[:2] + piece + own[2:],
        own.replace(": ", f": {piece}"),
        own[:-1] + piece + "\n",
        own + piece,
    ):
        assert_same(HEAD + "".join([*rows[:line], changed, *rows[line + 1 :]]))


BEFORE = [
    "data: |\n", "data: >\n", "data: '\n", 'data: "\n', "data: {\n", "data: [\n", "data: text\n", "data: &a\n",
    "data: !!map\n", "- data:\n", "? \n", "# data:\n", "---\n", "data: |2\n", "data: # c\n", "data: *a\n", "data: !!str\n",
    "data:\n  text\n",
]  # fmt: skip
BEHIND = ["", "'\n", '"\n', "}\n", "]\n", "  : x\n", ": x\n", "    text\n", "  text\n", "text\n", "...\n"]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("behind", BEHIND)
def test_whatever_stands_around_them(before: str, behind: str) -> None:
    assert_same(before + lines(20) + behind)


@pytest.mark.parametrize(
    "key", ["K5", "K1", "K20", "null", "yes", "no", "on", "y", "1", "0x1", "_", "a.b-c", "infinity"]
)
def test_keys_that_stand_twice_or_mean_something_else(key: str) -> None:
    for part in ("data", "spec", "stringData"):
        assert_same(HEAD.replace("data", part) + lines(10) + f"  {key}: eA==\n" + lines(10, first=11))


@pytest.mark.parametrize(
    "value",
    ["null", "true", "1234", "1e3", "0777", "y", "Infinity", "AAAA====", "=", "a=b=", "+", "/", "1=="],
)
def test_values_that_mean_something_else(value: str) -> None:
    for part in ("data", "spec", "stringData"):
        assert_same(HEAD.replace("data", part) + lines(10) + f"  V: {value}\n" + lines(10, first=11))


def test_merged_keys_are_overwritten_and_others_are_not() -> None:
    base = "base: &a\n" + lines(12)
    for text in (
        f"{base}data:\n  <<: *a\n{lines(12)}",
        f"{base}data:\n{lines(12)}  <<: *a\n",
        f"{base}data:\n  <<: *a\n{lines(12)}{lines(12)}",
    ):
        assert_same(text)


def test_most_lines_of_a_secrets_file_are_a_run() -> None:
    text = HEAD + lines(500) + "type: Opaque\n"
    found = [event for event in events(text) if isinstance(event, Run)]
    assert [len(run.pairs) for run in found] == [498]
    comment = text.replace("  K250:", "  # a comment\n  K250:")
    assert [len(event.pairs) for event in events(comment) if isinstance(event, Run)] == [247, 249]


@pytest.mark.parametrize(
    ("text", "are"),
    [
        ("A: b\nC: d\n", True), ("A: b\n'C': d\n", False), ("A: b\nC: !x d\n", False), ("A: b\nC: &x d\n", False),
        ("A: b\n\nC: d\n", False), ("A: bb\nC: d\n", False), ("A: b\nC: [d]\n", False), ("A: b\n", False),
    ],
)  # fmt: skip
def test_libyaml_has_the_last_word_on_the_first_and_the_last_line(text: str, are: bool) -> None:
    seen = [*every_event(text)][3:7]
    assert _are_pairs(seen, ((0, "A: b\n"), (5, "C: d\n"))) is are


def test_a_run_does_not_show_its_values() -> None:
    (run,) = [event for event in events(HEAD + lines(20)) if isinstance(event, Run)]
    assert "dmFsdWU" not in repr(run)


NO_RUN = ["data: {A: b}\n", HEAD + lines(7), "data: |\n" + lines(20), HEAD + lines(MAX_CHARACTERS // 10)]


@pytest.mark.parametrize("text", NO_RUN, ids=["flow", "few", "block", "long"])
def test_few_lines_other_texts_and_long_files_have_none(text: str) -> None:
    assert not [event for event in events(text) if isinstance(event, Run)]


def test_the_lines_of_all_texts_are_kept() -> None:
    """An error behind a run names its line."""
    for read in (events, every_event):
        with mock.patch.object(yamlread, "events", read), pytest.raises(YamlError) as raised:
            list(read_yaml(HEAD + lines(30) + "  K3: eA==\n", text_under=UNDER))
        assert raised.value.line == HEAD.count("\n") + 31
