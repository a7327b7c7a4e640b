"""Which keys of a project's environments are the same, different or missing; no value leaves this module.

Equal values are told by a digest whose key lives as long as one comparison: the digests that are stored are bound to their
secret and key on purpose, so that nobody who reads the database can tell which values are equal.
"""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.errors import ExternalError
from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from engine.errors import ManifestError
from projects.access import may_secret, require_secret
from projects.models import Environment
from secrets_ui.comparing.columns import Column, columns_of
from secrets_ui.known.looking import Look, look
from secrets_ui.known.public import Key, Place, keys_of, label, names_of
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import environments_of
from secrets_ui.values.kinds import EMPTY

LETTERS = string.ascii_uppercase
SAME, DIFFERENT, ONE, UNTOLD, NOWHERE = "same", "different", "one", "untold", "nowhere"


@dataclass(frozen=True)
class Cell:
    """One key in one environment. `letter`: the same one means the same value, within the line. `missing`: the reference
    file wants it."""

    column: Column
    place: Place
    key: Key | None = None
    letter: str = ""
    missing: bool = False

    @property
    def id(self) -> str:
        """As addresses and forms write the key."""
        return label(*self.place)


@dataclass(frozen=True)
class Line:
    """One key over all environments. `shared`: production has the same value as an environment that is none."""

    name: str
    cells: tuple[Cell, ...]
    result: str
    shared: bool = False

    @property
    def is_missing(self) -> bool:
        """Somewhere it should be and is not."""
        return any(cell.missing for cell in self.cells)

    @property
    def is_unread(self) -> bool:
        """Somewhere its value could not be read."""
        return any(cell.key is not None and cell.column.problem for cell in self.cells)

    @property
    def only(self) -> Cell | None:
        """Where it is, if that is one environment."""
        present = [cell for cell in self.cells if cell.key is not None]
        return present[0] if len(present) == 1 else None


@dataclass(frozen=True)
class Table:
    """The secrets files of one path."""

    path: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def known_tables(actor: Actor, environment: Environment) -> list[Table]:
    """What is known without reading any value: which keys there are. Raises Refused."""
    require_secret(actor, environment, "names")
    found = columns_of(actor.user, environment.project)
    return [_table(path, columns, {}) for path, columns in found.items()]


def compare(actor: Actor, environment: Environment) -> list[Table]:
    """Reads the current versions of those environments whose values may take part, and compares them. Audited, without
    values. Raises Refused when there are not two such environments; what AWS does not answer is told in its column."""
    require_secret(actor, environment, "names")
    found = columns_of(actor.user, environment.project)
    part = _comparable_of(actor, found)
    looks = look([column.file for column in part])
    part = _comparable_of(actor, found)  # the look may have told whose secret a file names
    if not part:
        raise Refused(
            "Values are only compared where you may reveal or change them, in two environments at least.",
            hint="Nothing was read. Ask a maintainer of the project or an admin for the role.",
            code="secret-right",
        )
    _told(actor, environment, part)
    key = secrets.token_bytes(32)
    digests: dict[int, dict[Place, bytes]] = {}
    read = {column.file.pk: _read(column, looks[column.file.pk], key, digests) for column in part}
    return [
        _table(path, [read.get(column.file.pk, column) for column in columns], digests)
        for path, columns in found.items()
    ]


def _comparable_of(actor: Actor, found: Mapping[str, Sequence[Column]]) -> list[Column]:
    return [column for columns in found.values() for column in _comparable(actor, columns)]


def _comparable(actor: Actor, columns: Sequence[Column]) -> list[Column]:
    """Those of one path that can be compared: one alone has nothing to be compared with."""
    fitting = [column for column in columns if takes_part(actor, column)]
    return fitting if len(fitting) > 1 else []


def takes_part(actor: Actor, column: Column) -> bool:
    """Whether the values of a column may be compared: the person may reveal or edit them wherever the secret is read."""
    return (
        column.sees
        and column.compares
        and all(
            any(may_secret(actor.user, place, right) for right in ("reveal", "edit"))
            for place in environments_of(column.file)
        )
    )


