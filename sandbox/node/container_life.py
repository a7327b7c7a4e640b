"""The life of one container: prepared, started, ready or not, ended, and started again while its policy says so."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from functools import partial

from sandbox.node.attendant import RETRY_SECONDS, Attendant, Tools
from sandbox.node.behaviour import Play, log_lines, play_for, words_of
from sandbox.node.clock import parse, stamp
from sandbox.node.images import Image
from sandbox.node.known_programs import leave_traces
from sandbox.node.loop import Life
from sandbox.node.pods import Container, Pod
from sandbox.node.preparation import BACK_OFF_MAX, BACK_OFF_START, Preparation

_CREATE_SECONDS = 0.15  # making a container
_PROBE_SECONDS = 0.2  # until the first success of a probe
_LONG = 3600.0


class ContainerLife(Attendant):
    """Lives one container of a pod."""

    def __init__(self, pod: Pod, tools: Tools, container: Container) -> None:
        super().__init__(pod, tools)
        self.container = container
        self._preparation = Preparation(pod, tools, container)

    def live(self) -> Life:
        """Until the container has ended for good; begins where an earlier player left off."""
        container = self.container
        image = (yield from self.remember()) if self.pod.adopted else None
        if image and "running" in container.state:
            yield from self._serve(self._play(image))
        elif container.exit_code is None and not container.last_state:
            yield from self._run()
        while (code := container.exit_code) is None or container.restarts_after(code):
            yield from self._back_off()
            yield from self._run()

    def _run(self) -> Life:
        """One run, from the image to the end."""
        container = self.container
        image = yield from self._preparation.pull()
        yield from self._preparation.configure()
        play = self._play(image)
        self._note("Created", "Container created")
        yield self.pace(_CREATE_SECONDS)
        if container.exit_code is not None or container.last_state:
            container.restarts += 1
        container.keep_last_state()
        container.image_id = image.identity
        container.container_id = f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        if play.reason == "StartError":
            yield from self._cannot_start(play)
            return
        container.state = {"running": {"startedAt": stamp()}}
        self.tools.logs.begin(self.pod.uid, container.name, self._lines(image))
        self._note("Started", "Container started")
        yield from self._serve(play)

    def remember(self) -> Generator[float, None, Image | None]:
        """For a container that an earlier player played: writes its logs again. Returns its image, if it ever ran."""
        container, uid = self.container, self.pod.uid
        states = (container.last_state, container.state)
        runs = [s for s in states if "running" in s or "terminated" in s]
        if not runs:
            return None
        image = yield from self._preparation.recall()
        for run in runs:
            when = parse((run.get("running") or run["terminated"])["startedAt"])
            self.tools.logs.begin(uid, container.name, self._lines(image), when)
            if "terminated" in run:
                self.tools.logs.end(uid, container.name)
        return image

    def _serve(self, play: Play) -> Life:
        """From running to the end of this run; for a container that serves for ever, for ever."""
        slept = 0.0
        if not self.container.ready:
            slept = yield from self._become_ready(play)
        if play.ends_after is None:
            while True:
                yield _LONG
        yield self.pace(max(0.0, play.ends_after - slept))
        if play.probe_kills:
            self._warn("Unhealthy", probe_failure("Liveness", self.container, self.pod.ip))
            self._note("Killing", f"Container {self.container.name} failed liveness probe, will be restarted")
        if play.exit_code == 0:
            yield from self.ask(partial(leave_traces, self.tools.api, self.pod, self.container))
        self.end(play)
        yield from self.report()

    def _become_ready(self, play: Play) -> Generator[float, None, float]:
        """Until its probes pass, or to its end. Returns the seconds that it took at speed 1."""
        container, spec = self.container, self.container.spec
        wait = play.ready_after
        if wait is not None and ("readinessProbe" in spec or "startupProbe" in spec):
            wait = max(wait, _PROBE_SECONDS)
        ends_first = play.ends_after is not None and (wait is None or play.ends_after <= wait)
        container.started = "startupProbe" not in spec
        if wait or ends_first or wait is None:
            yield from self.report()
            wait = yield from self._unready(play.ends_after if ends_first else wait)
        if not ends_first:
            container.ready = container.started = True
            yield from self.report()
        return wait

    def _unready(self, seconds: float | None) -> Generator[float, None, float]:
        """Sleeps (for ever without a number), with the events of a failing probe, ever fewer of them."""
        kind = "Readiness" if self.container.started else "Startup"
        slept, pause = 0.0, 1.0
        while seconds is None or slept + pause < seconds:
            yield self.pace(pause)
            slept += pause
            self._warn("Unhealthy", probe_failure(kind, self.container, self.pod.ip))
            pause = min(pause * 2, 60.0)
        yield self.pace(seconds - slept)
        return seconds

    def _cannot_start(self, play: Play) -> Life:
        """The runtime refuses to start the program."""
        self._warn("Failed", f"Error: {play.message}")
        self.end(play)
        if self.container.restarts_after(play.exit_code):
            self.container.wait("RunContainerError", play.message)
        yield from self.report()

    def _back_off(self) -> Life:
        """Between two runs: nearly none after the first, then longer and longer."""
        container, pod = self.container, self.pod
        yield self.pace(RETRY_SECONDS)
        if container.restarts == 0 and "terminated" in container.state:
            return
        seconds = min(BACK_OFF_MAX, BACK_OFF_START * 2 ** max(0, container.restarts - 1))
        which = f"{pod.name}_{pod.namespace}({pod.uid})"
        again = f"back-off {_short(seconds)} restarting failed container={container.name} pod={which}"
        container.wait("CrashLoopBackOff", again)
        self._warn("BackOff", f"Back-off restarting failed container {container.name} in pod {which}")
        yield from self.report()
        yield self.pace(seconds)

    def end(self, play: Play) -> None:
        """Notes the end of the current run; reporting it is the caller's."""
        container = self.container
        terminated = {
            "exitCode": play.exit_code,
            "reason": play.end_reason,
            "startedAt": container.state.get("running", {}).get("startedAt") or stamp(),
            "finishedAt": stamp(),
            "containerID": container.container_id,
        }
        if play.message:
            terminated["message"] = play.message
        container.state = {"terminated": terminated}
        container.ready = container.started = False
        self.tools.logs.end(self.pod.uid, container.name)

    def _play(self, image: Image) -> Play:
        words = words_of(image.labels, self.pod.annotations, self.container.name)
        return play_for(words, self.container.role)

    def _lines(self, image: Image) -> list[str]:
        """What the program prints at its start."""
        lines = log_lines(image.labels, self.container.name)
        return [f"{self.container.name}: started {self.container.image}"] if lines is None else lines

    def _note(self, reason: str, message: str) -> None:
        self.event("Normal", reason, message, self.container)

    def _warn(self, reason: str, message: str) -> None:
        self.event("Warning", reason, message, self.container)


def probe_failure(kind: str, container: Container, ip: str) -> str:
    """The event's text when a probe fails, by the kind of probe that the container has."""
    probe = container.spec.get(f"{kind.lower()}Probe") or {}
    if "tcpSocket" in probe:
        return f"{kind} probe failed: dial tcp {ip}:{probe['tcpSocket'].get('port')}: connect: connection refused"
    if "exec" in probe:
        return f"{kind} probe failed: "
    return f"{kind} probe failed: HTTP probe failed with statuscode: 503"


def _short(seconds: float) -> str:
    """As Go prints whole seconds: `10s`, `1m20s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
