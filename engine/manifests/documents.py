"""Reads a config directory into documents: one object each, as written, with file and line.

It reads what `kubectl apply -f DIRECTORY` reads: the YAML and JSON files of the top level, every document of them,
and the items of lists. It is stricter where kubectl silently loses data: duplicate keys and duplicate objects are
errors. All problems of all files are reported at once.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NoReturn

from engine.errors import Cause, ManifestError
from engine.manifests.jsonread import read_json_stream, with_lines
from engine.manifests.yamlread import Budget, YamlDocument, YamlError, read_yaml
from engine.types import Json, Source

MAX_FILE_BYTES = 2_000_000
MAX_TOTAL_BYTES = 10_000_000
MAX_OBJECTS = 2000
MAX_PROBLEMS = 100  # further ones are only counted
_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(frozen=True)
class Document:
    """One object as written. `marks`: lines, rising, of each string of its file document that holds `${`, by its text.
    `content`: the whole file, for the line of a field that something is wrong with."""

    body: Json = field(repr=False)  # may hold secret values
    source: Source
    marks: Mapping[str, Sequence[int]] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)

    def line_of(self, text: str) -> int:
        """The line of a string scalar that holds `${`; the object's own line when it came by an alias."""
        lines = self.marks.get(text, ())
        place = bisect_left(lines, self.source.line)
        return lines[place] if place < len(lines) else self.source.line


def read_documents(files: Mapping[str, bytes]) -> list[Document]:
    """The objects of a config directory, in the order of file names and lines.

    `files`: content by path relative to the directory; those that `is_read` does not name are left out.
    Raises ManifestError with every problem as `file:line: what is wrong`.
    """
    problems = [
        f"{name}: kustomizations are not supported yet; put plain manifests there"
        for name in _KUSTOMIZATIONS
        if name in files
    ]
    names = sorted(name for name in files if is_read(name) and name not in _KUSTOMIZATIONS)
    if sum(len(files[name]) for name in names) > MAX_TOTAL_BYTES:
        problems.append(
            f"the config directory holds more than {MAX_TOTAL_BYTES // 1_000_000} MB of manifests"
        )
        refuse(problems)
    documents: list[Document] = []
    budget = Budget()
    for name in names:
        documents += read_file(name, files[name], problems, budget=budget)
        if budget.is_spent:
            refuse(problems)
    if len(documents) > MAX_OBJECTS:
        problems.append(
            f"the config directory holds {len(documents)} objects; at most {MAX_OBJECTS} can be deployed at once"
        )
    problems += duplicates(documents)
    if not documents and not problems:
        problems.append("the config directory holds no manifests (*.yaml, *.yml, *.json)")
    if problems:
        refuse(problems)
    return documents


def refuse(problems: Sequence[str], *, hint: str = "", why: Mapping[str, Cause] | None = None) -> NoReturn:
    """Raises the ManifestError for these problems: the first as the message, with the number of others. `why`: by
    problem."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    kept = [*problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        kept.append(f"… and {len(problems) - MAX_PROBLEMS} more")
    hint = hint or "Nothing was changed on the cluster. Correct the files, commit, and deploy that revision."
    raise ManifestError(f"{problems[0]}{more}", problems=tuple(kept), hint=hint, why=why)


def read_file(
    name: str, content: bytes, problems: list[str], *, text_under: frozenset[str] = frozenset(),
    budget: Budget | None = None,
) -> list[Document]:  # fmt: skip
    """The objects of one file. Problems are appended to `problems`; none of them quotes a value. `budget`: shared by files
    that are read together."""
    documents: list[Document] = []
    try:
        for parsed in parse_file(content, text_under=text_under, budget=budget):
            documents += _objects(name, parsed, content, problems)
    except YamlError as error:
        problems.append(f"{name}:{error.line}: {error.problem}")
    return documents


def parse_file(
    content: bytes, *, text_under: frozenset[str] = frozenset(), with_key_lines: bool = False,
    budget: Budget | None = None,
) -> Sequence[YamlDocument]:  # fmt: skip
    """The documents of a YAML file, or of a file of JSON values one after the other. Raises YamlError.

    As for kubectl, what begins with `{` is JSON, and YAML only where it is no JSON. The two are not the same: in a JSON
    text U+0085 and U+2028 are characters like others, in YAML they end a line.
    """
    text = _decoded(content)
    budget = budget or Budget()
    is_json = text.lstrip().startswith("{")
    # Under `text_under` an unquoted `1234` is text, which JSON cannot keep: it is read as YAML, where that is the same.
    if is_json and not (text_under and text == text.translate(_LINE_ENDS_OF_YAML)):
        with contextlib.suppress(
            YamlError
        ):  # YAML says better where the text is wrong, and that it is too much
            if parsed := read_json_stream(text):
                return with_lines(parsed, _positions(text, with_key_lines, budget))
    try:
        return list(read_yaml(text, text_under=text_under, with_key_lines=with_key_lines, budget=budget))
    except YamlError as error:
        if is_json and not budget.is_spent and (parsed := read_json_stream(text)):
            return parsed
        raise _named_mark(error, text) from None


_LINE_ENDS_OF_YAML = dict.fromkeys((0x85, 0x2028, 0x2029), " ")


def _positions(text: str, with_key_lines: bool, budget: Budget) -> list[YamlDocument]:
    """A JSON text read as YAML, for its lines; nothing where YAML cannot read it. Raises YamlError for too much of it."""
    plain = text.translate(_LINE_ENDS_OF_YAML)
    try:
        return list(read_yaml(plain, with_key_lines=with_key_lines, budget=budget))
    except YamlError:
        if budget.is_spent:
            raise
        return []


def _named_mark(error: YamlError, text: str) -> YamlError:
    """A byte order mark in the middle of a file is invisible: it is named where it stands."""
    mark = text.find(_MARK)
    if mark < 0:
        return error
    line = text.count("\n", 0, mark) + 1
    return YamlError(line, "an invisible character, a byte order mark (U+FEFF), stands here; remove it")


def _decoded(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise YamlError(1, f"the file is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8 text") from None
    if (nul := text.find("\0")) >= 0:
        raise YamlError(text.count("\n", 0, nul) + 1, "the file holds a NUL byte; it is not text")
    return _AFTER_SEPARATOR.sub(r"\1", text)


_MARK = "\ufeff"
# Files that were joined: as for kubectl, which separates documents first, each may begin with a byte order mark.
_AFTER_SEPARATOR = re.compile(rf"^(---[^\n]*\n){_MARK}", re.MULTILINE)


def is_read(name: str) -> bool:
    """Whether a file of a config directory is looked at: manifests by their ending, as kubectl does, and kustomizations,
    to refuse them. Other files (a README, a picture, an archive) are not looked at."""
    return "/" not in name and (PurePosixPath(name).suffix in _SUFFIXES or is_kustomization(name))


def is_kustomization(name: str) -> bool:
    """Whether kubectl takes the file for a kustomization, by its name."""
    return name in _KUSTOMIZATIONS


def _objects(name: str, parsed: YamlDocument, content: bytes, problems: list[str]) -> Iterator[Document]:
    """The objects of one YAML document, lists flattened. A value that is no object becomes a problem."""
    waiting: list[tuple[Any, int]] = [(parsed.value, parsed.line)]
    while waiting:
        body, line = waiting.pop(0)
        if body is None:
            continue
        if not isinstance(body, dict):
            problems.append(f"{name}:{line}: a Kubernetes object is expected here, found {type_name(body)}")
        elif _is_list(body):
            waiting[:0] = [(item, parsed.lines.get(id(item), line)) for item in _items(body)]
        elif problem := object_problem(body):
            problems.append(f"{name}:{line}: {problem}")
        else:
            yield Document(body, Source(name, line), parsed.marks, content)


def _is_list(body: Json) -> bool:
    return (
        isinstance(body.get("items"), list)
        and isinstance(body.get("kind"), str)
        and body["kind"].endswith("List")
    )


def _items(body: Json) -> Iterator[Any]:
    """Items of a typed list (`ConfigMapList`) may leave out kind and version, as Kubernetes' own answers do."""
    kind = body["kind"].removesuffix("List")
    for item in body["items"]:
        if kind and isinstance(item, dict) and "kind" not in item and "apiVersion" not in item:
            item.update(apiVersion=body.get("apiVersion"), kind=kind)
        yield item


