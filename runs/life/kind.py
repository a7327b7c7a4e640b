"""Describes a kind of run, such as a deploy: its table, counter, queue, job, steps and audit data.

Everything in this folder works for every kind; `hooks.py` and `pipeline.py` define what a kind adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

from audit.actors import Actor
from audit.record import record
from runs.models import Counter, Run

R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class About:
    """How audit events name a run. `facts`: added to the data of all its events except the one of the end."""

    text: str
    project: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One kind of run.

    `name`: as in audit verbs (`deploy.started`) and in sentences ("then deploy again"). `counter`: the table of the counter.
    `queue`, `job`: the RQ queue, and the dotted name of the job function, which takes the run's id and the attempt. `steps`:
    their names in order, at most 60 characters each; a run may have others (`opening.create`). `about`: how audit events name
    a run.
    """

    name: str
    model: type[R]
    counter: type[Counter]
    queue: str
    job: str
    steps: tuple[str, ...]
    about: Callable[[R], About]

    def rows(self, related: Sequence[str] = ()) -> QuerySet[R]:
        """All runs of this kind, with the relations in `related` loaded (`select_related`)."""
        rows = self.model._default_manager.all()
        return rows.select_related(*related) if related else rows

    def audit(self, actor: Actor, verb: str, run: R, **data: object) -> None:
        """Writes an audit event about a run, with its facts and `data`. Call it in the transaction of the change."""
        self.record(actor, verb, run, {**self.about(run).facts, **data})

    def record(self, actor: Actor, verb: str, run: R, data: dict[str, Any]) -> None:
        """Writes an audit event about a run, with only `data`. Call it in the transaction of the change."""
        about = self.about(run)
        record(
            actor,
            verb,
            target_kind=self.name,
            target_id=run.number,
            target_text=about.text,
            project=about.project,
            data=data,
        )
