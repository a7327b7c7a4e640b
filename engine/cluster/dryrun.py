"""Dry-runs all objects at once: the API server answers with the result of applying, and writes nothing.

The server validates strictly, runs its admission, and merges as in a real apply. An object whose namespace or kind
comes with the same deploy cannot be dry-run yet. It is marked as deferred; the rollout dry-runs it when both exist.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from engine.cluster.autoscaling import (
    Autoscalers,
    Replicas,
    falls_to_one,
    read_autoscalers,
    replicas_of,
    with_replicas,
)
from engine.cluster.changes import Notice, ObjectChange
from engine.cluster.client import APPLY, Answer, ApiError, Client, find, list_all
from engine.cluster.diff import comparable, diff_lines
from engine.cluster.fieldsets import without_fields
from engine.cluster.granted import Ungranted, ungranted
from engine.cluster.linediff import Steps
from engine.cluster.owner import check_owner
from engine.cluster.ownership import conflicts_of, dropped_fields, predecessors
from engine.cluster.parallel import Outcomes, Talk
from engine.cluster.refusals import explain, is_no_answer, lacks_dry_run, missing_namespace, silent_webhook
from engine.cluster.resources import ClusterKinds, ref_of
from engine.cluster.takeover import DRY_RUN_QUERY, as_new, needs_preview, preview
from engine.cluster.terminating import is_being_deleted, told
from engine.cluster.yielding import about_addition, yielding
from engine.errors import Cause, SlipwayError
from engine.health.held import warning_before
from engine.manifests.masking import Digest
from engine.manifests.meaning.reading import meanings
from engine.manifests.plan import defined_kinds
from engine.types import ENVIRONMENT_LABEL, Action, Json, Manifest, ObjectRef, Observer

_LIST_FROM = 3  # objects of one kind and namespace from which a list is cheaper than single reads


def dry_run(
    client: Client,
    manifests: Sequence[Manifest],
    *,
    kinds: ClusterKinds,
    digest: Digest,
    with_diff: bool,
    observer: Observer | None = None,
    overwrite: Collection[ObjectRef] = (),
) -> list[ObjectChange]:
    """The result for each manifest, in their order. Refusals are results, not exceptions.

    `overwrite`: objects on which changes by people may be overwritten. Raises ApiError when the cluster does
    not answer or does not accept the credentials, and whatever the observer's `check` raises.
    """
    kinds.learn(manifests)
    autoscalers = read_autoscalers(client, manifests)
    run = _Run(client, kinds, manifests, digest, with_diff, overwrite, autoscalers)
    live = run.read_live(observer)
    changes: dict[ObjectRef, ObjectChange] = {}
    work = Outcomes(
        manifests, lambda manifest, talk: run.change_of(manifest, live.get(manifest.ref)), observer
    )
    for manifest, outcome in work:
        if isinstance(outcome, ApiError) and is_no_answer(outcome):
            raise outcome
        if isinstance(outcome, SlipwayError):
            outcome = run.refused(manifest, outcome)
        changes[manifest.ref] = outcome
    for one in ungranted(client, kinds, manifests):
        changes[one.ref] = _ungranted(changes[one.ref], one)
    return [changes[manifest.ref] for manifest in manifests]


def _ungranted(change: ObjectChange, found: Ungranted) -> ObjectChange:
    """The change with what the dry run did not look at; what it has refused already stays as it is."""
    if change.error:
        return change
    if found.is_sure:
        return replace(
            change, action=None, error=found.sentence, hint=found.hint, field_errors=(found.field,)
        )
    return replace(change, notices=(*change.notices, Notice(found.sentence, found.hint, found.field)))


class _Run:
    """One dry run: the state that all its objects share."""

    def __init__(
        self,
        client: Client,
        kinds: ClusterKinds,
        manifests: Sequence[Manifest],
        digest: Digest,
        with_diff: bool,
        overwrite: Collection[ObjectRef],
        autoscalers: Autoscalers,
    ) -> None:
        self._client = client
        self._kinds = kinds
        self._manifests = manifests
        self._digest = digest
        self._steps = Steps()
        self._with_diff = with_diff
        self._overwrite = overwrite
        self._namespaces = {m.ref.name for m in manifests if m.ref.kind == "Namespace"}
        self._autoscalers = autoscalers
        self._defined = defined_kinds(manifest.body for manifest in manifests)
        self._webhooks = {name for manifest in manifests for name in _webhooks_of(manifest.body)}

    def read_live(self, observer: Observer | None) -> dict[ObjectRef, Json]:
        """The existing objects of each kind of which the deploy has several, found by the environment's label."""
        places: dict[tuple[str, str], list[Manifest]] = {}
        for manifest in self._manifests:
            resource = self._kinds.find(manifest.ref.group, manifest.version, manifest.ref.kind)
            label = (manifest.body["metadata"].get("labels") or {}).get(ENVIRONMENT_LABEL, "")
            if resource and label:
                places.setdefault((resource.path(manifest.ref.namespace), label), []).append(manifest)
        wanted = [
            (path, label, found[0]) for (path, label), found in places.items() if len(found) >= _LIST_FROM
        ]
        live: dict[ObjectRef, Json] = {}
        for _, items in Outcomes(wanted, self._list, observer):
            if not isinstance(items, SlipwayError):  # objects that no list has are read one by one
                live |= {ref_of(item): item for item in items}
        return live

    def _list(self, wanted: tuple[str, str, Manifest], talk: Talk) -> list[Json]:
        path, label, like = wanted
        items, _ = list_all(self._client, path, query={"labelSelector": f"{ENVIRONMENT_LABEL}={label}"})
        return [{"apiVersion": like.api_version, "kind": like.ref.kind, **item} for item in items]

    def change_of(self, manifest: Manifest, live: Json | None) -> ObjectChange:
        """Dry-run one object. Raises ApiError, UnknownKind."""
        change, words = yielding(manifest, lambda asked: self._change_of(asked, live))
        return replace(change, yielded=words)

    def _change_of(self, manifest: Manifest, live: Json | None) -> ObjectChange:
        path = self._kinds.path_of(manifest)
        autoscaler = self._autoscalers.get(manifest.ref)
        if autoscaler is None:
            return self._compared(path, manifest, live)
        live = live or find(self._client, path)
        replicas = replicas_of(manifest, live, autoscaler)
        asked = manifest if replicas.keeps is None else with_replicas(manifest, replicas.keeps)
        return _warned(self._compared(path, asked, live), replicas)

    def _compared(self, path: str, manifest: Manifest, live: Json | None) -> ObjectChange:
        try:
            answer = self._ask(path, manifest)
        except ApiError as error:
            if error.status != 422:
                raise
            live = live or find(self._client, path)
            if live is None or not needs_preview(manifest, live):
                raise
            return self._after_giving_up(manifest, live)
        if answer.status == 201:
            change = ObjectChange(manifest.ref, Action.CREATE, told=answer.warnings)
            change = self._read(change, None, manifest.body)
            return _noticed(change, None, answer.body)
        names = predecessors(_without_ours(answer.body, live))
        result = self._after_take_over(manifest, answer.body) if names else answer.body
        live = live or self._client.request("GET", path)
        check_owner(manifest, live)
        return self._change(manifest, live, replace(answer, body=result), names)

    def _after_giving_up(self, manifest: Manifest, live: Json) -> ObjectChange:
        """The change where the dry run is refused because of fields that a take-over removes."""
        check_owner(manifest, live)
        answer = preview(self._client, self._kinds.resource_of(manifest), manifest, live)
        return self._change(manifest, live, answer, predecessors(live["metadata"].get("managedFields") or []))

    def _change(self, manifest: Manifest, live: Json, answer: Answer, names: tuple[str, ...]) -> ObjectChange:
        if comparable(live) == comparable(answer.body):
            change = ObjectChange(manifest.ref, Action.UNCHANGED, takes_over=names, told=answer.warnings)
            return _noticed(change, live, answer.body)
        change = ObjectChange(manifest.ref, Action.CHANGE, takes_over=names, told=answer.warnings)
        change = self._read(change, live, answer.body)
        return _noticed(_warned(change, falls_to_one(manifest, live, answer.body)), live, answer.body)

    def _read(self, change: ObjectChange, before: Json | None, after: Json) -> ObjectChange:
        """The change with its difference, as lines and in words, where it is asked for."""
        if not self._with_diff:
            return change
        diff = diff_lines(before, after, digest=self._digest, steps=self._steps)
        meaning = meanings(comparable(before) if before else None, comparable(after))
        return replace(change, diff=diff, meaning=meaning)

    def _after_take_over(self, manifest: Manifest, result: Json) -> Json:
        """The result without the fields that only predecessors own. To tell those that the server would fill in
        again, it is asked for the same manifest under a name that is free; where it refuses that, nothing is
        left out."""
        dropped = dropped_fields(result["metadata"].get("managedFields") or [])
        if not dropped:
            return result
        try:
            fresh = as_new(self._client, self._kinds.resource_of(manifest), manifest)
        except ApiError:
            return result
        return without_fields(result, dropped, fresh)

    def _ask(self, path: str, manifest: Manifest) -> Answer:
        """The server's answer; a second time, forced, where the real apply would take over or overwrite."""
        try:
            return self._send(path, manifest, DRY_RUN_QUERY)
        except ApiError as error:
            conflicts = conflicts_of(error.causes)
            agreed = manifest.ref in self._overwrite and not about_addition(manifest, conflicts)
            rest = [c for c in conflicts if not (c.by_handover or (agreed and c.by_person))]
            if not conflicts or not all(conflict.by_predecessor for conflict in rest):
                raise
            if rest and not agreed and not predecessors(self._managed(path)):
                raise  # it is ours already: `kubectl apply` was run over it later
        return self._send(path, manifest, {**DRY_RUN_QUERY, "force": "true"})

    def _send(self, path: str, manifest: Manifest, query: dict[str, str]) -> Answer:
        return self._client.send("PATCH", path, query=query, body=manifest.body, content_type=APPLY)

    def _managed(self, path: str) -> list[Json]:
        return self._client.request("GET", path)["metadata"].get("managedFields") or []

    def refused(self, manifest: Manifest, error: SlipwayError) -> ObjectChange:
        """The result for an object that the server refused, or cannot judge yet."""
        if not isinstance(error, ApiError):
            return ObjectChange(manifest.ref, None, error=error.message, hint=error.hint)
        deferred = ObjectChange(manifest.ref, None, deferred=True)
        deferred = replace(self._read(deferred, None, manifest.body), meaning=())  # it may be there already
        if self._comes_with_deploy(manifest, error):
            return deferred
        if webhook := lacks_dry_run(error):
            return replace(deferred, hint=f"The admission webhook {webhook} allows no dry run.")
        refusal = explain(error, manifest)
        conflicts = tuple(str(conflict) for conflict in refusal.conflicts)
        return ObjectChange(
            manifest.ref,
            None,
            error=refusal.sentence,
            hint=refusal.hint,
            cause=_cause_of(error),
            conflicts=conflicts,
            field_errors=refusal.fields,
        )

    def _comes_with_deploy(self, manifest: Manifest, error: ApiError) -> bool:
        if namespace := missing_namespace(error):
            return namespace in self._namespaces
        if error.status == 404:
            return (manifest.ref.group, manifest.ref.kind) in self._defined
        return silent_webhook(error) in self._webhooks


