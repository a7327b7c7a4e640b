"""What the tests of the engine's pure parts share: a digest, a cluster's kinds, short ways to read and render."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path
from typing import Any

from engine.manifests.documents import Document, read_documents
from engine.manifests.masking import Digests
from engine.manifests.render import ImagePin, Rendered, Variable, built_in_variables, render
from engine.manifests.settling import USUAL, Settling
from engine.types import Json

REVISION = "63ec5c0d1f2a3b4c5d6e7f8091a2b3c4d5e6f708"
KUBECTL = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nowhere")) / "kubectl"
DATA = Path(__file__).parents[3] / "shared" / "data"
CLUSTER_SCOPED = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "PriorityClass",
    "StorageClass",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
}
UNKNOWN_GROUPS = {"cert-manager.io", "example.com"}
WEB = ImagePin("web", "registry.example.com/shop/web", "63ec5c0", "sha256:" + "ab" * 32)


class SomeKinds:
    """A cluster with the built-in kinds and no definitions."""

    def namespaced(self, group: str, version: str, kind: str) -> bool | None:
        return None if group in UNKNOWN_GROUPS else kind not in CLUSTER_SCOPED


def digest(value: bytes) -> str:
    return hmac.new(b"test key", value, hashlib.sha256).hexdigest()[:16]


def digest_here(value: bytes) -> str:
    return hmac.new(b"key of the environment", value, hashlib.sha256).hexdigest()[:16]


def other_digest(value: bytes) -> str:
    return hmac.new(b"another key", value, hashlib.sha256).hexdigest()[:16]


DIGESTS = Digests(here=digest_here, anywhere=digest)
OTHER_DIGESTS = Digests(here=other_digest, anywhere=other_digest)


def b64(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def read(text: str, file: str = "web.yaml") -> list[Document]:
    return read_documents({file: text.encode()})


def value_of(scalar: str) -> Any:
    """What a scalar becomes, written as the value `v` of a ConfigMap."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  v: {scalar}\n"
    return read(text)[0].body["data"]["v"]


def rendered(
    documents: list[Document],
    *variables: Variable,
    secrets: dict[str, list[Document]] | None = None,
    images: tuple[ImagePin, ...] = (WEB,),
    digested: bool = False,
    settling: Settling = USUAL,
) -> Rendered:
    """Renders for the environment `shop.staging` in the namespace `shop-staging`."""
    built_in = built_in_variables(
        project="shop",
        environment="staging",
        namespace="shop-staging",
        revision=REVISION,
        image_tag="63ec5c0",
        images=images,
    )
    return render(
        documents,
        variables=[*built_in, *variables],
        images=images,
        namespace="shop-staging",
        environment_label="shop.staging",
        secret_documents=secrets or {},
        settling=settling,
        kinds=SomeKinds(),
        digests=DIGESTS if digested else None,
    )


def config_map(**data: Any) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}
