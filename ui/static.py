"""Static files: collected ones have a name with a hash, are compressed and cached for ever; without collecting, as they are.

`manage.py collectstatic` (run by `make run`, by the sandbox and when an image is built) fills STATIC_ROOT. Tests and a
portal started by hand need no such step: what was not collected is served from its source folder under its own name.
"""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """`{% static %}` by the manifest of the last collectstatic."""

    # Our own scripts import each other, and one that came under two names would run twice. Not for those of others: Django
    # takes examples in their comments for imports.
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )

    def stored_name(self, name: str) -> str:
        """The name with the hash, or the given one when it was not collected."""
        found: str | None = self.hashed_files.get(self.hash_key(self.clean_name(name)))
        return found or name
