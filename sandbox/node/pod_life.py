"""The life of one pod on a played node, from the moment it is bound to its deletion."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from sandbox.node.attendant import Attendant
from sandbox.node.behaviour import Play
from sandbox.node.container_life import ContainerLife
from sandbox.node.loop import Life
from sandbox.node.pods import Container

_SANDBOX_SECONDS = 0.05  # making the pod's network
_SIDECAR_SECONDS = 0.1  # between two looks whether a sidecar has started
_STOP_SECONDS = 0.2  # a program ends that soon after TERM
_GONE_SECONDS = 0.7  # from the end of its containers to the end of the pod


class PodLife(Attendant):
    """Lives one pod."""

    def begin(self, address: str) -> Life:
        """From being bound to having all containers on their way; for an adopted pod, from where it was."""
        pod = self.pod
        yield from self.report()
        if not pod.sandbox_ready:
            yield from self._mount()
            yield self.pace(_SANDBOX_SECONDS)
            pod.sandbox_ready, pod.ip = True, address if self._answers() else ""
        for container in pod.inits:
            if container.sidecar:
                self._start(container)
                while not container.started:
                    yield self.pace(_SIDECAR_SECONDS)
            elif container.exit_code == 0:
                yield from ContainerLife(pod, self.tools, container).remember()
            else:
                yield from ContainerLife(pod, self.tools, container).live()
                if container.exit_code != 0:  # its restart policy leaves it at that: the pod has failed
                    return
        for container in pod.containers:
            self._start(container)

    def remember(self) -> Life:
        """For a pod that ended under an earlier player: its logs can still be read."""
        for container in self.pod.all_containers:
            yield from ContainerLife(self.pod, self.tools, container).remember()

    def end(self) -> Life:
        """From the deletion's request to the pod being gone."""
        pod = self.pod
        pod.ending = True
        running = [c for c in pod.all_containers if "running" in c.state]
        for container in pod.all_containers:
            self.tools.loop.stop(self._key(container))
        for container in running:
            self.event("Normal", "Killing", f"Stopping container {container.name}", container)
        deaf = []
        for container in running:
            if not (yield from self._hears_term(container)):
                deaf.append(container)
        if running:
            yield self.pace(self._grace() if deaf else _STOP_SECONDS)
        for container in running:
            code = 137 if container in deaf else 0 if container.restart_policy == "Always" else 143
            ContainerLife(pod, self.tools, container).end(Play(exit_code=code))
        yield from self.report()
        yield self.pace(_GONE_SECONDS)
        yield from self.delete()

    def _hears_term(self, container: Container) -> Generator[float, None, bool]:
        """Whether its program ends when it is asked to."""
        play = yield from ContainerLife(self.pod, self.tools, container).play()
        return play is None or play.hears_term

    def _grace(self) -> float:
        """Seconds from TERM to KILL, and for the killing."""
        meta = self.pod.latest["metadata"]
        seconds = meta.get(
            "deletionGracePeriodSeconds", self.pod.spec.get("terminationGracePeriodSeconds", 30)
        )
        return float(seconds) + 1.0

    def _answers(self) -> bool:
        """Whether it gets an address. A pod of images that are out of reach does not: its services have no endpoints.

        Their programs are not known and nothing would answer there. An API server that is to call a webhook of theirs
        then says so at once, instead of dialling into the void.
        """
        return any(self.tools.images.reachable(c.image) for c in self.pod.containers)

    def _mount(self) -> Life:
        """Until all its volumes can be mounted."""
        pause = 0.5
        look = partial(self.tools.references.missing_for_volumes, self.pod.namespace, self.pod.spec)
        while why := (yield from self.ask(look)):
            self.event("Warning", "FailedMount", why)
            yield self.pace(pause)
            pause = min(pause * 2, 122.0)

    def _start(self, container: Container) -> None:
        """Gives the container a life of its own, unless it has ended for good."""
        code = container.exit_code
        if code is None or container.restarts_after(code):
            life = ContainerLife(self.pod, self.tools, container).live()
            self.tools.loop.start(self._key(container), life, self.pod.lock)

    def _key(self, container: Container) -> str:
        return f"{self.pod.uid}/{container.name}"
