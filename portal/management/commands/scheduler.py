"""`manage.py scheduler`: the process that runs the ticks. Several may run; only one works at a time."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from core.scheduler import loop
from portal.ticks import TICKS


class Command(BaseCommand):
    """Runs until TERM or Ctrl-C."""

    help = "Run the portal's periodic work."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        loop(TICKS, stopped=stop.is_set, pause=stop.wait)
