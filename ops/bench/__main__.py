"""`make bench`: measures, prints a table, writes `.bench/results.json` (a list of {name, ours_s, peer, peer_s, ratio}).

Each pair is measured in the same run; `ratio` = peer_s / ours_s, so more than 1 means that ours takes less time. A row may
have a `detail`, which is printed below it. Names on
the command line choose parts: `make bench PART="apply deploy"`, `python -m ops.bench apply deploy`. Progress goes to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.bench import (
    builds,
    live,
    load,
    pages,
    registry,
    search,
    secrets,
    size,
    viewers,
    webhook,
    whole_deploy,
)
from ops.bench.kubectl_apply import apply_rows, as_json
from sandbox.bench import clusters, progress, storefront

RESULTS = Path(__file__).resolve().parent.parent.parent / ".bench" / "results.json"
Rows = list[dict[str, Any]]
PARTS: dict[str, tuple[bool, Callable[[], Rows]]] = {  # name: (needs a control plane, function)
    "apply": (True, lambda: as_json(apply_rows())),
    "deploy": (True, whole_deploy.rows),
    "clusters": (True, clusters.rows),
    "storefront": (True, storefront.rows),
    "live": (False, live.rows),
    "load": (False, load.rows),
    "pages": (False, pages.rows),
    "secrets": (False, secrets.rows),
    "registry": (True, registry.rows),
    "builds": (False, builds.rows),
    "size": (False, size.rows),
    "search": (False, search.rows),
    "viewers": (False, viewers.rows),
    "webhook": (False, webhook.rows),
}


def main(chosen: list[str]) -> int:
    """Runs the chosen parts, or all. Returns the exit code: 1 when a name is unknown."""
    unknown = set(chosen) - set(PARTS)
    if unknown:
        say(f"There is no part {', '.join(sorted(unknown))}. Parts: {', '.join(PARTS)}.")
        return 1
    found: Rows = []
    for name in chosen or PARTS:
        needs_cluster, measure = PARTS[name]
        if needs_cluster and not os.environ.get("KUBEBUILDER_ASSETS"):
            say(f"{name}: skipped, because KUBEBUILDER_ASSETS names no control plane and no kubectl")
            continue
        progress.begin(name)
        rows = measure()
        progress.clear()
        found += rows
        for row in rows:
            detail = row.pop("detail", "")
            say(
                f"{row['name']:<24} {row['ours_s']:>9.4f} s   {row['peer_s']:>9.4f} s   {row['ratio']:>6.2f} x   {row['peer']}"
            )
            if detail:
                say(f"    {detail}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    say(f"written to {RESULTS.relative_to(RESULTS.parent.parent)}")
    return 0


def say(text: str) -> None:
    """Prints one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
