"""Tries a token at the registries that it is to open, before it replaces a living one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from adapters.errors import Denied, ExternalError, NotFound
from adapters.registry import Expired
from projects.models import Image, Registry
from registry.faults import REFUSED, SILENT, Fault, of_outside
from registry.models import KnownImage
from registry.pull_secrets import at, prove
from registry.secrets import PullCredential

MANIFEST, SIGN_IN = "manifest", "v2"
MOST_IMAGES = 3  # that one token is tried on


@dataclass(frozen=True)
class Proof:
    """What a registry said of a token. `by`: manifest (an image may be pulled), v2 (it may sign in), or empty; `fault`: why it is
    not proven; `image`: the repository that was refused. It may be another project's, so that no sentence names it."""

    host: str
    by: str = ""
    fault: Fault | None = None
    image: str = ""

    @property
    def is_refused(self) -> bool:
        """The registry answered, and does not let the token pull."""
        return not self.by and self.fault is not None and self.fault.kind == REFUSED

    @property
    def is_silent(self) -> bool:
        """The registry gave no answer."""
        return not self.by and self.fault is not None and self.fault.kind == SILENT


def tried(credential: PullCredential, registry: Registry) -> Proof:
    """Asks the registry for the manifests of known images with the token; without any, or where these are gone, only signs in.
    One image that may be pulled is a proof."""
    by, refusal, refused = "", None, ""
    for known in known_images(registry):
        try:
            prove(credential, known.image, known.reference)
            return Proof(registry.host, MANIFEST)
        except NotFound:
            continue  # the image was removed: this tells nothing about the token
        except Denied as error:
            refusal, refused = refusal or _no_right(error, registry.host), refused or known.image.repository
        except ExternalError as error:
            return Proof(registry.host, fault=of_outside(error))
    if refusal is None:
        try:
            at(credential, registry.endpoint).sign_in()
            by = SIGN_IN
        except ExternalError as error:
            refusal = of_outside(error)
    return Proof(registry.host, by, refusal, refused)


def _no_right(error: Denied, host: str) -> Fault:
    if isinstance(error, Expired):
        return of_outside(error)
    text = f"No right to pull: {host} does not let the token pull an image that deploys found there."
    return Fault(text, error.hint, REFUSED)


def known_images(registry: Registry) -> list[KnownImage]:
    """Images that are known to be in a registry, the newest first."""
    rows = KnownImage.objects.filter(
        image__registry=registry, image__archived_at=None, image__project__archived_at=None
    ).select_related("image__registry")
    return list(rows.order_by("-noted_at")[:MOST_IMAGES])


@transaction.atomic
def note_images(found: Sequence[tuple[Image, str]]) -> None:
    """Remembers images (with digest or tag) that a deploy found in their registry."""
    for image, reference in found:
        KnownImage.objects.update_or_create(
            image=image, defaults={"reference": reference[:140], "noted_at": timezone.now()}
        )
