"""`manage.py scheduler`: the process that runs the ticks. Several may run; only one works at a time.

Runs are reconciled in a thread of its own, under a lease of its own: no tick that waits for an outside system delays a
take-over or a cancel.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connections

from core.scheduler import loop
from portal.ticks import RECONCILING, TICKS

RECONCILER = "reconciler"


class Command(BaseCommand):
    """Runs until TERM or Ctrl-C."""

    help = "Run the portal's periodic work."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        work(stop)


def work(stop: threading.Event) -> None:
    """Runs both loops until `stop` is set, which the end of one of them does, too."""
    reconciler = threading.Thread(target=_reconcile, args=(stop,), name=RECONCILER)
    reconciler.start()
    try:
        loop(TICKS, stopped=stop.is_set, pause=stop.wait)
    finally:
        stop.set()
        reconciler.join()


def _reconcile(stop: threading.Event) -> None:
    """Its end, by whatever error, ends the process, which is started again."""
    try:
        loop(RECONCILING, lease=RECONCILER, stopped=stop.is_set, pause=stop.wait)
    finally:
        stop.set()
        connections.close_all()
