"""Which images the played nodes hold, and which pods may use them without asking the registry again."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sandbox.node.images import Image, Login, PullError, Reference, Registries, parse_reference


class ImageStore:
    """The images of all nodes. May be used by many threads.

    An image that was pulled with a login is there for pods with the same pull secret only (the kubelet's
    KubeletEnsureSecretPulledImages); others pull it again, and are refused if the registry refuses them.
    """

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._images: dict[tuple[str, str], Image] = {}
        self._users: dict[tuple[str, str], set[str]] = {}  # pull secrets; "" when none was needed
        self._lock = threading.Lock()

    def reachable(self, image: str) -> bool:
        """Whether the image is one that is really pulled (also when its name is no image name: that is found then)."""
        try:
            return self._registries.reachable(parse_reference(image))
        except PullError:
            return True

    def present(self, node: str, reference: Reference, logins: Sequence[Login]) -> Image | None:
        """The image on that node, if a pod with these logins may use it as it is."""
        key = (node, reference.full)
        with self._lock:
            allowed = self._users.get(key, set()) & {"", *_sources(reference, logins)}
            return self._images.get(key) if allowed else None

    def pull(self, node: str, reference: Reference, logins: Sequence[Login]) -> Image:
        """Asks the registry, whatever the node holds. Raises PullError."""
        image = self._registries.pull(reference, logins)
        key = (node, reference.full)
        with self._lock:
            self._images[key] = image
            self._users.setdefault(key, set()).update(_sources(reference, logins) or {""})
        return image

    def recall(self, node: str, reference: Reference, logins: Sequence[Login]) -> Image:
        """For a container that runs already: its image as well as it can still be known."""
        try:
            return self.present(node, reference, logins) or self.pull(node, reference, logins)
        except PullError:
            return Image("")


def _sources(reference: Reference, logins: Sequence[Login]) -> set[str]:
    return {x.source for x in logins if x.covers(reference)}
