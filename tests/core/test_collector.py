"""Long-lived processes do not look at what was loaded when they collect garbage."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from core.collector import leave_out_what_is_loaded
from sandbox.layout import ROOT


def test_what_exists_is_left_out_and_what_comes_later_is_not() -> None:
    try:
        leave_out_what_is_loaded()
        assert gc.get_freeze_count() > 1000
        later: list[object] = []
        later.append(later)
        assert gc.is_tracked(later)
        assert any(one is later for one in gc.get_objects())
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("module", ["portal.asgi"])
def test_the_web_process_leaves_out_all_of_django(module: str) -> None:
    script = f"import os, gc; import {module}; print(gc.get_freeze_count())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 50_000