def _cause_of(error: ApiError) -> Cause | None:
    namespace = missing_namespace(error)
    return Cause("namespace", namespace) if namespace else None


def _warned(change: ObjectChange, replicas: Replicas) -> ObjectChange:
    return replace(
        change, warning=replicas.warning or change.warning, warning_hint=replicas.hint or change.warning_hint
    )


def _noticed(change: ObjectChange, live: Json | None, result: Json) -> ObjectChange:
    """The change with its notices: pods are not replaced, the object is being deleted."""
    notices = []
    if warning := warning_before(change.ref.kind, change.ref.name, live, result):
        text, held = warning
        notices.append(Notice(text, held.hint, held.field))
    if live is not None and is_being_deleted(live):
        error = told(change.ref, live)
        notices.append(
            Notice(
                f"{error.message} A deploy waits for its end, and is refused if it does not come.", error.hint
            )
        )
    return replace(change, notices=tuple(notices)) if notices else change


def _without_ours(result: Json, live: Json | None) -> list[Json]:
    """`managedFields` as they were before the dry run, which adds our entry to its result."""
    if live:
        return live["metadata"].get("managedFields") or []
    managed = result["metadata"].get("managedFields") or []
    return [
        entry for entry in managed if entry.get("manager") != "slipway" or entry.get("operation") != "Apply"
    ]


def _webhooks_of(body: Json) -> list[str]:
    return [str(hook.get("name")) for hook in body.get("webhooks") or [] if isinstance(hook, dict)]
