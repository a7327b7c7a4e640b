"""One look at a cluster: what is to be there is compared with what is there, and what is due is renewed.

The lease of the cluster is held throughout. The order: list, token, proof, write, read back. A worker that is killed anywhere
leaves nothing half done that the next look does not see: every Secret is written whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from engine.cluster.client import ApiError, Client
from projects.models import Cluster, Registry
from registry import accounts, history, leases, watching
from registry.cluster import Place, read_secrets
from registry.faults import GONE, TERMINATING, Fault, of_cluster
from registry.history import RESULT, Done
from registry.judging import Verdict
from registry.leases import Held
from registry.models import Cause, Credential, PullPolicy, Refresh, State
from registry.noting import refreshing, write_down
from registry.places import Plan, plan, rows_for
from registry.policies import registries_of
from registry.tokens import Identity, by_identity, is_wanted, renewed, stored
from registry.verdicts import Looked, verdicts_of, waits
from registry.wanted import Wanted, wanted
from registry.writing import Outcome, Writer


@dataclass(frozen=True)
class Ask:
    """Why the portal looks. `cause`: empty for the minute's look; `namespace`: only this one; `forced`: in spite of pauses after
    failures; `newest`: with tokens made after this moment; `prove`: the registries are asked in any case; `check`: nothing is
    written; `row`: the renewal that was asked for."""

    cause: str = ""
    namespace: str = ""
    forced: bool = False
    newest: datetime | None = None
    prove: bool = False
    check: bool = False
    asked_as: str = ""
    row: Refresh | None = None


@dataclass(frozen=True)
class Report:
    """What a look found and did. `fault`: why it could not look at all; `accounts`: what failed with service accounts."""

    credentials: Sequence[Credential] = ()
    done: Sequence[Done] = ()
    fault: Fault | None = None
    accounts: str = ""

    @property
    def is_good(self) -> bool:
        """Whether every Secret is valid, or deliberately left alone, or its namespace is not there."""
        return self.fault is None and not self.accounts and all(map(is_good, self.credentials))


def is_good(row: Credential) -> bool:
    """Whether nothing is wrong with a credential."""
    absent = row.state == State.MISSING and row.failing_since is None and bool(row.last_error)
    return row.state in (State.VALID, State.PAUSED) or absent


def lease_of(cluster: Cluster) -> str:
    """The name of the lease under which its Secrets are written."""
    return f"cluster-{cluster.pk}"


@dataclass(frozen=True)
class Look:
    """One look, by the holder of the cluster's lease."""

    held: Held
    client: Client
    policy: PullPolicy
    ask: Ask

    def run(self, *, known: Plan | None = None) -> Report:
        """Looks, and renews what is due. `known`: a plan made before. What an outside system refuses becomes a fault of the
        report, and is noted. Raises LeaseLost; RuntimeError without a redactor."""
        watch = watching.watch_of(self.policy.cluster)
        history.end_orphans(self.policy.cluster, but=self.ask.row)
        now = timezone.now()
        try:
            places = known or plan(self.client, self.policy, namespace=self.ask.namespace)
            live = read_secrets(self.client, places.places)
        except ApiError as error:
            fault = of_cluster(error, "", "pull secrets")
            watching.note_silence(watch, fault)
            self._fail(fault)
            return Report(fault=fault)
        whole = known is None and not self.ask.namespace
        rows = rows_for(self.policy, places.places, all_of_them=whole)
        start = Cause.START if watching.was_away(watch, now) else ""
        report = self._compare(Looked(places, live, rows, self.policy, now), start)
        if whole:
            watching.note_look(watch)
        return report

    def _fail(self, fault: Fault) -> None:
        if self.ask.row is not None:
            history.fail(self.ask.row, fault.sentence, fault.hint)

    def _compare(self, looked: Looked, start: str) -> Report:
        """Judges every Secret; renews what is due; notes the states in any case."""
        registries = registries_of(self.policy)
        want = wanted(registries)
        verdicts = verdicts_of(looked, want)
        old = self._old_tokens(registries, verdicts)
        if self.ask.check or not (old or self.ask.row or self._todo(looked, verdicts)):
            write_down(self.held, looked, want, verdicts, {})
            return self._report(looked, (), verdicts)
        renewal = Renewal(self, looked, start)
        renewal.open(self._todo(looked, verdicts), verdicts, by_token=bool(old))
        if old:
            renewal.step(history.TOKEN)
            for identity, group in old.items():
                leases.renew(self.held)
                renewed(
                    identity, group, newer_than=self.ask.newest, forced=self.ask.forced, prove=self.ask.prove
                )
            want = wanted(registries)
            verdicts = verdicts_of(looked, want)
        done = renewal.carry_out(self._todo(looked, verdicts), verdicts, want)
        return self._report(looked, done, verdicts)

    def _old_tokens(
        self, registries: Sequence[Registry], verdicts: Mapping[Place, Verdict]
    ) -> dict[Identity, list[Registry]]:
        """The identities that need a new token or a proof; none when there is no Secret to keep."""
        if not any(verdict.is_kept for verdict in verdicts.values()):
            return {}
        groups, now, ask = by_identity(registries), timezone.now(), self.ask
        rows = stored(list(groups))
        return {
            identity: group
            for identity, group in groups.items()
            if ask.prove or is_wanted(rows[identity], group, ask.newest, now, forced=ask.forced)
        }

    def _todo(self, looked: Looked, verdicts: Mapping[Place, Verdict]) -> dict[Place, Verdict]:
        """What is to be written now: not what a pause after a failure is on for."""
        return {
            place: verdict
            for place, verdict in verdicts.items()
            if verdict.action and (self.ask.forced or not waits(looked.rows[place], looked.at))
        }

    def _report(self, looked: Looked, done: Sequence[Done], verdicts: Mapping[Place, Verdict]) -> Report:
        kept = [place for place, verdict in verdicts.items() if verdict.is_kept]
        names = [] if self.ask.check or self.policy.is_paused else self.policy.service_accounts
        failed = accounts.tend(self.client, names, kept) if names and kept else {}
        return Report(tuple(looked.rows.values()), done, accounts=accounts.with_faults(failed))


