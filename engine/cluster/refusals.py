"""Explains refusals of the API server: the reason in plain words, and a hint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.cluster.client import MESSAGE_LIMIT, ApiError
from engine.cluster.ownership import FieldConflict, conflicts_of
from engine.cluster.server_words import Told, missing_rights, told
from engine.types import Manifest

_UNKNOWN_FIELD = re.compile(r'unknown field "([^"]+)"|\.([\w.\[\]"=/-]+): field not declared in schema')
_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"')
_NO_SERVICE = re.compile(r'no endpoints available for service "([^"]+)"')
_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request: (.*)', re.DOTALL)
_NO_DRY_RUN = re.compile(r'admission webhook "([^"]+)" does not support dry run')
_NO_NAMESPACE = re.compile(r'namespaces "([^"]+)" not found')
_MOST_SLIPS = 8  # of one object; further ones are only counted
_RECIPES = {
    "Deployment": "Give the Deployment a new name, or delete it first (its pods stop meanwhile).",
    "DaemonSet": "Give the DaemonSet a new name, or delete it first (its pods stop meanwhile).",
    "StatefulSet": (
        "Delete the StatefulSet without its pods (kubectl delete --cascade=orphan) and deploy again; "
        "volumes keep their old size."
    ),
    "Job": (
        "A finished Job cannot be changed: mark it with slipway.dev/phase: predeploy (each deploy then gets a Job "
        "of its own), or delete it first."
    ),
    "Service": "Delete the Service first (its address changes), or give it a new name.",
    "PersistentVolumeClaim": "A claim can grow but not change otherwise: make a new one and copy the data.",
    "Secret": "The Secret is immutable: give it a new name.",
    "ConfigMap": "The ConfigMap is immutable: give it a new name.",
    "RoleBinding": "A binding's roleRef cannot change: delete the binding first, or give it a new name.",
    "ClusterRoleBinding": "A binding's roleRef cannot change: delete the binding first, or give it a new name.",
}


@dataclass(frozen=True)
class Refusal:
    """The reason of a refusal. `fields`: the paths at fault, where the server names them."""

    sentence: str
    hint: str = ""
    fields: tuple[str, ...] = ()
    conflicts: tuple[FieldConflict, ...] = ()


def explain(error: ApiError, manifest: Manifest) -> Refusal:
    """The refusal in words. The values of a Secret that the server quotes are left out."""
    name = f"{manifest.ref.kind} {manifest.ref.name}"
    if conflicts := conflicts_of(error.causes):
        return _explain_conflicts(name, conflicts)
    if error.status == 404:
        return _explain_missing(name, error, manifest)
    if error.status == 403:
        return _explain_forbidden(name, error)
    if error.status in (400, 422, 500):
        return _explain_invalid(name, error, manifest)
    return Refusal(f"{name}: {error.message}", error.hint)


def unknown_fields(error: ApiError) -> tuple[str, ...]:
    """The fields that the schema does not have, of strict validation (400) or of server-side apply itself
    (500)."""
    return tuple(first or second for first, second in _UNKNOWN_FIELD.findall(error.words))


def silent_webhook(error: ApiError) -> str:
    """The webhook that could not be called, or empty. Such a refusal may pass by itself: its pods may be
    starting."""
    match = _WEBHOOK.search(error.message) if error.status in (500, 503, 504) else None
    return match[1] if match else ""


def is_no_answer(error: ApiError) -> bool:
    """Whether the cluster itself, not the object, is the problem; a webhook that is silent is the object's."""
    return error.status in (0, 401, 429, 502, 503, 504) and not silent_webhook(error)


def lacks_dry_run(error: ApiError) -> str:
    """The webhook that refuses dry runs, or empty: the object cannot be checked beforehand."""
    match = _NO_DRY_RUN.search(error.message)
    return match[1] if match else ""


def missing_namespace(error: ApiError) -> str:
    """The namespace that does not exist, or empty."""
    match = _NO_NAMESPACE.search(error.message) if error.status == 404 else None
    return match[1] if match else ""


def _explain_conflicts(name: str, conflicts: tuple[FieldConflict, ...]) -> Refusal:
    shown = "; ".join(sorted({str(conflict) for conflict in conflicts})[:5])
    more = f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
    sentence = f"{name}: the manifest changes fields that another manager has set: {shown}{more}."
    fields = tuple(sorted({conflict.field for conflict in conflicts}))
    if any(conflict.by_autoscaler for conflict in conflicts):
        hint = (
            "Remove spec.replicas from the manifest, so that the autoscaler alone decides. If there is none any more, its "
            "last number stays until somebody sets the manifest's by kubectl scale."
        )
    elif all(conflict.by_person for conflict in conflicts):
        hint = "Bring that change into the manifest, or agree to overwrite it, and deploy again."
    else:
        hint = "Remove the field from the manifest if that manager is to decide it, or stop it from setting the field."
    return Refusal(sentence, hint, fields, conflicts)


