"""From a container's specification to one that may start: its image pulled, what its environment names found.

Words of states and events are those of a kubelet 1.37 (pkg/kubelet/images, pkg/kubelet/kuberuntime) and containerd.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from functools import partial

from sandbox.node.attendant import Attendant, Tools
from sandbox.node.clock import go_duration
from sandbox.node.images import Image, PullError, Reference, parse_reference
from sandbox.node.loop import Life
from sandbox.node.pods import Container, Pod

BACK_OFF_START, BACK_OFF_MAX = 10.0, 300.0
_RESYNC_SECONDS = 12.0  # a kubelet looks at a pod that is not well again about that often
_NOTICE_SECONDS = 0.3  # from the event of a failure to the state that shows it
_LATE_SECONDS = 3.0  # by which the second try comes later than its pause says


class Preparation(Attendant):
    """Prepares one container."""

    def __init__(self, pod: Pod, tools: Tools, container: Container) -> None:
        super().__init__(pod, tools)
        self.container = container

    def pull(self) -> Generator[float, None, Image]:
        """Until the image is on the node: tried again with growing pauses, each time with the secrets as they are.

        The state goes to and fro: `ErrImagePull` with the cause until the next try, `ImagePullBackOff` from then on until
        the kubelet looks again.
        """
        pause, failure = BACK_OFF_START, None
        while True:
            if failure and failure.reason == "ErrImagePull":
                yield from self._tell_back_off(failure)
            try:
                return (yield from self._pull_once())
            except PullError as error:
                again, failure = failure is not None, error
            yield from self._tell_failure(failure, pause / 2 if again else _NOTICE_SECONDS)
            yield self.pace(pause / 2 if again else pause + _LATE_SECONDS)
            pause = min(pause * 2, BACK_OFF_MAX)

    def recall(self) -> Generator[float, None, Image]:
        """The image of a container that an earlier player started, as well as it can still be known."""
        reference = parse_reference(self.container.image)
        logins, _ = yield from self.ask(
            partial(self.tools.references.logins, self.pod.namespace, self.pod.spec)
        )
        return self.tools.images.recall(self.pod.node, reference, logins)

    def configure(self) -> Life:
        """Until everything that the container's environment names is there."""
        look = partial(self.tools.references.missing_for_container, self.pod.namespace, self.container.spec)
        while why := (yield from self.ask(look)):
            self._warn("Failed", f"Error: {why}")
            yield self.pace(_NOTICE_SECONDS)
            self.container.wait("CreateContainerConfigError", why)
            yield from self.report()
            yield self.pace(_RESYNC_SECONDS)

    def _pull_once(self) -> Generator[float, None, Image]:
        """One attempt. Raises PullError."""
        name, spec = self.container.image, self.container.spec
        reference = parse_reference(name)
        policy = spec.get("imagePullPolicy") or ("Always" if reference.tag == "latest" else "IfNotPresent")
        logins, missing = yield from self.ask(
            partial(self.tools.references.logins, self.pod.namespace, self.pod.spec)
        )
        present = self.tools.images.present(self.pod.node, reference, logins)
        if present and policy != "Always":
            message = f'Container image "{name}" already present on machine and can be accessed by the pod'
            self._note("Pulled", message)
            return present
        if policy == "Never":
            message = f'Container image "{name}" is not present with pull policy of Never'
            raise PullError(message, reason="ErrImageNeverPull")
        if missing:
            what = f"Unable to retrieve some image pull secrets ({', '.join(missing)})"
            message = f"{what}; attempting to pull the image may not succeed."
            self.event("Warning", "FailedToRetrieveImagePullSecret", message)
        began = time.monotonic()
        self._note("Pulling", f'Pulling image "{name}"')
        image = self.tools.images.pull(self.pod.node, reference, logins)
        self._tell_pulled(reference, image, time.monotonic() - began)
        return image

    def _tell_pulled(self, reference: Reference, image: Image, seconds: float) -> None:
        took = f"{go_duration(seconds)} ({go_duration(seconds)} including waiting)"
        message = f'Successfully pulled image "{reference.text}" in {took}. Image size: {image.size} bytes.'
        self._note("Pulled", message)

    def _tell_failure(self, failure: PullError, wait: float) -> Life:
        """The events of a failed attempt, then, `wait` seconds later, the state and the events of backing off."""
        name, why = self.container.image, failure.message
        if failure.reason == "ErrImagePull":
            self._warn("Failed", f'Failed to pull image "{name}": {why}')
        else:
            self._warn("InspectFailed" if failure.reason == "InvalidImageName" else failure.reason, why)
        self._warn("Failed", f"Error: {failure.reason}")
        yield self.pace(wait)
        if failure.reason == "ErrImagePull":
            self._note("BackOff", f'Back-off pulling image "{name}"')
            self._warn("Failed", "Error: ImagePullBackOff")
        self.container.wait(failure.reason, why)
        yield from self.report()

    def _tell_back_off(self, failure: PullError) -> Life:
        name, why = self.container.image, failure.message
        self.container.wait("ImagePullBackOff", f'Back-off pulling image "{name}": {failure.reason}: {why}')
        yield from self.report()

    def _note(self, reason: str, message: str) -> None:
        self.event("Normal", reason, message, self.container)

    def _warn(self, reason: str, message: str) -> None:
        self.event("Warning", reason, message, self.container)
