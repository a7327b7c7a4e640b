"""Which path and method means what, and what goes back. Raises Refused wherever the API says no."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.types import Json
from sandbox.kubernetes import decoding, discovery, kubelet, patching, subresources
from sandbox.kubernetes.access import Access, Act, act_on
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.openapi import OpenApi
from sandbox.kubernetes.operations import Deletion, Operations
from sandbox.kubernetes.refusals import (
    Refused,
    bad_request,
    expired,
    invalid,
    no_such_path,
    too_large_version,
    unsupported,
    wrong_method,
)
from sandbox.kubernetes.rendering import listed, renderer
from sandbox.kubernetes.requests import Answer, Request, form_of, json_answer, text_answer
from sandbox.kubernetes.selectors import field_test, label_test
from sandbox.kubernetes.store import Stored, encode
from sandbox.kubernetes.watching import Watch, Watches

_HEALTH = (["healthz"], ["livez"], ["readyz"])
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WATCH_SECONDS = 1800.0
_POLICIES = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True)
class Target:
    """What a path names: a kind, in a namespace or all, one object of it or none, a part of that."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass
class Routes:
    """Answers requests."""

    operations: Operations
    watches: Watches
    access: Access
    openapi: OpenApi

    async def answer(self, request: Request) -> Answer:
        """The answer to a request of somebody who is known."""
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] not in (["api"], ["apis"]) or len(parts) < (3 if parts[0] == "api" else 4):
            return self._outside(request, parts)
        target = self._target(parts)
        if target.subresource and target.subresource not in target.kind.subresources:
            raise no_such_path()
        self._check_method(request, target)
        self.access.require(request.user, self._act(request, target))
        if target.subresource and (
            special := subresources.SPECIAL.get((target.kind.plural, target.subresource))
        ):
            return special(request, target.namespace, target.name, self.operations, self.access)
        if (target.kind.plural, target.subresource) == ("pods", "log"):
            pod = self.operations.get(target.kind, target.namespace, target.name).body
            return await kubelet.log(request, pod, self.operations)
        return self._resource(request, target)

    # --- paths -----------------------------------------------------------------------------------------------------

    def _outside(self, request: Request, parts: list[str]) -> Answer:
        """Paths that are no objects."""
        self.access.require(request.user, Act(_VERBS.get(request.method, "get"), path=request.path))
        if parts in _HEALTH or (parts and [parts[0]] in _HEALTH):
            return text_answer("ok")
        if parts == ["version"]:
            return json_answer(discovery.version())
        if parts[:1] == ["openapi"]:
            return self.openapi.answer(parts)
        if not parts:
            return json_answer(
                {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
            )
        found = (
            discovery.answer(request, parts, self.operations.kinds) if parts[0] in ("api", "apis") else None
        )
        return found or discovery.page_not_found()

    def _target(self, parts: list[str]) -> Target:
        group, version, rest = (
            ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        )
        if group not in self.operations.kinds.groups():
            raise NoSuchGroup
        namespace = ""
        if (
            rest[0] == "namespaces"
            and len(rest) > 2
            and not (group == "" and rest[2] in ("status", "finalize"))
        ):
            namespace, rest = rest[1], rest[2:]
        kind = self.operations.kinds.find(group, version, rest[0])
        if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
            raise no_such_path()
        return Target(kind, namespace, *rest[1:])

    def _check_method(self, request: Request, target: Target) -> None:
        if request.method not in _VERBS:
            raise wrong_method()
        whole = request.method in ("GET", "DELETE", "POST")
        single = request.method != "POST" or target.subresource in ("token", "eviction", "binding")
        if not (single if target.name else whole):
            raise wrong_method()
        if not target.name and request.method == "POST" and target.kind.namespaced and not target.namespace:
            raise wrong_method()
        if target.kind.verbs == ("create",) and request.method != "POST":
            raise wrong_method()

    def _act(self, request: Request, target: Target) -> Act:
        verb = _VERBS[request.method]
        if not target.name and verb in ("get", "delete"):
            watching = verb == "get" and request.flag("watch")
            verb = "watch" if watching else "list" if verb == "get" else "deletecollection"
        namespace = target.name if target.kind.key == ("", "namespaces") else target.namespace
        return act_on(target.kind, verb, namespace, target.name, target.subresource)

    # --- objects ---------------------------------------------------------------------------------------------------

    def _resource(self, request: Request, target: Target) -> Answer:
        if request.method == "GET":
            if not target.name:
                return self._watch(request, target) if request.flag("watch") else self._list(request, target)
            form = form_of(request)
            stored = self.operations.get(target.kind, target.namespace, target.name)
            return self._one(request, target, stored, form)
        form = form_of(request)
        if request.method == "DELETE":
            return self._delete(request, target) if target.name else self._delete_all(request, target, form)
        dry_run = _check_options(request)
        if request.method == "POST":
            return self._create(request, target, form, dry_run=dry_run)
        return self._change(request, target, form, dry_run=dry_run)

    def _create(self, request: Request, target: Target, form: str, *, dry_run: bool) -> Answer:
        kind = target.kind
        body, problems = decoding.read_object(request.body, request.content_type, kind)
        warnings = _judge(problems, request, kind)
        if kind.verbs == ("create",):
            return subresources.review(request, kind, body, self.access)
        manager = Manager(request.manager)
        stored = self.operations.create(kind, target.namespace, body, manager=manager, dry_run=dry_run)
        return self._one(request, target, stored, form, 201, warnings)

    def _change(self, request: Request, target: Target, form: str, *, dry_run: bool) -> Answer:
        """PUT and PATCH, of an object or of a part of it."""
        kind, where = target.kind, (target.namespace, target.name)
        warnings: list[str] = []
        if request.method == "PATCH" and request.content_type == patching.APPLY:
            stored, new, warnings = self._apply(request, target, dry_run=dry_run)
            return self._one(request, target, stored, form, 201 if new else 200, warnings)
        if request.method == "PUT":
            change, problems = self._replacement(request, target)
            warnings = _judge(problems, request, kind)
        else:
            change = patching.reader(request, kind, target.subresource, warnings)
        manager = Manager(request.manager, "Update", target.subresource)
        stored = self.operations.update(kind, *where, change, manager=manager, dry_run=dry_run)
        return self._one(request, target, stored, form, 200, warnings)

    def _replacement(self, request: Request, target: Target) -> tuple[Callable[[Json], Json], list[str]]:
        if target.subresource == "scale":
            return subresources.scale_replacement(request, target.kind, target.name), []
        self.operations.get(target.kind, target.namespace, target.name)
        body, problems = decoding.read_object(request.body, request.content_type, target.kind)
        return lambda _old: body, problems

    def _apply(self, request: Request, target: Target, *, dry_run: bool) -> tuple[Stored, bool, list[str]]:
        kind = target.kind
        config = patching.configuration(request, kind, target.namespace, target.name)
        stored, new = self.operations.apply(
            kind,
            target.namespace,
            target.name,
            config,
            manager=Manager(request.query["fieldManager"], "Apply", target.subresource),
            force=request.flag("force"),
            dry_run=dry_run,
        )
        return stored, new, []

    def _one(
        self,
        request: Request,
        target: Target,
        stored: Stored,
        form: str,
        status: int = 200,
        warnings: Sequence[str] = (),
    ) -> Answer:
        if target.subresource == "scale":
            return json_answer(subresources.scale_of(target.kind, stored.body), status)
        include = request.query.get("includeObject", "Metadata")
        data = renderer(target.kind, form, include=include)(stored)
        headers = {"Warning": ", ".join(f"299 - {json.dumps(w)}" for w in warnings)} if warnings else {}
        return Answer(status, data + b"\n", headers=headers)

    # --- delete ----------------------------------------------------------------------------------------------------

    def _delete(self, request: Request, target: Target) -> Answer:
        kind = target.kind
        stored, gone = self.operations.delete(kind, target.namespace, target.name, _deletion(request))
        if not gone or (
            kind.group == "" and kind.kind in ("Pod", "Service", "ServiceAccount", "PersistentVolumeClaim")
        ):
            return Answer(200, stored.data + b"\n")
        about = {
            "name": target.name,
            "group": kind.group,
            "kind": kind.plural,
            "uid": stored.body["metadata"]["uid"],
        }
        details = {k: v for k, v in about.items() if v}
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return json_answer(body)

    def _delete_all(self, request: Request, target: Target, form: str) -> Answer:
        how = _deletion(request)
        found = self._selected(request, target)
        for stored in found:
            self.operations.delete(target.kind, stored.key[1], stored.key[2], how)
        metadata = {"resourceVersion": str(self.operations.store.version)}
        return Answer(200, listed(target.kind, found, metadata, form, "Metadata"))

    # --- lists and watches -----------------------------------------------------------------------------------------

    def _matcher(self, request: Request, target: Target) -> Callable[[Json], bool]:
        labels = label_test(request.query.get("labelSelector", ""))
        fields = field_test(request.query.get("fieldSelector", ""), target.kind)
        if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
            return lambda body: True
        return lambda body: labels(body["metadata"].get("labels") or {}) and fields(body)

    def _selected(self, request: Request, target: Target) -> list[Stored]:
        matches = self._matcher(request, target)
        return [s for s in self.operations.store.all(target.kind.key, target.namespace) if matches(s.body)]

    def _version(self, request: Request) -> int | None:
        """The version that a list or watch begins with; None for none. Raises Refused (400, 504)."""
        text = request.query.get("resourceVersion", "")
        if text in ("", "0"):
            return None
        if not text.isdecimal():
            words = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
            if request.flag("watch"):
                raise Refused(500, "", f"resourceVersion: {words}")
            raise bad_request(f"invalid resource version: resourceVersion: {words}")
        if int(text) > self.operations.store.version and not request.flag("watch"):
            raise too_large_version(int(text), self.operations.store.version)
        return int(text)

    def _list(self, request: Request, target: Target) -> Answer:
        limit = request.number("limit") or 0
        form = form_of(request)
        self._version(request)
        found = self._selected(request, target)
        metadata: Json = {"resourceVersion": str(self.operations.store.version)}
        if token := request.query.get("continue"):
            start, version = _read_token(token)
            if version < self.operations.store.oldest(target.kind.key):
                raise expired(version, self.operations.store.oldest(target.kind.key))
            metadata["resourceVersion"] = str(version)
            found = [s for s in found if list(s.key[1:]) > start]
        if limit and len(found) > limit:
            metadata["continue"] = _token(found[limit - 1], metadata["resourceVersion"])
            if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        include = request.query.get("includeObject", "Metadata")
        return Answer(200, listed(target.kind, found, metadata, form, include) + b"\n")

    def _watch(self, request: Request, target: Target) -> Answer:
        form = form_of(request)
        since = self._version(request)
        include = request.query.get("includeObject", "Metadata")
        watch = Watch(
            kind=target.kind,
            namespace=target.namespace,
            matches=self._matcher(request, target),
            render=renderer(target.kind, form, include=include, watch=True),
            bookmarks=request.flag("allowWatchBookmarks"),
        )
        seconds = float(request.number("timeoutSeconds") or _WATCH_SECONDS)
        initial = request.flag("sendInitialEvents")
        since = None if initial else since
        return Answer(stream=self.watches.follow(watch, since, initial=initial, seconds=seconds))


class NoSuchGroup(Exception):
    """The path names a group that is not served: the real server answers with plain text."""


def _judge(problems: list[str], request: Request, kind: Kind) -> list[str]:
    """The warnings that problems of validation become; Raises Refused (400) where it is to be strict."""
    if request.query.get("fieldValidation") == "Strict" and problems:
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            f"strict decoding error: {', '.join(problems)}"
        )
    return [] if request.query.get("fieldValidation") == "Ignore" else problems


