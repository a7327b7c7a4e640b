"""Public facts of a secret's content, which pages show and rows keep: kind, length and oddities of each key, no value.

A row of `SecretVersion.keys` is a mapping:
  secret, key   where it stands (`secret` is empty in a flat JSON object)
  kind, length  of the value; length counts characters, bytes of a binary value
  digest        keyed hash over the secret's ARN, secret, key and value: tells whether two versions differ
  breaks, final how its lines end (LF, CR LF, mixed, or empty), and whether its last line has an end
  flags         lists of [code, sentence, what one click would do]
  locked        why it cannot be edited in place, or empty
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.secret_values import digest, register
from engine.types import Json
from secrets_ui.files.model import Entry, SecretsText
from secrets_ui.values.checks import Finding, check_base64, check_pairs, check_raw, check_value
from secrets_ui.values.kinds import kind_of, text_of

Place = tuple[str, str]  # name of the Secret in its file, key
Told = dict[tuple[object, ...], Json]  # rows by what they tell of, values included: for one request
LF, CRLF, MIXED = "LF", "CR LF", "mixed"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Key:
    """One key of a version, without its value: a row of `SecretVersion.keys` as an object."""

    secret: str
    key: str
    kind: str
    length: int
    digest: str
    breaks: str = ""
    final: bool = False
    flags: tuple[tuple[str, str, str], ...] = ()
    locked: str = ""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.secret, self.key

    def has(self, code: str) -> bool:
        """Whether this is odd about it."""
        return any(flag[0] == code for flag in self.flags)


def keys_of(rows: Sequence[Json] | None) -> dict[Place, Key]:
    """The keys of a version's rows, by place."""
    return {(row["secret"], row["key"]): _key_of(row) for row in rows or ()}


def keys_after(before: Sequence[Json], keys: Mapping[Place, Key], rows: Sequence[Json]) -> dict[Place, Key]:
    """The same of the rows after an edit: those that are rows of `before` have their keys already."""
    same = {id(row) for row in before}
    places = {(row["secret"], row["key"]): row for row in rows}
    return {place: keys[place] if id(row) in same else _key_of(row) for place, row in places.items()}


def _key_of(row: Json) -> Key:
    return Key(**{**row, "flags": tuple((*flag,) for flag in row["flags"])})


def label(secret: str, key: str) -> str:
    """How a place is written in addresses, history and audit: `app/TOKEN`, or `TOKEN` of a flat object."""
    return f"{secret}/{key}" if secret else key


def place_of(text: str) -> Place:
    """The place behind such a text. Keys hold no slash."""
    secret, _, key = text.rpartition("/")
    return secret, key


def names_of(opened: SecretsText) -> list[str]:
    """A name for each Secret of a file, in order, that no other one has."""
    names = [secret.name for secret in opened.secrets]
    return [name if names.count(name) == 1 else f"{name}#{at}" for at, name in enumerate(names, start=1)]


def register_values(opened: SecretsText) -> None:
    """Makes every value of an opened file known to the redactor."""
    register(value for secret in opened.secrets for value in secret.values().values())


def public_rows(arn: str, opened: SecretsText, told: Told | None = None) -> list[Json]:
    """The public facts of an opened file. `told`: those of entries that were looked at before, such as those of the text
    before an edit; it gets the new ones."""
    rows: list[Json] = []
    told = {} if told is None else told
    for name, secret in zip(names_of(opened), opened.secrets, strict=True):
        pairs = check_pairs(secret.values())
        counting = {entry.key: entry for entry in secret.entries}  # of several of one name the last
        rows += [
            _with_pair(_told(arn, name, entry, told), pairs.get(entry.key)) for entry in counting.values()
        ]
    return rows


def public_values(arn: str, secret: str, values: Mapping[str, bytes]) -> list[Json]:
    """The same of values alone, as deploys read them."""
    pairs = check_pairs(values)
    return [_with_pair(_facts(arn, (secret, key), value, check_value(value)), pairs.get(key))
            for key, value in values.items()]  # fmt: skip


def typed_key(arn: str, secret: str, key: str, value: bytes) -> Key:
    """A key with a value that stands in no file yet."""
    return next(iter(keys_of(public_values(arn, secret, {key: value})).values()))


def _told(arn: str, name: str, entry: Entry, told: Told) -> Json:
    """The row of an entry by itself: the same one again for an entry that holds the same."""
    same = name, entry.key, entry.part, entry.raw, entry.value, entry.mistake, entry.locked
    if (row := told.get(same)) is None:
        row = told[same] = _row(arn, name, entry)
    return row


def _row(arn: str, name: str, entry: Entry) -> Json:
    place = name, entry.key
    if entry.value is None:
        flag = Finding(UNREADABLE, f"The value {entry.mistake}.")
        found = [*check_raw(entry.raw), flag] if entry.part == "data" and entry.raw else [flag]
        return _facts(arn, place, entry.raw.encode(), found, entry.locked) | {"kind": UNREADABLE}
    odd = check_value(entry.value)
    if entry.part == "data":
        odd = [*check_base64(entry.raw), *odd]
    return _facts(arn, place, entry.value, odd, entry.locked)


def _with_pair(row: Json, pair: Finding | None) -> Json:
    """The row with what is odd about its value and another one together."""
    return {**row, "flags": [*row["flags"], _flag(pair)]} if pair and row["kind"] != UNREADABLE else row


def _flag(finding: Finding) -> list[str]:
    return [finding.code, finding.text, finding.mend]


def _facts(arn: str, place: Place, value: bytes, found: Iterable[Finding], locked: str = "") -> Json:
    kind = kind_of(value)
    breaks, final = line_ends(value)
    return {
        "secret": place[0],
        "key": place[1],
        "kind": kind.name,
        "length": kind.size if kind.characters is None else kind.characters,
        "digest": value_digest(arn, place, value),
        "breaks": breaks,
        "final": final,
        "flags": [_flag(finding) for finding in found],
        "locked": locked,
    }


def value_digest(arn: str, place: Place, value: bytes) -> str:
    """Equal for equal values of this key of this secret; says nothing about others."""
    return digest(f"{arn}\0{label(*place)}\0".encode() + value)


def line_ends(value: bytes) -> tuple[str, bool]:
    """How the lines of a text end, and whether the last one has an end; nothing of what is binary or one line."""
    if b"\n" not in value or text_of(value) is None:
        return "", False
    windows, all_ends = value.count(b"\r\n"), value.count(b"\n")
    return CRLF if windows == all_ends else MIXED if windows else LF, value.endswith(b"\n")


def changed_places(before: Mapping[Place, Key], after: Mapping[Place, Key]) -> dict[Place, str]:
    """The differences between two versions: place → added, changed or removed."""
    return _differences(*({place: key.digest for place, key in side.items()} for side in (before, after)))


def _differences(before: Mapping[Place, str], after: Mapping[Place, str]) -> dict[Place, str]:
    """The same by digests."""
    found = {place: "added" for place in after if place not in before}
    found |= {place: "removed" for place in before if place not in after}
    both = before.keys() & after.keys()
    return found | {place: "changed" for place in both if before[place] != after[place]}


def touched(before: Sequence[Json], after: Sequence[Json]) -> Json:
    """The differences between the rows of two versions, as `SecretVersion.touched` keeps them."""
    found: Json = {}
    digests = ({(row["secret"], row["key"]): row["digest"] for row in rows} for rows in (before, after))
    for place, kind in sorted(_differences(*digests).items()):
        found.setdefault(kind, []).append(label(*place))
    return found
