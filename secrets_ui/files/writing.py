"""How values and keys are written, so that PyYAML, kubectl and the engine all read the same text back."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import yaml

from engine.manifests.scalars import resolve_plain

_PLAIN = re.compile(r"[A-Za-z0-9_./][-A-Za-z0-9_./+@%=]*\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}\Z")
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What YAML takes for a line break or does not allow, and what cannot be seen.
_ESCAPED = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]')
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_RESOLVER = yaml.resolver.Resolver()


def base64_scalar(value: bytes, style: str = "") -> str:
    """Base64 in one line. `style`: the quotes to keep; without, quoted only where it would be read as something else."""
    text = base64.b64encode(value).decode()
    if style in ("'", '"'):
        return f"{style}{text}{style}"
    return text if _BASE64.match(text) and is_text(text) else f'"{text}"'


def text_scalar(value: str, style: str = "") -> str:
    """Text in one line; where the style cannot carry it, in double quotes with escapes that JSON knows too."""
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style == "" and _PLAIN.match(value) and is_text(value):
        return value
    return '"' + _ESCAPED.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", value) + '"'


def secret_lines(
    name: str, values: Mapping[str, bytes], *, namespace: str = "", type_: str = "Opaque"
) -> list[str]:
    """The lines of a Kubernetes Secret with these values, base64 in one line each. Any bytes can stand in it."""
    lines = ["apiVersion: v1", "kind: Secret", "metadata:", f"  name: {text_scalar(name)}"]
    lines += [f"  namespace: {text_scalar(namespace)}"] if namespace else []
    lines += [f"type: {text_scalar(type_)}", "data:" if values else "data: {}"]
    return [*lines, *(f"  {text_scalar(key)}: {base64_scalar(value)}" for key, value in values.items())]


def literal_lines(value: str, indent: int, end: str) -> str:
    """The lines of a literal block: empty ones stay empty."""
    lines = value.removesuffix("\n").split("\n")
    return "".join((" " * indent + line if line else "") + end for line in lines)


def literal_header(value: str, digit: str) -> str:
    """`|`, and `-` for a value without a line end. Values with several line ends at their end need no literal."""
    return f"|{digit}{'' if value.endswith(chr(10)) else '-'}"


def fits_literal(value: str, header: str, indent: int, digit: str) -> bool:
    """Whether a literal block carries the value; libyaml has the last word."""
    if _ESCAPED.search(value.replace("\n", "").replace("\t", "").replace('"', "").replace("\\", "")):
        return False
    if not value.strip() or value.endswith("\n\n"):
        return False
    # With an explicit digit the indentation is relative to the key's.
    outer = indent - int(digit) if digit else 0
    text = f"{' ' * outer}k: {header}\n{literal_lines(value, indent, chr(10))}"
    try:
        return bool(yaml.load(text, Loader=_LOADER) == {"k": value})  # noqa: S506 (texts only)
    except yaml.YAMLError:
        return False


def is_text(plain: str) -> bool:
    """Whether an unquoted scalar is text for the engine and kubectl, and for YAML 1.1 as PyYAML reads it."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, plain, (True, False))
    return isinstance(resolve_plain(plain), str) and tag == "tag:yaml.org,2002:str"
