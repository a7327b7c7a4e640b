"""The browser that tests drive: Chromium, which paints no window.

Its headless shell (Debian: chromium-headless-shell) draws the same pages with half of the processor time, because it is a
browser without menus and tabs. The whole browser is taken where that is missing.
"""

from __future__ import annotations

import shutil

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
