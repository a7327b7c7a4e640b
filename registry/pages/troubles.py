"""The cards of troubles: what failed in plain words, since when, what still works, and the likely fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from projects.models import Cluster
from registry.models import Credential, State, Watch
from registry.pages.listing import Line
from registry.pages.looks import is_usable, state_now
from registry.pages.tokens import TokenLine

MOST = 6
ASLEEP = timedelta(minutes=5)  # without a look, although one is due each minute


@dataclass(frozen=True)
class Card:
    """One trouble. `until`: until when the old credential works; `image`: the repository that the registry refused, for
    admins. `line`: of a credential, for its buttons; `cluster`: of a whole cluster."""

    subject: str
    state: str
    sentence: str
    works: str
    fix: str
    since: datetime | None = None
    attempts: int = 0
    next_try: datetime | None = None
    until: datetime | None = None
    image: str = ""
    line: Line | None = None
    cluster: Cluster | None = None
    also: Sequence[str] = field(default_factory=tuple)


RUNNING_PODS = "Running pods go on in any case; new pods and deploys need it."


def cards(
    watches: Iterable[Watch],
    tokens: Sequence[TokenLine],
    lines: Sequence[Line],
    ends: dict[int, datetime],
    now: datetime,
) -> list[Card]:
    """The cards, what concerns most namespaces first. `ends`: the earliest end of a working credential, by cluster. Secrets
    that fail for the reason of a card before them get none of their own, and alike ones share one."""
    watches = list(watches)
    away = {watch.cluster_id for watch in watches if watch.failing_since}
    first = [
        *(_away(watch, ends) for watch in watches if watch.failing_since),
        *(_asleep(watch, ends) for watch in watches if _sleeps(watch, now)),
        *_tokens(tokens, now),
    ]
    told = {card.sentence for card in first}
    own = [
        line for line in lines
        if _is_trouble(line, now) and line.row.cluster_id not in away and line.row.last_error not in told
    ]  # fmt: skip
    return [*first, *_of_credentials(own, now)]


def _away(watch: Watch, ends: dict[int, datetime]) -> Card:
    return Card(
        watch.cluster.name, "unreachable", watch.last_error, _until_words(ends.get(watch.cluster_id)), watch.hint,
        watch.failing_since, watch.attempts, watch.next_try_at, ends.get(watch.cluster_id), cluster=watch.cluster,
    )  # fmt: skip


def _sleeps(watch: Watch, now: datetime) -> bool:
    waits = watch.next_try_at is not None and watch.next_try_at > now
    return (
        not watch.failing_since
        and not waits
        and watch.looked_at is not None
        and watch.looked_at < now - ASLEEP
    )


def _asleep(watch: Watch, ends: dict[int, datetime]) -> Card:
    return Card(
        watch.cluster.name, "warning", "The portal has not looked at this cluster, although it is due each minute",
        _until_words(ends.get(watch.cluster_id)),
        "See that the scheduler runs, and a worker for the queue registry. The first look renews what is due.",
        watch.looked_at, until=ends.get(watch.cluster_id), cluster=watch.cluster,
    )  # fmt: skip


def _tokens(tokens: Sequence[TokenLine], now: datetime) -> Iterator[Card]:
    for line in tokens:
        token, host = line.token, line.registry.host
        if line.refusal:
            yield Card(
                host,
                "refused",
                line.refusal,
                "The Secrets keep the credential that they have.",
                str(line.proof.get("hint", "")),
                image=str(line.proof.get("image", "")),
            )
        elif token is not None and token.last_error:
            lives = token.ends_at is not None and token.ends_at > now
            yield Card(
                host, "degraded" if lives else "failing", token.last_error,
                _until_words(token.ends_at if lives else None), token.hint, token.failing_since, token.attempts,
                token.next_try_at, token.ends_at if lives else None,
            )  # fmt: skip


def _is_trouble(line: Line, now: datetime) -> bool:
    row, state = line.row, state_now(line.row, now)
    if state == State.MISSING and row.failing_since is None and row.last_error:
        return False  # its namespace is not there
    return state in (State.ENDED, State.FOREIGN) or (
        bool(row.last_error) and state in (State.MISSING, State.FAILING, State.ENDS_SOON)
    )


def _of_credentials(lines: Sequence[Line], now: datetime) -> Iterator[Card]:
    """One card for each reason; the same reason elsewhere is named in it."""
    alike: dict[tuple[int, str, str], list[Line]] = {}
    # Secrets that others wrote come last.
    for line in sorted(lines, key=lambda one: one.row.state == State.FOREIGN):
        key = (line.row.cluster_id, line.row.state, line.row.hint or line.row.last_error)
        alike.setdefault(key if line.row.state != State.FOREIGN else (line.row.pk, "", ""), []).append(line)
    for group in list(alike.values())[:MOST]:
        yield _of_credential(group[0], [line.row.namespace for line in group[1:]], now)


def _of_credential(line: Line, also: Sequence[str], now: datetime) -> Card:
    row = line.row
    usable = is_usable(row, now)
    return Card(
        row.namespace, line.looks.state, row.last_error or line.looks.sentence, _works(row, usable), row.hint,
        row.failing_since, row.attempts, row.next_try_at, row.expires_at if usable else None, line=line, also=also,
    )  # fmt: skip


def _works(row: Credential, usable: bool) -> str:
    if row.state == State.FOREIGN:
        return "What stands in the Secret stays. Whether it opens the registry, and until when, is not known to the portal."
    if usable:
        return _until_words(row.expires_at)
    return "Running pods go on. New pods cannot pull, and deploys stop before their first write."


def _until_words(until: datetime | None) -> str:
    if until is None:
        return "Running pods go on. New pods cannot pull."
    return f"The credentials that are in place still pull. {RUNNING_PODS}"
