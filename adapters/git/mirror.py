"""A repository's bare mirror on our disk. It is created atomically, one process at a time fetches, and it can be rebuilt.

Each address has a directory for each credential that opens it, named by hashes, so that an address cannot choose a path.
A project reads only what its own credential fetched: not what another project fetched, also not later. When the host
refuses a credential, its mirror cannot be read any more until a fetch succeeds.
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

from adapters.errors import Denied, NotFound, TimedOut, Unavailable
from adapters.git.command import Git, host_of
from adapters.git.folders import link_objects, size_of
from adapters.git.messages import FULL, FULL_HINT, MirrorDamaged, MirrorsFull, UnknownRevision, UntrustedHost

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
        self._address = sha256(git.url.encode()).hexdigest()[:32]
        mark = git.credential.fingerprint(git.url) if git.credential else "public"
        self.path = folder / f"{self._address}-{mark}.git"
        self._lock_path = folder / f"{self._address}-{mark}.lock"
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
            with self.forgotten_when_refused():
                self._update(deadline, lock)
            self._mark(started)
        return True

    @contextlib.contextmanager
    def forgotten_when_refused(self) -> Iterator[None]:
        """Closes the mirror when the host refuses the credential, or shows it no such repository, during the block."""
        try:
            yield
        except (UntrustedHost, UnknownRevision):
            raise  # these tell nothing about the credential
        except (Denied, NotFound):
            self._stamp.unlink(missing_ok=True)
            raise

    def fetch_commit(self, sha: str, *, timeout: float) -> None:
        """Fetches a commit by its full hash, for a commit that no branch or tag reaches any more."""
        with self._locked(timeout) as lock, self.forgotten_when_refused():
            self._transfer(self.path, (sha,), timeout, lock, prune=False)

    def rebuild(self, *, unless_since: float, timeout: float) -> None:
        """Rebuilds the mirror from the host, unless it was fetched after `unless_since` (seconds since 1970)."""
        with self._locked(timeout) as lock:
            if self._is_fresh(unless_since):
                return
            started = time.time()
            with self.forgotten_when_refused():
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
        try:
            if not (self.path / "HEAD").exists():
                self._make(_left(deadline), lock, borrow=self._is_shown(_left(deadline), lock))
                return
            if self._differs_from_host(_left(deadline), lock):
                self._transfer(self.path, _REFS, _left(deadline), lock)
        except MirrorDamaged:
            self._make(_left(deadline), lock)

    def _differs_from_host(self, timeout: float, lock: int) -> bool:
        """Whether the host's branches or tags differ from the mirror's. Raises Unavailable when the host suddenly has none.

        Git takes any web page (a login form, a maintenance notice) for a repository without branches, and pruning would
        then empty the mirror.
        """
        theirs = self._shown(timeout, lock)
        list_own = ["for-each-ref", "--format=%(objectname)%09%(refname)", "refs/heads", "refs/tags"]
        ours = set(self._git.local([*self.arguments(), *list_own]).splitlines())
        if ours and not theirs:
            raise Unavailable(
                f"{host_of(self._git.url)} suddenly shows no branch of the repository; the portal keeps its copy.",
                system="Git",
                hint="Was the repository emptied, or does a login or maintenance page answer in its place?",
            )
        return ours != theirs

    def _shown(self, timeout: float, lock: int) -> set[bytes]:
        """The branches and tags that the host shows to this credential."""
        show = ["ls-remote", "--quiet", "--refs", "--heads", "--tags", "--", self._git.url]
        return set(self._git.remote(show, timeout=timeout, keep_open=(lock,)).splitlines())

    def _is_shown(self, timeout: float, lock: int) -> bool:
        """Whether another mirror of the address is there to borrow from, and the host shows the repository to this
        credential."""
        return bool(self._siblings()) and bool(self._shown(timeout, lock))

    def _siblings(self) -> list[Path]:
        """Mirrors of the same address that other credentials made; the one without a mark is of an older version."""
        names = (f"{self._address}.git", f"{self._address}-*.git")
        found = [path for name in names for path in self._folder.glob(name)]
        return [path for path in found if path != self.path]

    def _make(self, timeout: float, lock: int, *, borrow: bool = False) -> None:
        """Fetches into a new directory beside the mirror, then renames it: a reader sees the old or the new mirror.

        `borrow`: begin with the objects of other mirrors of the address. So a new credential costs no second copy, and
        commits of deleted branches, which a release may name, stay readable.
        """
        new, old = self.path.with_suffix(".new"), self.path.with_suffix(".old")
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        self._git.local(["init", "--bare", "--quiet", "--template=", str(new)])
        for sibling in self._siblings() if borrow else ():
            link_objects(sibling / "objects", new / "objects")
        try:
            self._transfer(new, _REFS, timeout, lock)
            if self.path.exists():
                self.path.rename(old)
            new.rename(self.path)
            shutil.rmtree(self._folder / f"{self._address}.git", ignore_errors=True)
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


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
