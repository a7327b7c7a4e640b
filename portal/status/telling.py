"""Tells the operations channel of troubles of the portal itself, from the web processes.

A scheduler or a worker cannot tell that it is dead. So each web process looks now and then, in a thread; rows of the
database decide that one of them tells it, once. It also sends the message itself where no worker does.
"""

from __future__ import annotations

from django.conf import settings

from notify import operations
from portal.status import pulse, troubles, watch
from portal.status.watch import Kept

TELL_SECONDS = 10.0


def tell() -> bool:
    """Notes Redis' answer, opens and closes alarms by what is found now, and sends due messages."""
    seen = watch.now()
    if seen.bell is not None:
        pulse.note_bell(seen.bell)
    if seen.records is None or seen.records.problem:
        return False
    link = f"{settings.BASE_URL}/status/"
    warnings = {
        one.key: operations.Alert(one.state, f"{one.text} {one.remedy}".strip(), link)
        for one in troubles.found(seen)
        if one.key.startswith(troubles.KEY)
    }
    operations.compare(troubles.KEY, warnings)
    operations.tell_due()
    operations.send_own(troubles.KEY)
    return True


ROUNDS: Kept[bool] = Kept(tell, fresh=TELL_SECONDS)


def look() -> None:
    """Starts a round in a thread, unless the last one is fresh. Called by pages, probes and scrapes."""
    ROUNDS.look()