def _explain_missing(name: str, error: ApiError, manifest: Manifest) -> Refusal:
    if namespace := missing_namespace(error):
        return Refusal(
            f"{name}: the namespace {namespace} does not exist.",
            "Create it, or add a Namespace object to the config directory.",
        )
    return Refusal(
        f"{name}: the cluster does not serve {manifest.ref.kind} of {manifest.api_version}.",
        "Check the apiVersion, or install what defines this kind first.",
    )


def _explain_forbidden(name: str, error: ApiError) -> Refusal:
    text = error.message
    if rights := missing_rights(error.words):
        return _explain_escalation(name, rights)
    if match := _DENIED.search(text):
        return Refusal(f"{name}: refused by the admission webhook {match[1]}: {match[2]}")
    if "exceeded quota" in text:
        return Refusal(
            f"{name}: {_after_forbidden(text)}", "Raise the ResourceQuota of the namespace, or ask for less."
        )
    if "being terminated" in text:
        return Refusal(f"{name}: its namespace is being deleted.", "Deploy again when it is gone.")
    return Refusal(
        f"{name}: the cluster's account may not do this: {text}",
        "Give the account of the cluster's kubeconfig this right (a Role or ClusterRole with a binding).",
    )


def _explain_escalation(name: str, rights: tuple[str, ...]) -> Refusal:
    """All missing rights, however many: without the last one the next try would fail again."""
    return Refusal(
        f"{name}: the cluster's account may not grant rights that it does not have itself: {'; '.join(rights)}.",
        "Give the account of the cluster's kubeconfig these rights, or the verb escalate on roles (bind, for a "
        "binding), or let somebody apply this object who has them.",
    )


def _after_forbidden(text: str) -> str:
    return text.partition(" is forbidden: ")[2] or text


def _explain_invalid(name: str, error: ApiError, manifest: Manifest) -> Refusal:
    if fields := unknown_fields(error):
        listed = ", ".join(fields)
        return Refusal(
            f"{name}: unknown field {listed} ({manifest.source}).", "Check spelling and indentation.", fields
        )
    if match := _DENIED.search(error.message):
        return Refusal(f"{name}: refused by the admission webhook {match[1]}: {match[2]}")
    if webhook := silent_webhook(error):
        return _explain_silent(name, webhook, error)
    if slips := _slips(error):
        return _explain_slips(name, slips, manifest)
    fields = tuple(dict.fromkeys(cause.field for cause in error.causes if cause.field))
    if any(
        "immutable" in cause.message or "may not change once set" in cause.message for cause in error.causes
    ):
        hint = _RECIPES.get(manifest.ref.kind, "Give the object a new name, or delete it first.")
        changed = ", ".join(
            c.field for c in error.causes if "immutable" in c.message or "may not" in c.message
        )
        return Refusal(f"{name}: {changed} cannot be changed on an existing object.", hint, fields)
    if "updates to statefulset spec" in error.message:
        return Refusal(
            f"{name}: only some fields of a StatefulSet can be changed.", _RECIPES["StatefulSet"], fields
        )
    return Refusal(f"{name}: {_invalid_text(error, manifest)}", error.hint, fields)


def _slips(error: ApiError) -> tuple[Told, ...]:
    """The slips that the table of server words knows; none unless it knows every cause."""
    if not error.causes:
        return told(error.words)
    found = [told(": ".join(part for part in (c.field, c.message) if part)) for c in error.causes]
    return tuple(dict.fromkeys(slip for slips in found for slip in slips)) if all(found) else ()


def _explain_slips(name: str, slips: tuple[Told, ...], manifest: Manifest) -> Refusal:
    shown = "; ".join(slip.sentence for slip in slips[:_MOST_SLIPS])
    more = f"; and {len(slips) - _MOST_SLIPS} more" if len(slips) > _MOST_SLIPS else ""
    hint = " ".join(dict.fromkeys(slip.hint for slip in slips))
    fields = tuple(slip.field for slip in slips)
    return Refusal(f"{name}: {shown}{more} ({manifest.source}).", hint, fields)


def _explain_silent(name: str, webhook: str, error: ApiError) -> Refusal:
    service = _NO_SERVICE.search(error.message)
    why = f"its service {service[1]} has no running pod" if service else "it does not answer"
    return Refusal(
        f"{name}: the cluster asks the admission webhook {webhook} first, and {why}.",
        "Look at the pods of the webhook's service: until one runs, the cluster refuses these objects.",
    )


def _invalid_text(error: ApiError, manifest: Manifest) -> str:
    # The server quotes the values that it dislikes.
    if manifest.ref.kind == "Secret" and not manifest.ref.group:
        fields = ", ".join(cause.field for cause in error.causes if cause.field)
        return f"the cluster refuses it: {fields or 'it is not a valid Secret'} ({manifest.source})."
    if error.causes:
        texts = [f"{cause.field}: {cause.message}".removeprefix(": ") for cause in error.causes]
        more = f"; and {len(texts) - _MOST_SLIPS} more" if len(texts) > _MOST_SLIPS else ""
        return "; ".join(text[:MESSAGE_LIMIT] for text in texts[:_MOST_SLIPS]) + more
    return error.message