def _check_options(request: Request) -> bool:
    """Whether it is a dry run. Raises Refused (422) for options that do not exist or do not fit."""
    name = {
        "POST": "CreateOptions",
        "PUT": "UpdateOptions",
        "PATCH": "PatchOptions",
        "DELETE": "DeleteOptions",
    }
    causes = []
    query, applying = request.query, request.content_type == patching.APPLY
    if query.get("dryRun", "All") not in ("All", ""):
        causes.append(unsupported("dryRun", [query["dryRun"]], ["All"]))
    if query.get("fieldValidation", "") not in ("", "Ignore", "Strict", "Warn"):
        causes.append(
            unsupported("fieldValidation", query["fieldValidation"], ["", "Ignore", "Strict", "Warn"])
        )
    if request.method == "PATCH" and applying and not query.get("fieldManager"):
        causes.append(("fieldManager", "FieldValueRequired", "Required value: is required for apply patch"))
    if request.method == "PATCH" and not applying and "force" in query:
        causes.append(("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch"))
    if causes:
        raise invalid(name[request.method], "meta.k8s.io", "", causes)
    return query.get("dryRun") == "All"


def _deletion(request: Request) -> Deletion:
    """How to delete, from the body (DeleteOptions) and the query."""
    options: Json = {}
    if request.body:
        try:
            options, _ = decoding.parse(request.body, request.content_type)
        except ValueError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(options, dict):
        raise bad_request("couldn't get version/kind; json parse error")
    policy = request.query.get("propagationPolicy") or options.get("propagationPolicy") or ""
    if policy and policy not in _POLICIES:
        cause = unsupported("propagationPolicy", policy, [*_POLICIES, "nil"])
        raise invalid("DeleteOptions", "meta.k8s.io", "", [cause])
    if options.get("orphanDependents") or request.flag("orphanDependents"):
        policy = "Orphan"
    grace = request.number("gracePeriodSeconds")
    given = options.get("preconditions") or {}
    return Deletion(
        propagation=policy,
        grace=options.get("gracePeriodSeconds") if grace is None else grace,
        uid=given.get("uid") or "",
        version=given.get("resourceVersion") or "",
        dry_run=_check_options(request) or options.get("dryRun") == ["All"],
    )


def _token(last: Stored, version: str) -> str:
    return base64.urlsafe_b64encode(encode([list(last.key[1:]), int(version)])).decode()


def _read_token(token: str) -> tuple[list[str], int]:
    try:
        start, version = json.loads(base64.urlsafe_b64decode(token))
        return list(start), int(version)
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
