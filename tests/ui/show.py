"""`python -m tests.ui.show`: the style guide on a free port, to look at while changing stylesheets or components."""

from __future__ import annotations

import os
import tempfile
import threading


def main() -> None:
    """Serves until interrupted. Templates are read at start, stylesheets and scripts on every request."""
    os.environ.update(
        SECRET_KEY="only-to-look-at-the-pages",
        ENCRYPTION_KEYS="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        DIGEST_KEY="only-to-look-at-the-pages",
    )
    os.environ.update(DJANGO_SETTINGS_MODULE="portal.settings", DATA_DIR=tempfile.mkdtemp())
    import django

    django.setup()
    from tests.ui import site

    with site.serve(site.pages()) as address:
        print(*(f"{address}/{name}" for name in site.pages()), sep="\n")  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
