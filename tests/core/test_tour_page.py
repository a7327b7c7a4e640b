"""docs/tour.md holds what it shows: its pictures are made by browser tests, its commands and branches exist."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.kubernetes.faults import FAULTS
from sandbox.samples.catalog import CATALOG
from sandbox.samples.cluster_base import CLUSTER_BASE
from sandbox.samples.storefront import STOREFRONT
from sandbox.supervision.losing import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
TOUR = (ROOT / "docs" / "tour.md").read_text()


def test_its_pictures_are_made_by_the_browser_tests() -> None:
    shown = re.findall(r"!\[[^]]+\]\(images/([\w-]+)-light\.png\)", TOUR)
    assert len(shown) >= 12
    made = {
        name
        for path in (ROOT / "tests" / "e2e").glob("*.py")
        for name in re.findall(r'take_picture\("([\w-]+)"', path.read_text())
    }
    assert sorted(set(shown) - made) == []
    assert [name for name in shown if not (ROOT / "docs" / "images" / f"{name}-light.png").exists()] == []


def test_its_commands_exist() -> None:
    faults = re.findall(r"python -m sandbox fault ([\w-]+)", TOUR)
    programs = re.findall(r"python -m sandbox kill ([\w-]+)", TOUR)
    assert faults
    assert programs
    assert set(faults) <= set(FAULTS)
    assert set(programs) <= set(PROGRAMS)


def test_its_branches_exist() -> None:
    named = set(re.findall(r"branch `([\w-]+)`", TOUR))
    made = {
        name for sample in (STOREFRONT, CATALOG, CLUSTER_BASE) for name, changes in sample.branches if changes
    }
    assert {"broken", "crashes-late", "more-keys", "wrong-tag"} <= named <= made


def test_it_has_five_things_to_break() -> None:
    exercises = TOUR.partition("# Break it on purpose")[2]
    parts = exercises.split("\n## ")[1:]
    assert len(parts) == 5
    assert [part.splitlines()[0] for part in parts if "Look at:" not in part] == []
