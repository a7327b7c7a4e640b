"""What the status page shows, in data, and where an app adds to it: in its `AppConfig.ready`, as for the navigation.

`register(rows=…)` adds rows to the page, `register(notices=…)` banners on every page, `register(samples=…)` values to
`/metrics`. Each is a function without arguments that may read the database and calls nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Row:
    """One dependency of the portal.

    `group`: its kind; people who are no admins see one row for each kind of outside system. `state`: a word of
    `ui/states.py`. `sentence`: its state in plain words. `error`, `remedy`: the last error, and what to do; empty while all
    is well. `details`: for admins only, such as hosts. `answered_at`: the last success. `failed_at`: since when it fails.
    `url`: a page with more, for admins.
    """

    group: str
    name: str
    state: str
    sentence: str = ""
    error: str = ""
    remedy: str = ""
    answered_at: datetime | None = None
    failed_at: datetime | None = None
    details: tuple[str, ...] = ()
    url: str = ""
    outside: bool = True


@dataclass(frozen=True)
class Notice:
    """A banner on every page of signed-in people. `key` names the trouble, of which a warning is sent once. `text`: what is
    wrong and what still works. `remedy`: what an admin should do. `url`, `link`: a page with more, and its name."""

    key: str
    text: str
    remedy: str = ""
    state: str = "failed"
    url: str = "/status/"
    link: str = "Status"


@dataclass(frozen=True)
class Sample:
    """One value for `/metrics`; samples of one `name` need the same names of labels."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Rows = Callable[[], Sequence[Row]]
Notices = Callable[[], Sequence[Notice]]
Samples = Callable[[], Sequence[Sample]]
_rows: list[Rows] = []
_notices: list[Notices] = []
_samples: list[Samples] = []


def register(
    *, rows: Rows | None = None, notices: Notices | None = None, samples: Samples | None = None
) -> None:
    """Adds an app's functions. Called once, at start."""
    _rows.extend([rows] if rows else [])
    _notices.extend([notices] if notices else [])
    _samples.extend([samples] if samples else [])


def registered_rows() -> list[Row]:
    """The rows of all apps that registered some."""
    return [row for give in _rows for row in give()]


def registered_notices() -> list[Notice]:
    """The banners of all apps that registered some."""
    return [notice for give in _notices for notice in give()]


def registered_samples() -> list[Sample]:
    """The values of all apps that registered some."""
    return [sample for give in _samples for sample in give()]
