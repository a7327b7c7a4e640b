"""The class of RQ jobs: a job can name only a function of `settings.JOBS`, and its data is JSON.

Redis is no place of trust. RQ imports and calls any function that a job in Redis names, and its usual data are pickles,
which run code as they are read. With this class and JSON, a person who can write to Redis can start the portal's own jobs with
ids of their choice, and can hold jobs back, but cannot run code of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from rq.job import Job

from engine.errors import SlipwayError


class NotListed(SlipwayError):
    """A job names a function that is none of the portal's jobs."""


def check_listed(name: Any) -> str:
    """Returns the dotted name of a job. Raises NotListed unless `settings.JOBS` has it."""
    if not isinstance(name, str) or name not in settings.JOBS:
        raise NotListed("A job names a function that is none of the portal's jobs; it was not run.")
    return name


class ListedJob(Job):
    """A job that runs functions of the list only, without the callbacks and web calls that RQ can attach to a job."""

    @property
    def func(self) -> Callable[..., Any]:
        """The job's function. Raises NotListed, and rq's DeserializationError for data that is no JSON."""
        if self.instance is not None:
            raise NotListed("A job names a method of an object; it was not run.")
        check_listed(self.func_name)
        function: Callable[..., Any] = super().func
        return function

    def restore(self, raw_data: Any) -> None:
        """Reads the job from Redis and drops what would import another function or call another address."""
        super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
