"""Uploaded files: in memory, because they may hold secret values, which are never written to a disk."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler


class InMemory(MemoryFileUploadHandler):
    """Of a file that is too long it keeps only the size, so that the form says so. Django's own handler would drop such a
    file without a word, as if none had been chosen."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        """It is used for files of any length."""
        self.activated = True

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keeps what still fits."""
        if start + len(raw_data) <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            self.file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile | None:
        """The file with its true size; without content when it is too long."""
        if file_size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            self.file = BytesIO()
        return super().file_complete(file_size)