@dataclass
class Renewal:
    """The renewals of one look: one row of history for each cause."""

    look: Look
    looked: Looked
    start: str
    rows: dict[str, Refresh] = field(default_factory=dict)  # by cause
    repeated: set[str] = field(default_factory=set)

    def open(
        self, todo: Mapping[Place, Verdict], verdicts: Mapping[Place, Verdict], *, by_token: bool
    ) -> None:
        """Opens the rows for the causes that are known so far. A new token is a cause for every Secret that is kept."""
        members: dict[str, list[Credential]] = {}
        for place, verdict in verdicts.items():
            if place in todo or (by_token and verdict.is_kept):
                members.setdefault(verdict.cause or Cause.DUE, []).append(self.looked.rows[place])
        for cause, rows in (members or {Cause.DUE: []}).items():
            self._row(cause, rows)

    def _name(self, cause: str) -> str:
        return self.look.ask.cause or self.start or cause or Cause.DUE

    def _row(self, cause: str, members: Sequence[Credential]) -> Refresh:
        """The row of a cause; opened when it is asked for first."""
        name, ask = self._name(cause), self.look.ask
        if name not in self.rows:
            failed_before = bool(members) and all(one.last_error for one in members) and not ask.forced
            self.rows[name] = ask.row or history.opened(
                self.look.policy.cluster,
                name,
                namespace=ask.namespace,
                asked_as=ask.asked_as,
                repeated=failed_before,
            )
            if failed_before and self.rows[name].tries > 1:
                self.repeated.add(name)
        return self.rows[name]

    def step(self, number: int, done: int = 0, total: int = 0) -> None:
        """Shows how far it is."""
        history.step(list(self.rows.values()), number, done, total)

    def carry_out(
        self, todo: Mapping[Place, Verdict], verdicts: Mapping[Place, Verdict], want: Wanted
    ) -> list[Done]:
        """Writes, reads back, notes the states and closes the rows. Raises LeaseLost."""
        look = self.look
        writer = Writer(look.held, look.client, self.looked, want)
        self.step(history.WRITE, 0, len(todo))
        if todo:
            refreshing(look.held, [self.looked.rows[place] for place in todo])
        outcomes = writer.write_all(todo, lambda done: self.step(history.WRITE, done, len(todo)))
        self.step(history.READ_BACK, 0, len(todo))
        outcomes = writer.read_back(outcomes)
        write_down(look.held, self.looked, want, verdicts, outcomes)
        groups = self._groups(verdicts, outcomes)
        for name, row in list(self.rows.items()):
            history.close(row, groups.get(name, []), want, is_new=name not in self.repeated)
        return [one for group in groups.values() for one in group]

    def _groups(
        self, verdicts: Mapping[Place, Verdict], outcomes: Mapping[Place, Outcome]
    ) -> dict[str, list[Done]]:
        groups: dict[str, list[Done]] = {}
        for place, verdict in verdicts.items():
            row = self.looked.rows[place]
            done = _done(row, verdict, outcomes.get(place))
            # What is fresh or left alone is told only where a person asked for it.
            if place in outcomes or done.result == RESULT.FAILED or self.look.ask.row is not None:
                name = self._name(verdict.cause)
                self._row(verdict.cause, [row])
                groups.setdefault(name, []).append(done)
        return groups


def _done(row: Credential, verdict: Verdict, outcome: Outcome | None) -> Done:
    if outcome is not None and outcome.fault is None:
        return Done(row, RESULT.WRITTEN) if outcome.content else Done(row, RESULT.FAILED)
    fault = outcome.fault if outcome is not None else verdict.fault
    if verdict.state == State.FOREIGN:
        return Done(row, RESULT.FOREIGN, fault.sentence if fault else "")
    if verdict.state == State.PAUSED:
        return Done(
            row,
            RESULT.SKIPPED,
            "It is paused: nothing is written until the pause ends, or an admin resumes it.",
        )
    if fault is not None and fault.kind in (GONE, TERMINATING):
        return Done(row, RESULT.SKIPPED, fault.sentence)
    if fault is not None:
        return Done(row, RESULT.FAILED, fault.sentence)
    return Done(row, RESULT.UNCHANGED)