def _told(actor: Actor, environment: Environment, part: Sequence[Column]) -> None:
    places = sorted({column.environment.slug for column in part})
    record(
        actor, "secrets.compared", target_kind="secrets", target_id=environment.pk,
        target_text=f"{environment.label}: {', '.join(places)}", project=environment.project.slug,
        data={"environments": places, "files": sorted({column.file.path for column in part})},
    )  # fmt: skip


def _read(column: Column, seen: Look, key: bytes, digests: dict[int, dict[Place, bytes]]) -> Column:
    """The column as AWS has it now; its digests go into `digests`."""
    secret = seen.secret
    if seen.error or secret is None or not secret.current_version:
        return replace(column, problem=seen.error or "It holds no value yet.")
    try:
        stored = read_version(column.file, secret, secret.current_version)
    except (ExternalError, ManifestError) as error:
        return replace(column, problem=f"{error.message} {error.hint}".strip())
    digests[column.file.pk] = {
        (name, entry): hmac.digest(key, value, "sha256")
        for name, held in zip(names_of(stored.opened), stored.opened.secrets, strict=True)
        for entry, value in held.values().items()
    }
    return replace(column, secret=secret, keys=keys_of(stored.rows), problem="")


def _table(path: str, columns: Sequence[Column], digests: Mapping[int, Mapping[Place, bytes]]) -> Table:
    by_column = [_by_name(column, whole=_has_several(columns)) for column in columns]
    names = sorted({name for places in by_column for name in places})
    lines = [_line(name, columns, by_column, digests) for name in names]
    return Table(path, tuple(columns), tuple(lines))


def _has_several(columns: Sequence[Column]) -> bool:
    """Whether a file holds several Secrets: then keys are only alike if their Secrets have one name, too. Otherwise the
    names of the Secrets do not count: `app-staging` stands for `app-production`."""
    return any(len({secret for secret, _ in column.keys or ()}) > 1 for column in columns)


def _by_name(column: Column, *, whole: bool) -> dict[str, Place]:
    """The places of a column, wanted ones too, by the name of their line."""
    places = [*column.wanted, *(column.keys or ())] if column.keys is not None else []
    return {label(*place) if whole else place[1]: place for place in places}


def _line(
    name: str,
    columns: Sequence[Column],
    by_column: Sequence[Mapping[str, Place]],
    digests: Mapping[int, Mapping[Place, bytes]],
) -> Line:
    letters: dict[bytes, str] = {}
    cells = []
    for column, places in zip(columns, by_column, strict=True):
        place = places.get(name, ("", name))
        key = (column.keys or {}).get(place)
        value = digests.get(column.file.pk, {}).get(place)
        if value is not None and value not in letters:
            letters[value] = letter_of(len(letters))
        missing = key is None and name in places
        cells.append(Cell(column, place, key, letters.get(value or b"", ""), missing))
    return Line(name, tuple(cells), _result(cells), _is_shared(cells))


def letter_of(number: int) -> str:
    """The mark of a group of equal values, counted from 0: A to Z, then AA, AB and so on. No two groups of a line share one."""
    more, last = divmod(number, len(LETTERS))
    return (letter_of(more - 1) if more else "") + LETTERS[last]


def _result(cells: Sequence[Cell]) -> str:
    present = [cell for cell in cells if cell.key is not None]
    if len(present) < 2:
        return ONE if present else NOWHERE
    letters = [cell.letter for cell in present if cell.letter]
    if len(set(letters)) > 1:
        return DIFFERENT
    return SAME if len(letters) == len(present) else UNTOLD


def _is_shared(cells: Sequence[Cell]) -> bool:
    """Whether production shares a value with an environment that is none."""
    told = [cell for cell in cells if cell.letter and cell.key is not None and cell.key.kind != EMPTY]
    production = {cell.letter for cell in told if cell.column.environment.is_production}
    return any(cell.letter in production for cell in told if not cell.column.environment.is_production)
