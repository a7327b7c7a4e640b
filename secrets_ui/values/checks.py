"""Mistakes in values that nobody sees: what is odd about a value, in words that do not repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.manifests.secretfiles import is_placeholder, strict_base64
from secrets_ui.values import pem
from secrets_ui.values.kinds import BEGIN, JSON, is_json, text_of
from secrets_ui.values.mends import HIDDEN, MENDS, SPACES

_LONG_ENOUGH = 8  # characters from which base64 of text is hardly a word
_TOKEN = re.compile(r"[A-Za-z0-9_.:@/+=-]{3,}\Z")
_WORD = re.compile(r"[A-Za-z]?[a-z]{3,15}\Z|[A-Z]{4,16}\Z")


@dataclass(frozen=True)
class Finding:
    """`code`: names the mend, where there is one. `text`: a sentence about the value. `mend`: what one click would do;
    empty when a person must decide."""

    code: str
    text: str
    mend: str = ""

    @property
    def mendable(self) -> bool:
        """`mends.mend(code, value)` gives the mended value."""
        return bool(self.mend) and self.code in MENDS


def check_value(value: bytes, *, sample: bytes | None = None, now: datetime | None = None) -> list[Finding]:
    """What is odd about one value, the likeliest mistake first. `sample`: what the reference file holds."""
    if is_placeholder(value, sample):
        words = "It is empty." if not value else "It looks like a placeholder that nobody has filled in."
        return [Finding("placeholder", words)]
    text = text_of(value)
    if text is None:
        return list(_binary(value))
    if _TOKEN.match(text):  # as most values are: it has no lines, spaces or quotes
        return list(_wrapped(text))
    found = [*_ends(text), *_wrapped(text), *_hidden(text), *_structure(text)]
    if BEGIN in text:
        found += [
            Finding(code, words) for code, words in pem.certificate_findings(value, now or datetime.now(UTC))
        ]
    return found


def check_raw(raw: str) -> list[Finding]:
    """What is odd about the text that stands in `data`, where base64 belongs."""
    value = strict_base64(raw)
    if value is None:
        return [
            Finding(
                "not-base64",
                "It stands in the file as plain text, where base64 belongs.",
                "Store it as base64",
            )
        ]
    return check_base64(raw)


def check_base64(raw: str) -> list[Finding]:
    """The same of what is known to be base64."""
    if _WORD.match(raw):
        words = "It may be plain text that happens to be base64: as written it looks like a word."
        return [Finding("maybe-not-base64", words, "Store it as base64")]
    return []


def check_pairs(values: Mapping[str, bytes]) -> dict[str, Finding]:
    """Certificates of one Secret that do not fit the key beside them (`x.crt` and `x.key`), by the certificate's key."""
    found: dict[str, Finding] = {}
    for name, value in values.items():
        stem, dot, ending = name.rpartition(".")
        other = f"{stem}{dot}key"
        if ending in ("crt", "pem", "cert") and other in values and pem.fits(value, values[other]) is False:
            found[name] = Finding(
                "certificate-key", f"The certificate does not belong to the key in {other}."
            )
    return found


def _binary(value: bytes) -> Iterator[Finding]:
    stripped = text_of(value.rstrip(b"\0"))
    if stripped is not None:
        yield Finding("nul", "It ends with NUL bytes, which no text has.", "Take the NUL bytes away")
    elif b"\0" in value and text_of(value.replace(b"\0", b"")) is not None:
        yield Finding("nul-inside", "It holds NUL bytes; text may have been stored as UTF-16.")


def _ends(text: str) -> Iterator[Finding]:
    bare = text.rstrip("\r\n")
    if bare != text and "\n" not in bare and not is_json(bare):
        yield Finding("trailing-newline", "It ends with a line end.", "Take the line end away")
    if bare == text and text != text.rstrip(" \t"):
        yield Finding("trailing-space", "It ends with a space or tab.", "Take the spaces away")
    if text[:1] in (" ", "\t", "\r", "\n"):
        yield Finding("leading-space", "It begins with a space or an empty line.", "Take the spaces away")
    if "\r\n" in text.removesuffix("\r\n"):
        yield Finding("crlf", "Its lines end as on Windows (CR LF).", "Use LF")


def _wrapped(text: str) -> Iterator[Finding]:
    stripped = text.strip()
    if len(stripped) > 2 and stripped[0] == stripped[-1] and stripped[0] in "\"'":
        yield Finding("quotes", "It stands in quotes, which are part of the value.", "Take the quotes away")
    inner = strict_base64(stripped) if len(stripped) >= _LONG_ENOUGH else None
    decoded = text_of(inner) if inner else None
    if decoded is not None and decoded.strip() and all(c.isprintable() or c in "\r\n\t" for c in decoded):
        yield Finding(
            "double-base64", "It is base64 of a text: perhaps encoded twice.", "Decode it once more"
        )


def _hidden(text: str) -> Iterator[Finding]:
    if text.isascii():
        return
    names = [HIDDEN.get(c) or SPACES[c] for c in text if c in HIDDEN or c in SPACES]
    if names:
        count = "a character" if len(names) == 1 else f"{len(names)} characters"
        what = ", ".join(dict.fromkeys(names))
        yield Finding("invisible", f"It holds {count} that cannot be seen: {what}.", "Take them away")


def _structure(text: str) -> Iterator[Finding]:
    stripped = text.strip()
    if BEGIN in stripped:
        if "\\n" in stripped and "\n" not in stripped:
            yield Finding("escaped-newlines", "Its line ends are written as \\n.", "Make line ends of them")
        elif not pem.is_sound(text.encode()):
            yield Finding("pem", "It looks like PEM but cannot be read as such: lines may be missing or cut.")
    elif stripped[:1] in ("{", "[") and stripped[-1:] in ("}", "]") and not is_json(stripped):
        yield Finding("json", f"It looks like {JSON} but is not: {_json_problem(stripped)}.")


def _json_problem(text: str) -> str:
    """Where JSON breaks, without quoting it."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        pass
    return "it nests too deep or holds a number that is too long"
