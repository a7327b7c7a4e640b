"""Whether the states that the status page shows have changed since the last look: those of the portal's own parts, which change
without anybody writing a row."""

from __future__ import annotations

from collections.abc import Hashable

from portal.status import troubles, watch
from portal.status.watch import Pulse


class Looks:
    """Remembers what was seen last."""

    def __init__(self) -> None:
        self._seen: Hashable = None

    def changed(self) -> bool:
        """Whether something is other than at the last look. The first look finds nothing new."""
        before, self._seen = self._seen, seen(watch.for_page())
        return before is not None and before != self._seen


def seen(pulse: Pulse) -> Hashable:
    """What of a pulse is shown as a state, or counted. Not how fast the answers came: that is never the same."""
    records, bell = pulse.records, pulse.bell
    return (
        records and (
            records.problem,
            troubles.scheduler_is_silent(records),
            tuple((one.kind, one.host, one.pid, one.lives, one.doing) for one in records.processes),
            tuple(one.key for one in records.notices),
        ),
        bell and (bell.problem, tuple((queue.name, queue.length) for queue in bell.queues)),
    )  # fmt: skip
