"""The meaning of plain YAML scalars, as `kubectl` reads them.

kubectl reads manifests with sigs.k8s.io/yaml, which resolves scalars as go-yaml v2 does (YAML 1.1 with Go's number
syntax) and then passes through JSON, where a float without a fraction becomes an integer again. The rules here follow
`resolve.go` of go-yaml v2; the table test compares them with the real kubectl.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal

Scalar = str | int | float | bool | None

TAG = "tag:yaml.org,2002:"
_TYPED_TAGS: dict[str, tuple[type, ...]] = {
    TAG + "int": (int,),
    TAG + "float": (float, int),
    TAG + "bool": (bool,),
    TAG + "null": (type(None),),
}
INT64 = range(-(2**63), 2**63)
UINT64_MAX = 2**64 - 1
_LONG = 25  # no decimal integer of 64 bits is as long; Python refuses to read very long ones

_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _word in ("y", "yes", "on", "true"):
    _WORDS.update({_word: True, _word.capitalize(): True, _word.upper(): True})
for _word in ("n", "no", "off", "false"):
    _WORDS.update({_word: False, _word.capitalize(): False, _word.upper(): False})
for _sign, _value in (("", math.inf), ("+", math.inf), ("-", -math.inf)):
    _WORDS.update({f"{_sign}.{_text}": _value for _text in ("inf", "Inf", "INF")})
_WORDS.update({".nan": math.nan, ".NaN": math.nan, ".NAN": math.nan})

_MAY_BE_SPECIAL = frozenset("+-.0123456789yYnNtTfFoO~")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z", re.ASCII)
# A leading dot goes to Go's own ParseFloat, which allows single underscores between digits.
_DOT_FLOAT = re.compile(r"\.[0-9](_?[0-9])*([eE][-+]?[0-9](_?[0-9])*)?\Z", re.ASCII)
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)\Z", re.ASCII)
_BASES = {"x": 16, "o": 8, "b": 2}


def resolve_plain(text: str) -> Scalar:
    """The value that go-yaml gives an unquoted scalar without a tag. Infinities and not-a-number are such floats."""
    if text and text[0] not in _MAY_BE_SPECIAL:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return float(text.replace("_", "")) if _DOT_FLOAT.match(text) else text
    if text[0] not in "+-0123456789":
        return text
    return _resolve_number(text)


def _resolve_number(text: str) -> Scalar:
    plain = text.replace("_", "")
    if (match := _INTEGER.match(plain)) and (len(plain) < _LONG or plain.lstrip("+-").startswith("0")):
        value = _parse_integer(match[1], match[2])
        if value in INT64 or (not match[1] and value <= UINT64_MAX):
            return value
    if _FLOAT.match(plain):
        number = float(plain)
        return text if math.isinf(number) else number
    return text


def _parse_integer(sign: str, digits: str) -> int:
    """Go's base 0: 0x, 0o, 0b or a leading zero choose the base."""
    base = _BASES.get(digits[1:2].lower(), 8 if len(digits) > 1 else 10) if digits[0] == "0" else 10
    value = int(digits, base) if base == 10 or digits[1] in "01234567" else int(digits[2:], base)
    return -value if sign == "-" else value


def resolve_tagged(text: str, tag: str) -> Scalar:
    """The value of a scalar with an explicit tag. Unknown tags are dropped, as kubectl drops them.

    Raises ValueError, without the value, when the text does not fit the tag.
    """
    if tag == TAG + "binary":
        return _binary(text)
    if tag not in _TYPED_TAGS:
        return text
    value = resolve_plain(text)
    kinds = _TYPED_TAGS[tag]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"a value does not fit its tag !!{tag.removeprefix(TAG)}")
    return value


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        problem = "a !!binary value is not base64 of UTF-8 text; use data or binaryData instead of the tag"
        raise ValueError(problem) from None


def json_value(value: Scalar) -> Scalar:
    """What is left of a scalar after JSON: 1e3 and 1.0 are written without a fraction, and Kubernetes reads integers;
    integers beyond 64 bits with sign become floats."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        whole = int(Decimal(repr(value)))
        return whole if whole in INT64 else value
    if type(value) is int and value not in INT64:
        return float(value)
    return value


def key_text(value: Scalar) -> str | None:
    """A mapping key as sigs.k8s.io/yaml writes it: JSON keys are strings. None: such a key is refused."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value in INT64 else None
    return _short_float(value) if isinstance(value, float) else None


def _short_float(value: float) -> str | None:
    """Go's `strconv.FormatFloat(value, 'g', -1, 32)`: the shortest digits that give the same 32-bit float."""
    if not abs(value) < 3.4e38:
        return None
    wanted = struct.pack("f", value)
    (rounded,) = struct.unpack("f", wanted)
    shortest = next(t for p in range(17) if struct.pack("f", float(t := f"{rounded:.{p}e}")) == wanted)
    mantissa, exponent = shortest.split("e")
    if -4 <= int(exponent) < 6:
        return format(Decimal(shortest), "f")
    return f"{mantissa}e{int(exponent):+03d}"
