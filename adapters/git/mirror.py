"""A repository's bare mirror on our disk. It is created atomically, one process at a time fetches, and it can be rebuilt.

Each address has a directory named by a hash of the address, so that an address cannot choose a path. The directory has a
stamp for each credential that has fetched it: a project whose own credential never opened the repository cannot read a
mirror that another project filled.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from adapters.errors import NotFound, TimedOut, Unavailable
from adapters.git.command import Git, host_of
from adapters.git.messages import FULL, FULL_HINT, MirrorDamaged, MirrorsFull

# Branches and tags only: all refs would include every pull request ever opened.
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class Mirror:
    """The mirror of one repository below `folder`. Its methods raise ExternalErrors.

    `limit`: the most bytes that all mirrors of the folder may have together.
    """

    def __init__(self, git: Git, folder: Path, limit: int | None = None) -> None:
        self._git = git
        self._limit = limit
        self._folder = folder
        name = sha256(git.url.encode()).hexdigest()[:32]
        self.path = folder / f"{name}.git"
        self._lock_path = folder / f"{name}.lock"
        mark = git.credential.fingerprint(git.url) if git.credential else "public"
        self._stamp = self.path / "slipway" / mark
        self._tidied = self.path / "slipway" / "tidied"

    def fetched_at(self) -> float | None:
        """The start of this credential's last successful fetch, in seconds since 1970, or None."""
        try:
            return self._stamp.stat().st_mtime
        except OSError:
            return None

    def fetch(self, max_age: float, *, timeout: float) -> bool:
        """Fetches unless the mirror is at most `max_age` seconds old. Returns whether it asked the host.

        When another process is fetching, a fetch that started after this call is good enough. A damaged mirror is rebuilt.
        `timeout`: seconds for waiting and fetching together.
        """
        wanted_since = time.time() - max_age
        if self._is_fresh(wanted_since):
            return False
        deadline = time.monotonic() + timeout
        with self._locked(timeout) as lock:
            if self._is_fresh(wanted_since):
                return False
            started = time.time()
            self._update(deadline, lock)
            self._mark(started)
        return True

    def fetch_commit(self, sha: str, *, timeout: float) -> None:
        """Fetches a commit by its full hash, for a commit that no branch or tag reaches any more."""
        with self._locked(timeout) as lock:
            self._transfer(self.path, (sha,), timeout, lock, prune=False)

    def rebuild(self, *, unless_since: float, timeout: float) -> None:
        """Rebuilds the mirror from the host, unless it was fetched after `unless_since` (seconds since 1970)."""
        with self._locked(timeout) as lock:
            if self._is_fresh(unless_since):
                return
            started = time.time()
            self._make(timeout, lock)
            self._mark(started)

    def tidy(self, *, max_age: float, timeout: float) -> bool:
        """Packs the files of past fetches, unless that was tried within `max_age` seconds. Returns whether it did so.

        It deletes no fetched object. It keeps packs whose sizes at least double from one to the next, so that it rewrites
        only small packs. Fetches wait meanwhile, so `timeout` (seconds) is short. It does not wait itself: raises TimedOut
        while another process fetches.
        """
        if not self._is_untidy(max_age):
            return False
        with self._locked(0) as lock:
            if not self._is_untidy(max_age):
                return False
            # First: what does not end in time is not tried again at once.
            self._tidied.parent.mkdir(exist_ok=True)
            self._tidied.touch()
            self._remove_leftovers()
            deadline = time.monotonic() + timeout
            for command in (["pack-refs", "--all"], ["repack", "-d", "-q", "--geometric=2"]):
                left = max(1.0, deadline - time.monotonic())
                self._git.local([*self.arguments(), *command], timeout=left, keep_open=(lock,))
        return True

    def _is_untidy(self, max_age: float) -> bool:
        try:
            return self._tidied.stat().st_mtime < time.time() - max_age
        except OSError:
            return self.path.is_dir()

    def _remove_leftovers(self) -> None:
        """Removes half-written files of a killed fetch or repack. Under the lock no other process writes one."""
        for pattern in ("pack/tmp_*", "pack/.tmp-*", "??/tmp_*"):
            for leftover in (self.path / "objects").glob(pattern):
                leftover.unlink(missing_ok=True)

    def arguments(self, path: Path | None = None) -> list[str]:
        """Git's arguments for working on the mirror, also when it belongs to another system user."""
        place = path or self.path
        return [f"--git-dir={place}", "-c", f"safe.directory={place}"]

    def require(self) -> None:
        """Raises NotFound unless this credential has fetched the repository before."""
        if self.fetched_at() is None:
            raise NotFound(
                f"The repository on {host_of(self._git.url)} has not been fetched yet.",
                system="Git",
                hint="Fetch it first.",
                permanent=False,
            )

    def _is_fresh(self, wanted_since: float) -> bool:
        fetched = self.fetched_at()
        return fetched is not None and fetched >= wanted_since

    def _mark(self, started: float) -> None:
        self._stamp.parent.mkdir(exist_ok=True)
        self._stamp.touch()
        os.utime(self._stamp, (started, started))

    def _update(self, deadline: float, lock: int) -> None:
        if not (self.path / "HEAD").exists():
            self._make(_left(deadline), lock)
            return
        try:
            if self._differs_from_host(_left(deadline), lock):
                self._transfer(self.path, _REFS, _left(deadline), lock)
        except MirrorDamaged:
            self._make(_left(deadline), lock)

    def _differs_from_host(self, timeout: float, lock: int) -> bool:
        """Whether the host's branches or tags differ from the mirror's. Raises Unavailable when the host suddenly has none.

        Git takes any web page (a login form, a maintenance notice) for a repository without branches, and pruning would
        then empty the mirror.
        """
        show = ["ls-remote", "--quiet", "--refs", "--heads", "--tags", "--", self._git.url]
        theirs = set(self._git.remote(show, timeout=timeout, keep_open=(lock,)).splitlines())
        list_own = ["for-each-ref", "--format=%(objectname)%09%(refname)", "refs/heads", "refs/tags"]
        ours = set(self._git.local([*self.arguments(), *list_own]).splitlines())
        if ours and not theirs:
            raise Unavailable(
                f"{host_of(self._git.url)} suddenly shows no branch of the repository; the portal keeps its copy.",
                system="Git",
                hint="Was the repository emptied, or does a login or maintenance page answer in its place?",
            )
        return ours != theirs

    def _make(self, timeout: float, lock: int) -> None:
        """Fetches into a new directory beside the mirror, then renames it: a reader sees the old or the new mirror."""
        new, old = self.path.with_suffix(".new"), self.path.with_suffix(".old")
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        self._git.local(["init", "--bare", "--quiet", "--template=", str(new)])
        try:
            self._transfer(new, _REFS, timeout, lock)
            if self.path.exists():
                self.path.rename(old)
            new.rename(self.path)
        finally:
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)

    def _transfer(
        self, place: Path, refs: tuple[str, ...], timeout: float, lock: int, *, prune: bool = True
    ) -> None:
        """Runs the fetch. The Git process inherits the lock, so that no other process fetches while a Git process outlives
        its killed worker."""
        options = [
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--force",
            *(["--prune"] if prune else []),
        ]
        command = [*self.arguments(place), "fetch", *options, "--", self._git.url, *refs]
        try:
            self._git.remote(command, timeout=timeout, keep_open=(lock,), may_go_on=self._has_space(place))
        except MirrorsFull:
            self._remove_leftovers()
            raise

    def _has_space(self, place: Path) -> Callable[[], bool] | None:
        """A function that tells whether the fetch into `place` may add more; None without a limit. Raises MirrorsFull when
        nothing may be added at all."""
        if self._limit is None:
            return None
        before = size_of(place)
        most = before + self._limit - size_of(self._folder)
        if most <= before:
            raise MirrorsFull(FULL, system="Git", hint=FULL_HINT)
        return lambda: size_of(place) <= most

    @contextlib.contextmanager
    def _locked(self, timeout: float) -> Iterator[int]:
        """Holds the mirror's lock, after waiting at most `timeout` seconds. Yields the lock's file descriptor."""
        descriptor = self._open_lock()
        try:
            deadline = time.monotonic() + timeout
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise TimedOut(
                        f"Another fetch of the repository on {host_of(self._git.url)} is taking too long.",
                        system="Git",
                        hint="Try again in a while.",
                    )
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"The portal cannot use its folder of Git mirrors: {error.strerror}.",
                system="Git",
                hint="Give the portal's system user the folder DATA_DIR.",
            ) from error


def _left(deadline: float) -> float:
    """The seconds until a deadline; a little, when there are none."""
    return max(0.1, deadline - time.monotonic())


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder. Files that go away meanwhile do not count."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return size


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
