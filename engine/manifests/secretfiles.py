"""Secrets files: the populated Kubernetes Secrets that replace a blank reference file of the config directory.

Values are bytes behind base64 and are never guessed at: unquoted scalars such as `1234`, `true` or `null` are taken as
the text that was written (YAML would make a number of them), base64 must decode strictly, binary survives. No value
stands in any error, only names of keys and lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import ManifestError
from engine.manifests.documents import Document, duplicates, read_file, refuse, type_name
from engine.manifests.jsonread import read_json_stream
from engine.manifests.masking import is_secret, values_of
from engine.manifests.yamlread import YamlDocument, YamlError
from engine.types import Json, Source

FILE, FLAT = "file", "flat"  # how a secrets file is stored: Kubernetes Secrets, or one JSON object of strings

_VALUES = frozenset({"data", "stringData"})
_QUOTED = re.compile(r"“.*” ", re.DOTALL)
MAX_DECODED_BYTES = 1_048_576  # of all values of one Secret: the API server's limit
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z", re.ASCII)
_PLACEHOLDER = re.compile(
    r"(|change[-_ ]?me|changeit|x{3,}|todo|tbd|fixme|placeholder|replace[-_ ]?me|your[-_ ][-\w ]{1,60}|<[^<>\n]{1,80}>"
    r"|\*{3,}|\.{3}|…)\Z",
    re.IGNORECASE,
)


class NotOneSecret(ManifestError):
    """A flat secrets file whose reference file does not hold exactly one Secret."""


@dataclass(frozen=True)
class SecretsFileCheck:
    """How a secrets file fits its reference file. Entries are `secretname/key`, sorted."""

    missing: tuple[str, ...]  # in the reference, not in the secrets file
    extra: tuple[str, ...]  # the other way round
    placeholders: tuple[str, ...]  # values that are not filled in yet


def parse_secrets_file(text: str, *, path: str) -> list[Document]:
    """The Secrets of a secrets file, populated or blank, with all values as base64 under `data`.

    Raises ManifestError when it holds anything but Secrets, an invalid key, or a value that is not base64; the problems
    name `path`, line, Secret and key, never a value.
    """
    problems: list[str] = []
    content = text.encode("utf-8", "surrogatepass")
    documents = read_file(path, content, problems, text_under=_VALUES)
    if problems:  # a broken file may show a value where a key is expected
        refuse([_QUOTED.sub("", problem) for problem in problems], hint=_HINT)
    secrets = [_secret(document, problems) for document in documents]
    problems += duplicates(secrets)
    if not secrets:
        problems.append(f"{path}: holds no Secret")
    if problems:
        refuse(problems, hint=_HINT)
    return secrets


_HINT = "Nothing was changed on the cluster. Correct the secrets file; values are base64, or plain under stringData."


def storage_form(text: str) -> str:
    """How a secrets file is stored, by its content: `flat` for one JSON object that is no Kubernetes object."""
    return FILE if _flat_object(text) is None else FLAT


def read_secrets(text: str, *, path: str, reference: Sequence[Document]) -> list[Document]:
    """The Secrets of a secrets file in either form, with all values as base64 under `data`.

    A flat JSON object of strings stands for the one Secret of the reference file: it gets that one's name, type and
    metadata. Raises ManifestError as `parse_secrets_file` does, and NotOneSecret when the reference has none or several.
    """
    flat = _flat_object(text)
    if flat is None:
        return parse_secrets_file(text, path=path)
    wanted = [document for document in reference if is_secret(document.body)]
    if len(wanted) != 1:
        count = "no Secret" if not wanted else f"{len(wanted)} Secrets"
        problem = f"{path}: is a flat JSON object, which stands for one Secret, but the reference file holds {count}"
        hint = "Store the secrets file as Kubernetes Secrets, or correct the reference file."
        raise NotOneSecret(problem, problems=(problem,), hint=hint)
    body = with_data(wanted[0].body, {}) | {"stringData": flat.value}
    problems: list[str] = []
    secret = _secret(Document(body, Source(path, flat.line)), problems)
    if problems:
        refuse([problem.replace(": stringData.", ": ") for problem in problems], hint=_HINT)
    return [secret]


def _flat_object(text: str) -> YamlDocument | None:
    """The one JSON object of a flat file, else None; also when a key stands twice, which the strict reader refuses."""
    text = text.removeprefix("\ufeff")
    try:
        documents = read_json_stream(text) if text.lstrip().startswith("{") else None
    except YamlError:
        return None
    if not documents or len(documents) != 1:
        return None
    value = documents[0].value
    parts = (value.get(name) for name in ("metadata", "data", "stringData"))
    is_object = {"apiVersion", "kind"} <= value.keys() or any(isinstance(part, dict) for part in parts)
    return None if is_object else documents[0]


def _secret(document: Document, problems: list[str]) -> Document:
    """The Secret with all its values under `data`; marks are dropped, since variables are not filled into it."""
    body, source = document.body, document.source
    if not is_secret(body):
        problems.append(f"{source}: only objects of kind Secret may stand in a secrets file")
        return document
    where = f"{source}: Secret {body['metadata']['name']}"
    return Document(with_data(body, normal_data(body, where=where, problems=problems)), source)


def with_data(body: Json, data: dict[str, str]) -> Json:
    """A Secret with these values, base64, in place of its own."""
    kept = {key: value for key, value in body.items() if key not in ("data", "stringData")}
    return {**kept, "data": data}


def normal_data(body: Json, *, where: str, problems: list[str]) -> dict[str, str]:
    """`data` and `stringData` of a Secret as one mapping of base64; `stringData` wins, as on the API server.

    Problems, which begin with `where`, are appended; keys with one are left out.
    """
    result: dict[str, str] = {}
    for part in ("data", "stringData"):
        values = body.get(part)
        if values is not None and not isinstance(values, dict):
            problems.append(f"{where}: {part} must be a mapping, found {type_name(values)}")
            continue
        for key, value in (values or {}).items():
            problem = key_problem(key) or _value_problem(value, part)
            if problem:
                problems.append(f"{where}: {part}.{key if _KEY.match(key) else '?'} {problem}")
            else:
                result[key] = _encoded(value or "", part)
    if sum(len(value) for value in result.values()) * 3 // 4 > MAX_DECODED_BYTES:
        problems.append(f"{where}: its values are larger than 1 MiB together")
    return result


def without_name(problem: str) -> tuple[str, str]:
    """A problem of `parse_secrets_file` or `read_secrets` without the name of the key, and the name; without one, as it is."""
    named = _NAMED.match(problem)
    if named is None:
        return problem, ""
    part = f"a value of {named['part']}" if named["part"] else "a value"
    return f"{named['where']}{part} {named['rest']}", named["key"]


_NAMED = re.compile(
    r"(?P<where>.*: Secret \S+: )(?:(?P<part>data|stringData)\.)?(?P<key>(?!(?:data|stringData) )[-._a-zA-Z0-9?]+) "
    r"(?P<rest>(?:is|must) .*)\Z",
    re.DOTALL | re.ASCII,
)


def key_problem(key: str) -> str:
    """Why this cannot be a key of a Secret, or nothing; the key itself is not repeated."""
    if not _KEY.match(key) or key == "." or key.startswith(".."):
        return "is not a valid key; use letters, digits, -, _ and . (at most 253)"
    return ""


def _value_problem(value: Any, part: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return f"must be text, found {type_name(value)}; write the value in quotes"
    return "" if part == "stringData" or strict_base64(value) is not None else "is not valid base64"


def strict_base64(text: str) -> bytes | None:
    """The bytes behind base64, strictly: only whitespace is ignored, and encoding again gives the same text."""
    compact = "".join(text.split())
    if len(compact) % 4:
        return None
    try:
        value = binascii.a2b_base64(compact, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return value if binascii.b2a_base64(value, newline=False).decode() == compact else None


def _encoded(value: str, part: str) -> str:
    return "".join(value.split()) if part == "data" else base64.b64encode(value.encode()).decode()


def check_against_reference(
    reference: Sequence[Document], populated: Sequence[Document], *, samples: Sequence[Document] | None = None
) -> SecretsFileCheck:
    """Compares a secrets file with its reference file, both as documents (the reference may have sample values).

    A placeholder is an empty value, a word such as `changeme` or `<…>` (plain, or put into `data` without base64), or
    the same value as a sample. `samples`: other documents whose samples count instead of the reference's own: whoever writes
    a sample learns whether it is the value.
    """
    wanted, values = _values(reference), _values(populated)
    known = wanted if samples is None else _values(samples)
    placeholders = [key for key, value in values.items() if is_placeholder(value, known.get(key))]
    return SecretsFileCheck(
        missing=tuple(sorted(wanted.keys() - values.keys())),
        extra=tuple(sorted(values.keys() - wanted.keys())),
        placeholders=tuple(sorted(placeholders)),
    )


def _values(documents: Iterable[Document]) -> dict[str, bytes]:
    return {
        f"{document.body['metadata']['name']}/{key}": value
        for document in documents
        if is_secret(document.body)
        for key, value in values_of(document.body)
    }


def is_placeholder(value: bytes, sample: bytes | None = None) -> bool:
    """Nobody has filled this value in yet: empty, a word such as `changeme`, or the reference's own sample."""
    if not value or value == sample:
        return True
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        text = base64.b64encode(
            value
        ).decode()  # `changeme` is itself valid base64, of bytes that are no text
    return bool(_PLACEHOLDER.match(text))


def secret_values(bodies: Iterable[Json]) -> list[str | bytes]:
    """Every value of the Secrets among these objects, decoded: text where it is UTF-8, else bytes. No empty ones."""
    found: dict[bytes, None] = {}
    for body in bodies:
        if is_secret(body):
            found.update((value, None) for _, value in values_of(body) if value)
    return [_text_or_bytes(value) for value in found]


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
