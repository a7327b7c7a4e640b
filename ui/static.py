"""Static files. Collected files have a hash in their name, are compressed and cached for ever.

`manage.py collectstatic` (run by `make run`, by the sandbox and when an image is built) fills STATIC_ROOT. Tests and a
portal started by hand need no such step: files that were not collected are served from their source folder under their
own name.
"""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """`{% static %}` by the manifest of the last collectstatic."""

    # Rewrites imports in our own scripts, because a script that is loaded under two names runs twice. Not in third-party
    # scripts: Django takes examples in their comments for imports.
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )

    def stored_name(self, name: str) -> str:
        """The name with the hash, or the given name when the file was not collected."""
        found: str | None = self.hashed_files.get(self.hash_key(self.clean_name(name)))
        return found or name