def object_problem(body: Json) -> str:
    """The reason why this mapping is no Kubernetes object, or an empty text."""
    for key in ("apiVersion", "kind"):
        value = body.get(key)
        if value is None or value == "":
            return f"{key} is missing"
        if not isinstance(value, str):
            return f"{key} must be text, found {type_name(value)}"
    group, slash, version = body["apiVersion"].rpartition("/")
    if (slash and not group) or any(map(misleads, (body["kind"], group, version))):
        return "apiVersion must be written as v1 or apps/v1, and kind as one word"
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return f"{body['kind']} has no metadata.name"
    return _bad_metadata(body["kind"], metadata)


def _bad_metadata(kind: str, metadata: Json) -> str:
    name = metadata.get("name")
    if name is None or name == "":
        also = (
            "; generateName cannot be applied twice, give it a name" if metadata.get("generateName") else ""
        )
        return f"{kind} has no metadata.name{also}"
    for key in ("name", "namespace"):
        value = metadata.get(key)
        if value is not None and not isinstance(value, str):
            return f"metadata.{key} of {kind} must be text, found {type_name(value)}; write it in quotes"
        if value and misleads(value):
            return f"metadata.{key} of {kind} must not be . or .. nor hold / or %"
    return _bad_texts(f"{kind} {name}", metadata)


def misleads(text: str) -> bool:
    """Whether a name would be taken for a part of an address. Kubernetes refuses such names for every kind."""
    return text in (".", "..") or "/" in text or "%" in text


def _bad_texts(what: str, metadata: Json) -> str:
    """Labels and annotations are text; `true` and `1` without quotes are the usual slip."""
    for part in ("labels", "annotations"):
        values = metadata.get(part)
        if values is not None and not isinstance(values, dict):
            return f"metadata.{part} of {what} must be a mapping, found {type_name(values)}"
        if slip := not_text(values):
            return f"metadata.{part}.{slip[0]} of {what} must be text, found {slip[1]}; write it in quotes"
    return ""


def not_text(values: Json | None) -> tuple[str, str] | None:
    """The first key of a mapping whose value is not text (nor null), with the type it has."""
    for key, value in (values or {}).items():
        if value is not None and not isinstance(value, str):
            return key, type_name(value)
    return None


def type_name(value: Any) -> str:
    """A YAML value's type in plain words, without the value."""
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")


def group_of(api_version: str) -> str:
    """`apps/v1` → `apps`, `v1` → empty."""
    return api_version.rpartition("/")[0]


def duplicates(documents: Iterable[Document]) -> Iterator[str]:
    """A problem for each object that is already defined, naming both places."""
    first: dict[tuple[str, str, str, str], Source] = {}
    for document in documents:
        metadata = document.body["metadata"]
        kind, name, namespace = document.body["kind"], metadata["name"], metadata.get("namespace") or ""
        key = (group_of(document.body["apiVersion"]), kind, namespace, name)
        known = first.setdefault(key, document.source)
        if known is not document.source:
            yield f"{document.source}: {kind} {name} is already defined at {known}"
