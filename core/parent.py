"""A process that ends when its parent ends, also when the parent is killed and cannot say so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

GRACE_SECONDS = 10.0


def end_with_parent() -> None:
    """For a process that `multiprocessing` started, such as each of uvicorn's workers: when its parent is gone, it gets the
    TERM that the parent would have sent. Does nothing in other processes."""
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)  # it hangs; nobody is left who would kill it
