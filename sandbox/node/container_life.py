"""The life of one container: prepared, started, ready or not, ended, and started again while its policy says so.

The order of states and events, and the times between them, are those of a real kubelet as recorded in
tests/kubelet/recorded.json; tests/sandbox/cluster/test_recorded.py holds this module against them.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator
from functools import partial

from sandbox.node.attendant import Attendant, Tools
from sandbox.node.behaviour import Play, log_lines, play_for, words_of
from sandbox.node.clock import parse, stamp
from sandbox.node.images import Image
from sandbox.node.known_programs import leave_traces
from sandbox.node.loop import Life
from sandbox.node.pods import Container, Pod
from sandbox.node.preparation import BACK_OFF_MAX, BACK_OFF_START, Preparation
from sandbox.node.probes import Probe, killing_probe, probe_of

_CREATE_SECONDS = 0.1  # making a container
_NOTICE_SECONDS = 0.3  # until the kubelet notices that a program has ended
_TEAR_DOWN_SECONDS = 0.4  # from the last end to the pod's phase saying so
_WAKE_SECONDS = 2.0  # by which a back-off lasts longer than it says: the kubelet looks at the pod that often
_SHOWN_SECONDS = 0.1  # for which CrashLoopBackOff is seen just before the next start
_TOLD_SECONDS = (
    1.0  # until it is seen where something makes the kubelet look again: a readiness probe, a failed start
)
_FREE_KILLS = 3  # restarts after a probe's kill that come without a back-off
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
        killed = False
        if image and "running" in container.state:
            killed = yield from self._serve(self._play(image))
        elif container.exit_code is None and not container.last_state:
            killed = yield from self._run()
        while (code := container.exit_code) is None or container.restarts_after(code):
            if not (killed and container.restarts < _FREE_KILLS):
                yield from self._back_off()
            killed = yield from self._run()
        yield from self._tear_down()

    def _run(self) -> Generator[float, None, bool]:
        """One run, from the image to the end. Whether a probe ended it."""
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
            return False
        container.state = {"running": {"startedAt": stamp()}}
        self.tools.logs.begin(self.pod.uid, container.name, self._lines(image))
        self._note("Started", "Container started")
        return (yield from self._serve(play))

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

    def _serve(self, play: Play) -> Generator[float, None, bool]:
        """From running to the end of this run; for a container that serves for ever, for ever. Whether a probe ended it.

        One that a probe ended is started again before the kubelet reports: no end is seen, only the restart count.
        """
        killer = killing_probe(self.container.spec, play)
        ends = killer.gives_up if killer and killer.gives_up is not None else play.ends_after
        slept = 0.0
        if not self.container.ready:
            slept = yield from self._become_ready(play, ends - killer.dying if killer and ends else ends)
        if ends is None:
            while True:
                yield _LONG
        if killer:
            yield from self._fail_probe(killer, ends - slept)
        else:
            yield self.pace(max(0.0, ends + _NOTICE_SECONDS - slept))
        if play.exit_code == 0:
            yield from self.ask(partial(leave_traces, self.tools.api, self.pod, self.container))
        self.end(play if play.probe_kills or not killer else Play(exit_code=137))
        if killer and self.container.restarts_after(137):
            return True
        yield from self.report()
        return False

    def _become_ready(self, play: Play, ends: float | None) -> Generator[float, None, float]:
        """Until its probes pass, or to its end. Returns the seconds that it took at speed 1."""
        container, spec = self.container, self.container.spec
        probe = probe_of(spec, "readinessProbe") or probe_of(spec, "startupProbe")
        passes = probe.passes_at(play.ready_after) if probe else 0.0
        container.started = "startupProbe" not in spec
        if probe and (passes is None or passes > 0):
            yield from self.report()
            until = passes if ends is None or (passes is not None and passes < ends) else ends
            slept = yield from self._unready(probe, until)
            if until is not passes:
                return slept
        container.ready = container.started = True
        yield from self.report()
        return passes or 0.0

    def _unready(self, probe: Probe, seconds: float | None) -> Generator[float, None, float]:
        """Sleeps (for ever without a number), with the events of a failing probe, ever fewer of them."""
        slept, pause = 0.0, min(1.0, probe.period)
        if probe.delay < 1:
            self._warn("Unhealthy", probe.failure(self.pod.ip))
        while seconds is None or slept + pause < seconds:
            yield self.pace(pause)
            slept += pause
            self._warn("Unhealthy", probe.failure(self.pod.ip))
            pause = min(pause * 2, 60.0)
        yield self.pace(seconds - slept)
        return seconds

    def _fail_probe(self, probe: Probe, seconds: float) -> Life:
        """The last looks of a probe that ends the container, each told, and the end itself."""
        looks = [n * probe.period for n in range(probe.threshold)]
        begins = seconds - (looks[-1] if looks else 0.0)
        yield self.pace(max(0.0, begins))
        for look in looks:
            if look:
                yield self.pace(probe.period)
            self._warn("Unhealthy", probe.failure(self.pod.ip))
        what = f"Container {self.container.name} failed {probe.kind.lower()} probe, will be restarted"
        self._note("Killing", what)
        yield self.pace(min(2.0, float(self.pod.spec.get("terminationGracePeriodSeconds", 30)) + 1.0))

    def _cannot_start(self, play: Play) -> Life:
        """The runtime refuses to start the program."""
        self._warn("Failed", f"Error: {play.message}")
        self.end(play)
        if self.container.restarts_after(play.exit_code):
            self.container.wait("RunContainerError", play.message)
        yield self.pace(_NOTICE_SECONDS)
        yield from self.report()

    def _back_off(self) -> Life:
        """Between two runs: none after the first, then longer and longer. The state stays `terminated` for most of it."""
        container, pod = self.container, self.pod
        if container.restarts == 0:
            return
        seconds = min(BACK_OFF_MAX, BACK_OFF_START * 2 ** max(0, container.restarts - 1))
        which = f"{pod.name}_{pod.namespace}({pod.uid})"
        again = f"back-off {_short(seconds)} restarting failed container={container.name} pod={which}"
        self._warn("BackOff", f"Back-off restarting failed container {container.name} in pod {which}")
        if "readinessProbe" in container.spec or container.exit_code is None:
            yield self.pace(_TOLD_SECONDS)
            container.wait("CrashLoopBackOff", again)
            yield from self.report()
            yield self.pace(seconds)
            return
        yield self.pace(seconds + _WAKE_SECONDS)
        container.wait("CrashLoopBackOff", again)
        yield from self.report()
        yield self.pace(_SHOWN_SECONDS)

    def _tear_down(self) -> Life:
        """A pod of which nothing runs any more says so a moment after its last container."""
        if self.pod.finished and not self.pod.torn_down:
            yield self.pace(_TEAR_DOWN_SECONDS)
            self.pod.torn_down = True
            yield from self.report()

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

    def play(self) -> Generator[float, None, Play | None]:
        """What the container plays, as well as it can still be known; None when it never ran."""
        states = (self.container.last_state, self.container.state)
        if not any("running" in s or "terminated" in s for s in states):
            return None
        return self._play((yield from self._preparation.recall()))

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


def _short(seconds: float) -> str:
    """As Go prints whole seconds: `10s`, `1m20s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
