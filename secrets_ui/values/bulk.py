"""Many values at once: pasted as `.env`, YAML mapping, JSON object or Kubernetes Secret file, and written back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from engine.errors import ManifestError
from engine.manifests.secretfiles import key_problem
from engine.manifests.yamlread import YamlError
from secrets_ui.files.json_nodes import json_tree
from secrets_ui.files.model import open_text
from secrets_ui.files.nodes import MAPPING, SCALAR, Node, Tree
from secrets_ui.files.writing import secret_lines
from secrets_ui.files.yaml_nodes import yaml_tree
from secrets_ui.values.dotenv import Pasted, read_env

_KUBERNETES = re.compile(
    r"^[ \t]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?(Secret|SecretList|List)\b", re.MULTILINE
)
_FIRST = re.compile(r"^[ \t]*(?:export[ \t]+)?[^\s=:#]+[ \t]*([=:])", re.MULTILINE)


def read_pasted(text: str) -> Pasted:
    """The values of a text whose form is recognised by its content. Keys that no Secret can have are problems."""
    found = _reader(text)(text)
    problems = [(0, f"{_shown(key)} {problem}") for key in found.values if (problem := key_problem(key))]
    values = {key: value for key, value in found.values.items() if not key_problem(key)}
    return Pasted(values, (*found.problems, *problems))


def _shown(key: str) -> str:
    """A key that is none may be a value that slipped there."""
    return "a key" if len(key) > 40 or not key.isprintable() else f"“{key}”"


def _reader(text: str) -> Callable[[str], Pasted]:
    body = text.removeprefix("\ufeff").lstrip()
    if _KUBERNETES.search(body) and "apiVersion" in body:
        return read_secret_file
    if body.startswith("{"):
        return read_json
    first = _FIRST.search(body)
    return read_yaml_mapping if first is not None and first[1] == ":" else read_env


def read_json(text: str) -> Pasted:
    """A JSON object; numbers and words are taken as they are written."""
    tree = json_tree(text.removeprefix("\ufeff"))
    if tree is None or len(tree.roots) != 1 or tree.roots[0].node.kind != MAPPING:
        return Pasted({}, ((1, "one JSON object is expected"),))
    return _mapping(tree)


def read_yaml_mapping(text: str) -> Pasted:
    """A YAML mapping of keys to scalars; unquoted ones are taken as they are written (`0777` stays that text)."""
    try:
        tree = yaml_tree(text.removeprefix("\ufeff"))
    except YamlError as error:
        return Pasted({}, ((error.line, error.problem),))
    if len(tree.roots) != 1 or tree.roots[0].node.kind != MAPPING:
        return Pasted({}, ((1, "one mapping of keys to values is expected"),))
    return _mapping(tree)


def _mapping(tree: Tree) -> Pasted:
    values: dict[str, bytes] = {}
    problems: list[tuple[int, str]] = []
    for key, value in tree.roots[0].node.pairs:
        problem = _pair_problem(key, value, values)
        if problem:
            problems.append((key.line, problem))
        else:
            values[key.value] = b"" if value.is_null else value.value.encode("utf-8", "replace")
    return Pasted(values, tuple(problems))


def _pair_problem(key: Node, value: Node, known: Mapping[str, bytes]) -> str:
    if key.kind != SCALAR or (key.value == "<<" and not key.style):
        return "a key must be plain text"
    if key.value in known:
        return f"{_shown(key.value)} stands twice"
    if value.kind != SCALAR or value.tag:
        return f"the value of {_shown(key.value)} must be text"
    return ""


def read_secret_file(text: str) -> Pasted:
    """The values of a file with one Kubernetes Secret."""
    try:
        opened = open_text(text)
    except ManifestError as error:
        return Pasted({}, ((1, error.message),))
    if len(opened.secrets) != 1:
        return Pasted({}, ((1, "the text holds several Secrets; paste one at a time"),))
    entries = opened.secrets[0].entries
    problems = [(e.line, f"{_shown(e.key)} {e.mistake}") for e in entries if e.mistake]
    seen: set[str] = set()
    for entry in entries:
        if entry.key in seen:
            problems.append((entry.line, f"{_shown(entry.key)} stands twice"))
        seen.add(entry.key)
    return Pasted(opened.secrets[0].values(), tuple(problems))


def write_secret_file(
    name: str, values: Mapping[str, bytes], *, namespace: str = "", type_: str = "Opaque"
) -> str:
    """A Kubernetes Secret file with these values. Any bytes can stand in it."""
    return "\n".join(secret_lines(name, values, namespace=namespace, type_=type_)) + "\n"
