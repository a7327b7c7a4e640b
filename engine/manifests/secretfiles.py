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

from engine.manifests.documents import Document, duplicates, read_file, refuse, type_name
from engine.manifests.masking import is_secret, values_of
from engine.types import Json

_VALUES = frozenset({"data", "stringData"})
_QUOTED = re.compile(r"“.*” ", re.DOTALL)
MAX_DECODED_BYTES = 1_048_576  # of all values of one Secret: the API server's limit
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z", re.ASCII)
_PLACEHOLDER = re.compile(
    r"(|change[-_ ]?me|changeit|x{3,}|todo|tbd|fixme|placeholder|replace[-_ ]?me|your[-_ ][-\w ]{1,60}|<[^<>\n]{1,80}>"
    r"|\*{3,}|\.{3}|…)\Z",
    re.IGNORECASE,
)


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
            problem = _key_problem(key) or _value_problem(value, part)
            if problem:
                problems.append(f"{where}: {part}.{key if _KEY.match(key) else '?'} {problem}")
            else:
                result[key] = _encoded(value or "", part)
    if sum(len(value) for value in result.values()) * 3 // 4 > MAX_DECODED_BYTES:
        problems.append(f"{where}: its values are larger than 1 MiB together")
    return result


def _key_problem(key: str) -> str:
    if not _KEY.match(key) or key == "." or key.startswith(".."):
        return "is not a valid key; use letters, digits, -, _ and . (at most 253)"
    return ""


def _value_problem(value: Any, part: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return f"must be text, found {type_name(value)}; write the value in quotes"
    return "" if part == "stringData" or _is_base64(value) else "is not valid base64"


def _is_base64(text: str) -> bool:
    """Strictly: only whitespace is ignored, and encoding again gives the same text."""
    compact = "".join(text.split())
    try:
        return base64.b64encode(base64.b64decode(compact, validate=True)).decode() == compact
    except (binascii.Error, ValueError):
        return False


def _encoded(value: str, part: str) -> str:
    return "".join(value.split()) if part == "data" else base64.b64encode(value.encode()).decode()


def check_against_reference(reference: Sequence[Document], populated: Sequence[Document]) -> SecretsFileCheck:
    """Compares a secrets file with its reference file, both as documents (the reference may have sample values).

    A placeholder is an empty value, a word such as `changeme` or `<…>` (plain, or put into `data` without base64), or
    the same value as a sample of the reference.
    """
    samples, values = _values(reference), _values(populated)
    placeholders = [key for key, value in values.items() if _is_placeholder(value, samples.get(key))]
    return SecretsFileCheck(
        missing=tuple(sorted(samples.keys() - values.keys())),
        extra=tuple(sorted(values.keys() - samples.keys())),
        placeholders=tuple(sorted(placeholders)),
    )


def _values(documents: Iterable[Document]) -> dict[str, bytes]:
    return {
        f"{document.body['metadata']['name']}/{key}": value
        for document in documents
        if is_secret(document.body)
        for key, value in values_of(document.body)
    }


def _is_placeholder(value: bytes, sample: bytes | None) -> bool:
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
