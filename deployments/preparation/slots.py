"""How many previews are made at once: some for each person, some for the whole site. More are refused, none waits.

A preview takes a thread of the web process, memory and seconds of a cluster and of AWS. The slots are leases in the
database, so that they count over all processes; one that was killed frees its slot when the lease ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Refused
from core.scheduler import release_lease, take_lease

PER_PERSON = 2
ON_THE_SITE = 8
SECONDS = 120  # longer than a preview may take, with all its time limits


@contextmanager
def preview_slot(person_id: int | None) -> Iterator[None]:
    """Holds a slot of the person and one of the site during the block. Raises Refused when all are taken."""
    holder = uuid.uuid4().hex
    with (
        _slot(f"preview-of-{person_id}", PER_PERSON, holder, "You have"),
        _slot("preview", ON_THE_SITE, holder, "There are"),
    ):
        yield


@contextmanager
def _slot(name: str, count: int, holder: str, whose: str) -> Iterator[None]:
    names = (f"{name}-{number}" for number in range(count))
    taken = next((one for one in names if take_lease(one, holder, SECONDS)), None)
    if taken is None:
        raise Refused(
            f"{whose} {count} previews being made already; no further one was begun.",
            hint="Look again in some seconds, when one of them is ready.",
            code="busy",
        )
    try:
        yield
    finally:
        release_lease(taken, holder)
