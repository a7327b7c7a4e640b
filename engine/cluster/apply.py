"""Applies objects: one request each (server-side apply), as the field manager `slipway`.

Conflicts are not forced, with two exceptions: the fields of `kubectl apply` and Helm are taken over on the first deploy
(engine/cluster/takeover.py), and changes by people are overwritten where a person agreed to it for that object.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from engine.cluster.autoscaling import Autoscalers
from engine.cluster.client import (
    ACCEPT_METADATA,
    APPLY,
    ApiError,
    Client,
)
from engine.cluster.handover import leave_to_autoscaler
from engine.cluster.ownership import conflicts_of, has_changed
from engine.cluster.parallel import Talk
from engine.cluster.refusals import explain, missing_namespace, silent_webhook
from engine.cluster.resources import ClusterKinds
from engine.cluster.takeover import APPLY_QUERY, give_up_defaults, keeps_changing, take_over
from engine.cluster.terminating import is_being_deleted, told
from engine.cluster.yielding import about_addition, yielding
from engine.errors import SlipwayError
from engine.types import Action, Json, Manifest, ObjectRef, ObjectStatus, Progress

# As a condition: no object has this version, and one that does not exist is created nevertheless.
NO_OBJECT = "1"


class ApplyError(SlipwayError):
    """Some objects could not be applied, or a pre-deploy Job failed. `statuses`: every object so far, failed
    ones included."""

    def __init__(self, message: str, *, statuses: Sequence[ObjectStatus], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.statuses = tuple(statuses)


@dataclass(frozen=True)
class Patience:
    """How long refusals that may pass by themselves are repeated, in seconds."""

    webhook: float = 120.0  # an admission webhook whose pods are starting
    kind: float = 15.0  # a kind whose definition was applied a moment ago
    pause: float = 1.0  # between two tries
    deletion: float = 60.0  # an object that is being deleted
    takeover_tries: int = 4  # an object that another program changes while it is taken over
    changes: int = 12  # an object whose status changes again and again while it is applied


@dataclass(frozen=True)
class Applied:
    """The result of applying one object."""

    manifest: Manifest
    action: Action
    generation: int
    uid: str
    took_over: tuple[str, ...] = ()
    handed_over: int | None = None  # the number of replicas that is left to an autoscaler from now on
    yielded: str = ""  # a sentence where a field that the portal added was left out


Before = Mapping[
    ObjectRef, Json
]  # live objects (metadata suffices) by reference; an object that is not in it did not exist


class Applier:
    """Applies manifests to one cluster. `before`: the objects that existed; without it, every existing object counts as
    changed."""

    def __init__(
        self,
        client: Client,
        kinds: ClusterKinds,
        *,
        before: Before | None,
        patience: Patience = Patience(),
        overwrite: Collection[ObjectRef] = (),
        fresh_kinds: Collection[tuple[str, str]] = (),
        autoscalers: Autoscalers = MappingProxyType({}),
    ) -> None:
        """`overwrite`: objects on which changes by people may be overwritten. `fresh_kinds`: group and kind of
        custom resources whose definition is new, so that the server may not know them for a moment. `autoscalers`:
        those whose workloads keep their number of replicas."""
        self._client = client
        self._kinds = kinds
        self._before = before
        self._patience = patience
        self._overwrite = overwrite
        self._fresh_kinds = fresh_kinds
        self._autoscalers = autoscalers

    def apply(self, manifest: Manifest, talk: Talk) -> Applied:
        """Apply one object. Raises ApiError, UnknownKind, or Stopped when called off while it waits."""
        path = self._kinds.path_of(manifest)
        manifest, handed_over = leave_to_autoscaler(
            self._client, path, manifest, self._autoscalers.get(manifest.ref),
            tries=self._patience.changes, confirm=talk.confirm,
        )  # fmt: skip
        applied, words = yielding(manifest, lambda asked: self._apply(path, asked, talk))
        return replace(applied, handed_over=handed_over, yielded=words)

    def _apply(self, path: str, manifest: Manifest, talk: Talk) -> Applied:
        before = self._before.get(manifest.ref) if self._before is not None else None
        took_over = self._take_over(path, manifest, before, talk) if before else ()
        try:
            return self._giving_up_defaults(path, manifest, before, took_over, talk)
        except ApiError as error:
            conflicts = conflicts_of(error.causes)
            if not conflicts:
                raise
            if all(conflict.by_predecessor for conflict in conflicts):
                live = self._metadata(path)
                talk.confirm()
                took_over = self._take_over(path, manifest, live, talk)
                if took_over:
                    return self._giving_up_defaults(path, manifest, before, took_over, talk)
            agreed = manifest.ref in self._overwrite and not about_addition(manifest, conflicts)
            if all(conflict.by_handover or (agreed and conflict.by_person) for conflict in conflicts):
                return self._once(path, manifest, before, took_over, talk, force=True)
            raise

    def _giving_up_defaults(
        self, path: str, manifest: Manifest, before: Json | None, took_over: tuple[str, ...], talk: Talk
    ) -> Applied:
        """Apply; a second time where defaults of the server stand in the way that the manifest makes obsolete."""
        try:
            return self._patiently(path, manifest, before, took_over, talk)
        except ApiError as error:
            tries, client = self._patience.takeover_tries, self._client
            if error.status != 422:
                raise
            if not give_up_defaults(client, path, manifest, tries=tries, confirm=talk.confirm):
                raise
        return self._patiently(path, manifest, before, took_over, talk)

    def _patiently(
        self, path: str, manifest: Manifest, before: Json | None, took_over: tuple[str, ...], talk: Talk
    ) -> Applied:
        started = time.monotonic()
        told = False
        while True:
            try:
                return self._once(path, manifest, before, took_over, talk)
            except ApiError as error:
                budget = self._patience_for(error, manifest)
                if time.monotonic() - started + self._patience.pause > budget:
                    raise
                if not told:
                    talk.line(f"{explain(error, manifest).sentence} Trying again for up to {budget:.0f} s.")
                    told = True
            talk.pause(self._patience.pause)

    def _patience_for(self, error: ApiError, manifest: Manifest) -> float:
        if silent_webhook(error):
            return self._patience.webhook
        fresh = (manifest.ref.group, manifest.ref.kind) in self._fresh_kinds
        missing = error.status == 404 and not missing_namespace(error)
        return self._patience.kind if fresh and missing else 0.0

    def _once(
        self,
        path: str,
        manifest: Manifest,
        before: Json | None,
        took_over: tuple[str, ...],
        talk: Talk,
        force: bool = False,
    ) -> Applied:
        """Apply, under the condition that the object still is as it was planned on. Where it changed meanwhile (a controller
        wrote its status, or another worker has the deploy), the observer confirms that this work may still write."""
        version = self._planned_on(path, before, took_over, talk)
        for _ in range(self._patience.changes):
            try:
                return self._send(path, manifest, before, took_over, version, force)
            except ApiError as error:
                if not has_changed(error):
                    raise
            version = self._version(path)  # read first: what is written after the confirmation changes it
            talk.confirm()
        raise keeps_changing(manifest)

    def _planned_on(self, path: str, before: Json | None, took_over: tuple[str, ...], talk: Talk) -> str:
        """The version of the object, as it was read before this work was last confirmed."""
        if took_over or self._before is None:
            version = self._version(path)
            talk.confirm()
            return version
        return str(before["metadata"]["resourceVersion"]) if before else NO_OBJECT

    def _version(self, path: str) -> str:
        try:
            return str(self._metadata(path)["metadata"]["resourceVersion"])
        except ApiError as error:
            if error.status == 404:
                return NO_OBJECT
            raise

    def _send(
        self,
        path: str,
        manifest: Manifest,
        before: Json | None,
        took_over: tuple[str, ...],
        version: str,
        force: bool,
    ) -> Applied:
        query = {**APPLY_QUERY, "force": "true"} if force else APPLY_QUERY
        body = {**manifest.body, "metadata": {**manifest.body["metadata"], "resourceVersion": version}}
        answer = self._client.send(
            "PATCH", path, query=query, body=body, content_type=APPLY, accept=ACCEPT_METADATA
        )
        after = answer.body["metadata"]
        if is_being_deleted(answer.body):  # its deletion began after the check: it goes, with our changes
            raise told(manifest.ref, answer.body)
        action = Action.CREATE if answer.status == 201 else self._action(before, after)
        return Applied(manifest, action, int(after.get("generation") or 0), after.get("uid", ""), took_over)

    def _action(self, before: Json | None, after: Json) -> Action:
        """The API server leaves the resource version alone when nothing changes. Where a controller wrote its status between
        our two looks, the generation counts, with the labels and annotations that it leaves out."""
        if before is None:
            return Action.CHANGE
        old = before["metadata"]
        same = old.get("resourceVersion") == after.get("resourceVersion")
        if not same and old.get("generation") and old["generation"] == after.get("generation"):
            same = _written(old) == _written(after)
        return Action.UNCHANGED if same else Action.CHANGE

    def _metadata(self, path: str) -> Json:
        return self._client.request("GET", path, accept=ACCEPT_METADATA)

    def _take_over(self, path: str, manifest: Manifest, live: Json, talk: Talk) -> tuple[str, ...]:
        tries = self._patience.takeover_tries
        return take_over(self._client, path, manifest, live, tries=tries, confirm=talk.confirm)


def _written(metadata: Json) -> tuple[Json, Json]:
    """Labels and annotations, without the revision that the controller of Deployments counts there."""
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != "deployment.kubernetes.io/revision"
    }
    return metadata.get("labels") or {}, annotations


def status_of(applied: Applied) -> ObjectStatus:
    """The first status of an applied object, in words."""
    words = {Action.CREATE: "created", Action.CHANGE: "changed", Action.UNCHANGED: "unchanged"}[
        applied.action
    ]
    if applied.took_over:
        words += f", fields taken over from {' and '.join(applied.took_over)}"
    if applied.handed_over is not None:
        words += f", its {applied.handed_over} replicas handed over to the autoscaler"
    if applied.yielded:
        words += f"; {applied.yielded}"
    return ObjectStatus(applied.manifest.ref, Progress.APPLIED, applied.action, words)


def failed_status(manifest: Manifest, error: SlipwayError) -> ObjectStatus:
    """The status of an object that was refused."""
    if isinstance(error, ApiError):
        refusal = explain(error, manifest)
        return ObjectStatus(manifest.ref, Progress.FAILED, None, refusal.sentence, refusal.hint)
    return ObjectStatus(manifest.ref, Progress.FAILED, None, error.message, error.hint)
