"""The steps of a build. `runs/life/pipeline.py` claims, fences, ends and hands over, as for every run.

After the checkout, images are made side by side in threads. A worker that takes over goes on at the images that are not in the
registry yet; the engine gives up what a killed worker was doing, because its connection ends.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextvars import copy_context
from queue import Empty, SimpleQueue

from adapters.errors import ExternalError
from builds.life import LIFE
from builds.models import Build, BuiltImage
from builds.pipeline import outcomes, stages, tagging
from builds.pipeline.making import Maker, Note
from builds.pipeline.orders import orders_of
from builds.pipeline.work import ImagesFailed, NotBuildable, Trouble, Work
from builds.stored import build_settings
from runs.life import pipeline, steps
from runs.life.attempt import LOOK_SECONDS
from runs.life.ending import as_stored
from runs.life.pipeline import Pipeline
from runs.life.steps import call_in_step, finished, run_step
from runs.models import StepState

LAST_SECONDS = 2.0  # that threads get to end after a stop


def run(run_id: str, attempt: int) -> None:
    """Works on one attempt at a build to its end. Raises BrokenOff (`runs/life/pipeline.py`)."""
    pipeline.run(PIPELINE, run_id, attempt)


def opening(build: Build) -> str:
    """The first line of the log."""
    where = f" of {build.branch}" if build.branch else ""
    return f"{build.actor_text} builds {build.short}{where} of {build.project}"


def seconds(build: Build) -> float:
    """The build's time limit in seconds."""
    return float(build_settings(build.project_id).timeout)


def run_steps(work: Work) -> None:
    """The checkout, the images that are not done, then the tags. Raises ImagesFailed, NotBuildable, ExternalError, and as
    `Attempt.check`."""
    if "checkout" in finished(work.build.run_id):
        call_in_step(work, "checkout", stages.checkout)
    else:
        run_step(work, "checkout", stages.checkout)
    make_images(work)
    run_step(work, "tags", tagging.give_tags)


def make_images(work: Work) -> None:
    """Makes the images, as many side by side as the settings say. One that fails does not stop the others, so that one build
    tells all that is wrong. Raises ImagesFailed, and as `Attempt.check` once everything under way is stopped."""
    orders = orders_of(work.build)
    if not orders and not work.build.images.exists():
        raise NotBuildable(f"{work.project} has no image that is built here.")
    waiting, threads = deque(orders), []
    notes: SimpleQueue[Note] = SimpleQueue()
    troubles: list[Trouble] = []
    running, most = 0, build_settings(work.build.project_id).side_by_side
    try:
        while waiting or running:
            while waiting and running < most:
                threads.append(started(Maker(waiting.popleft(), work.tools_or_fail, notes, work.log)))
                running += 1
            running -= write_notes(work, notes, troubles)
            work.check()
    finally:
        work.stopper.stop()
        wait_for(threads)
    if troubles:
        raise ImagesFailed(troubles)


def started(maker: Maker) -> threading.Thread:
    """A thread that makes an image; it redacts as this one does, and does not keep the process from ending."""
    thread = threading.Thread(
        target=copy_context().run, args=(maker.make,), name=f"image-{maker.order.name}", daemon=True
    )
    thread.start()
    return thread


def wait_for(threads: list[threading.Thread]) -> None:
    """Gives threads LAST_SECONDS to end. One that still waits for the engine ends with this process."""
    deadline = time.monotonic() + LAST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def write_notes(work: Work, notes: SimpleQueue[Note], troubles: list[Trouble]) -> int:
    """Writes what the threads have told, after waiting a moment for it. Returns how many threads are over. Raises the error of a
    thread that is no ExternalError, FenceLost."""
    over = 0
    try:
        note = notes.get(timeout=LOOK_SECONDS)
        while True:
            over += note.is_over
            write_note(work, note, troubles)
            note = notes.get_nowait()
    except Empty:
        return over


def write_note(work: Work, note: Note, troubles: list[Trouble]) -> None:
    """Writes one note under the fence."""
    if isinstance(note.error, ExternalError):
        troubles.append(Trouble(note.order.name, note.error))
    elif note.error is not None:
        raise note.error
    if note.changes:
        with work.fence.held():
            BuiltImage.objects.filter(pk=note.order.pk).update(**as_stored(dict(note.changes)))
    if note.state == StepState.RUNNING:
        steps.start(work.fence, note.step)
    elif note.state is not None:
        steps.end(work.fence, note.step, note.state, note.summary)
    if note.changes or note.state is not None:
        steps.tell(work)


PIPELINE = Pipeline(
    life=LIFE,
    attempt=Work,
    seconds=seconds,
    opening=opening,
    work=run_steps,
    succeeded=outcomes.succeeded,
    cancelled=outcomes.cancelled,
    timed_out=outcomes.timed_out,
    failed=outcomes.failed,
    left=outcomes.left,
)
