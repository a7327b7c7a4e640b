"""Starts a whole sandbox, in parallel where parts do not depend on each other, and supervises it until its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.errors import SlipwayError
from sandbox import environment
from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.control_plane import ControlPlane
from sandbox.kubernetes.simulated import SimulatedCluster
from sandbox.layout import Layout
from sandbox.samples import PEOPLE
from sandbox.supervision import guard, programs
from sandbox.supervision.household import Household, say

_EMBEDDED = ("redis", "aws", "git", "slack", "github")
Part = Future[None]  # the start of one part of the sandbox

_LOOK = 0.25  # seconds between two looks at the children


class Stopped(Exception):
    """A signal asked the sandbox to stop, or its parent has ended."""


@dataclass
class Supervisor:
    """One run of a sandbox.

    `cluster`: the kubeconfig of an existing cluster, or None for the sandbox's own: a real control plane, or with
    `simulated` the simulated one. `services_only`: neither a cluster nor the portal, only Redis, AWS, Git, Slack and the
    samples' outside systems.
    """

    layout: Layout
    cluster: Path | None = None
    services_only: bool = False
    simulated: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _plane: ControlPlane | SimulatedCluster | None = None
    _parent: int = field(default_factory=os.getppid)

    def __post_init__(self) -> None:
        self.household = Household(self.layout)
        self.env_file = self.layout.directory / "env"

    def run(self) -> None:
        """Starts everything, then supervises until a stop. Raises SlipwayError. Leaves no process running."""
        self.env_file.unlink(missing_ok=True)
        with self._signals(), _guarded(self.layout.directory):
            try:
                self._bring_up()
                environment.write(self.env_file, environment.for_shell(self.layout, self.kubeconfig))
                self._say_ready()
                self._watch()
            except Stopped:
                say("Stopping.")
                self.household.began = time.monotonic()  # lines of progress count from here
            finally:
                self.env_file.unlink(missing_ok=True)
                self._end()

    def _bring_up(self) -> None:
        """Starts all parts. The first failure ends the attempt."""
        with ThreadPoolExecutor(max_workers=24, thread_name_prefix="start") as pool:
            parts = self._plan(pool)
            try:
                self._await(parts)
            except BaseException:
                # A part under way may have started something meanwhile.
                while not all(part.done() for part in parts):
                    self._end()
                    time.sleep(0.05)
                raise

    def _plan(self, pool: ThreadPoolExecutor) -> list[Part]:
        """The parts with their dependencies. They start in the order of this list: none depends on a later part."""
        home, layout = self.household, self.layout
        parts: list[Part] = []

        def begin(work: Callable[[], None], *needs: Part) -> Part:
            parts.append(pool.submit(_work_after, needs, work))
            return parts[-1]

        started = {p.name: begin(partial(home.start, p)) for p in programs.embedded(layout)}
        begin(self._make_world, started["aws"])
        if not self.services_only:
            migrated = begin(partial(home.run, programs.migrations(layout)))
            collected = begin(partial(home.run, programs.static_files(layout)))
            cluster = begin(self._start_cluster)
            if self.cluster is None:
                begin(self._play_nodes, cluster)
            for program in programs.workers(layout):
                begin(partial(home.start, program), migrated, started["redis"])
            needed = tuple(parts)
            begin(partial(home.start, programs.web(layout)), migrated, collected)
            begin(self._seed, *needed)
        return parts

    @property
    def kubeconfig(self) -> Path | None:
        """The kubeconfig of the cluster in use; None while there is none."""
        return self.cluster or (self._plane.kubeconfig if self._plane else None)

    def _start_cluster(self) -> None:
        if self.cluster is not None:
            return
        if self.simulated:
            self._plane = SimulatedCluster(self.layout.directory / "simulated")
        else:
            self._plane = ControlPlane(self.layout.directory / "cluster")
        self._plane.start()
        self.household.tell(
            "simulated control plane is ready" if self.simulated else "control plane is ready"
        )

    def _make_world(self) -> None:
        # Imported here: it loads boto3, which takes half a second that other parts need not wait for.
        from sandbox.samples.publish import make_world

        make_world(self.layout.world_note, self.layout.repositories, self.layout.aws_url)
        self.household.tell("samples' repositories, images and secrets are there")

    def _play_nodes(self) -> None:
        self.household.start(programs.node(self.layout, self._known_kubeconfig()))

    def _seed(self) -> None:
        existing = self.cluster is not None
        seeding = programs.seeding(
            self.layout, self._known_kubeconfig(), existing_cluster=existing, simulated=self.simulated
        )
        self.household.run(seeding)

    def _known_kubeconfig(self) -> Path:
        if self.kubeconfig is None:
            raise SlipwayError("There is no cluster yet.")
        return self.kubeconfig

    def _await(self, parts: list[Part]) -> None:
        while not all(part.done() for part in parts):
            self._check_wanted()
            for part in parts:
                if part.done():
                    part.result()
            time.sleep(0.02)
        for part in parts:
            part.result()

    def _watch(self) -> None:
        while True:
            self._check_wanted()
            self.household.look_after()
            self._look_after_plane()
            self._stop.wait(_LOOK)

    def _look_after_plane(self) -> None:
        if self._plane is None:
            return
        try:
            self._plane.check()
        except SlipwayError as error:
            self.household.tell(f"{error.message}\nIt is started again.")
            self._plane.stop()
            self._plane.start()

    def _check_wanted(self) -> None:
        """Raises Stopped after a signal, or when the parent has ended."""
        if self._stop.is_set() or os.getppid() != self._parent:
            raise Stopped

    def _end(self) -> None:
        self.household.stop(last=_EMBEDDED)
        if self._plane is not None:
            for end in self._plane.stop():
                self.household.tell(str(end))
        if left := guard.end_marked(self.layout.directory):
            self.household.tell(f"killed remaining processes of the programs: {', '.join(map(str, left))}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: object) -> None:
            self._stop.set()

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _say_ready(self) -> None:
        layout = self.layout
        self.household.tell("everything is ready")
        ends = [f"  Slack      {layout.slack_url}", f"  GitHub     {layout.github_url}"]
        lines = ["", *ends, f"  Variables  set -a; . {self.env_file}"]
        if not self.services_only:
            people = ", ".join(person.username for person in PEOPLE)
            sign_in = [f"  Portal     {layout.portal_url}/", f"  People     {people}"]
            engine = (
                layout.docker_host or "none: samples' images come ready-made (SANDBOX_DOCKER_HOST names one)"
            )
            lines = [
                "",
                *sign_in,
                f"  Password   {layout.keys.password}",
                *lines[1:],
                f"  Docker     {engine}",
            ]
        say("\n".join([*lines, "", "Ctrl-C stops it; its state is kept for the next start."]))


def check_cluster(kubeconfig: Path) -> None:
    """Raises SlipwayError when the cluster of SANDBOX_KUBECONFIG cannot be used. Called before anything is started."""
    try:
        Api.from_kubeconfig(kubeconfig, user_agent="slipway-sandbox").get("/version")
    except (OSError, ValueError, ApiFailed) as error:
        raise SlipwayError(
            f"The cluster of SANDBOX_KUBECONFIG={kubeconfig} cannot be used: {error}. Nothing was started.",
            hint="Check the file and that its current context answers: kubectl --kubeconfig … version",
        ) from error


@contextmanager
def _guarded(directory: Path) -> Iterator[None]:
    """Runs a guard during the block, which cleans up if this process is killed."""
    process = guard.start_guard(directory)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def _work_after(needs: tuple[Part, ...], work: Callable[[], None]) -> None:
    """Calls `work` once all parts of `needs` are ready. Raises the error of a part that failed."""
    for need in needs:
        need.result()
    work()
