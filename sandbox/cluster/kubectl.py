"""Creates objects on a cluster as a plain `kubectl apply` does, without kubectl.

Client-side apply creates with the field manager `kubectl-client-side-apply` (operation Update) and stores the applied
object in the annotation `kubectl.kubernetes.io/last-applied-configuration`
(kubernetes/kubernetes: staging/src/k8s.io/kubectl/pkg/cmd/apply, pkg/util/apply.go).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed

MANAGER = "kubectl-client-side-apply"
_PATIENCE = 15.0  # seconds
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply_as_kubectl(kubeconfig: Path, manifests: Sequence[Json]) -> list[str]:
    """Creates the objects that do not exist yet, in the given order; returns them as `Kind/name`.

    `manifests`: complete objects, with their namespace. Existing objects are not changed. Raises ApiFailed (unknown kinds
    and refusals), OSError and ValueError for an unusable kubeconfig.
    """
    api = Api.from_kubeconfig(kubeconfig, user_agent="kubectl")
    kinds: dict[str, dict[str, str]] = {}
    made = []
    for manifest in manifests:
        path = _collection(api, kinds, manifest)
        if _patiently(partial(_create, api, path, manifest)):
            made.append(f"{manifest['kind']}/{manifest['metadata']['name']}")
    return made


def _create(api: Api, path: str, manifest: Json) -> bool:
    """Creates the object. Returns False when it exists already."""
    if api.find(f"{path}/{manifest['metadata']['name']}") is not None:
        return False
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    api.request("POST", path, body=as_applied(manifest), query=query)
    return True


def _patiently(work: Callable[[], bool]) -> bool:
    """Repeats `work` after passing errors: a new kind answers 429 until its storage is ready."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except ApiFailed as error:
            if not error.passing or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def as_applied(manifest: Json) -> Json:
    """The object as `kubectl apply` sends it: with the annotation that contains its original form."""
    metadata = manifest["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != LAST_APPLIED}
    written = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    return {
        **manifest,
        "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: _encode(written)}},
    }


def _encode(body: Json) -> str:
    """JSON as Go writes it: sorted keys, no spaces, <, > and & escaped, a newline at the end."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def _collection(api: Api, kinds: dict[str, dict[str, str]], manifest: Json) -> str:
    """The path of the collection that an object belongs to, by discovery (one request per API version)."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if version not in kinds:
        resources = [r for r in api.get(root)["resources"] if "/" not in r["name"]]
        kinds[version] = {
            r["kind"]: ("namespaces/{}/" if r["namespaced"] else "") + r["name"] for r in resources
        }
    if kind not in kinds[version]:
        raise ApiFailed(f"the cluster knows no {kind} in {version}", status=404, reason="NotFound")
    return f"{root}/" + kinds[version][kind].format(manifest["metadata"].get("namespace", ""))
