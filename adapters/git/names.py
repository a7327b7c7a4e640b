"""Validates addresses, revisions and paths from people before Git gets them.

Pure functions. They do not rely on Git's own checks: an argument that Git reads as an option, a remote helper or a search
would let an attacker run commands in our process.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from adapters.errors import Invalid

PROTOCOLS = ("https", "ssh", "http", "file")

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PATH = r"[A-Za-z0-9._~/%+@=,()-]+"
_ADDRESS = re.compile(
    rf"(?P<scheme>https|http|ssh)://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?/(?P<path>{_PATH})"
)
_SCP = re.compile(
    rf"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)(?P<host>{_HOST}):(?P<path>(?![-/]){_PATH}|/(?!/){_PATH})"
)
_FILE = re.compile(rf"file:///{_PATH}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-fA-F]{4,39}")
# Characters that Git's check-ref-format forbids anywhere in a name, and all that have a meaning in a revision expression.
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\]\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|\.(?:/|\Z)")


def check_url(url: str, protocols: tuple[str, ...]) -> str:
    """Returns `url` when it is an address of an allowed protocol; else raises Invalid with the reason.

    Allowed forms: `https://host/path`, `ssh://git@host/path`, `git@host:path`, and, only where `protocols`
    names them, `http://…` and `file:///…`. It must not contain a password or token, because pages and logs show it.
    """
    if len(url) > 1000 or not url:
        raise _invalid("The repository's address is empty or far too long.")
    scheme = _scheme(url)
    if scheme not in PROTOCOLS or scheme not in protocols:
        raise _invalid(
            f"Repository addresses of the kind “{_shown(scheme or url)}” are not allowed.",
            hint=f"Allowed here: {', '.join(protocols)}.",
        )
    if scheme in ("https", "http") and "@" in url.split("/", 3)[2]:
        raise _invalid(
            "The repository's address holds a user name or a token.",
            hint="Leave out everything up to the @ and enter the token as the project's Git credential.",
        )
    pattern = _FILE if scheme == "file" else _ADDRESS if "://" in url else _SCP
    found = pattern.fullmatch(url)
    if not found or not _is_a_place(found.groupdict()) or _climbs(url):
        raise _invalid(f"“{_shown(url)}” is not an address of a Git repository that can be used here.")
    return url


def _is_a_place(parts: Mapping[str, str | None]) -> bool:
    """Whether the port is one, and what stands in brackets an IPv6 address."""
    host, port = parts.get("host") or "", parts.get("port") or "1"
    if not 0 < int(port) < 65536:
        return False
    try:
        return not host.startswith("[") or bool(ipaddress.IPv6Address(host.strip("[]")))
    except ValueError:
        return False


def _climbs(url: str) -> bool:
    """Whether `.`, `..` or nothing stands between two slashes, also encoded: the server reads another path than people and
    allotments do."""
    plain = url
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    path = plain.partition("://")[2].lstrip("/") or plain
    return "//" in path or any(part in (".", "..") for part in re.split(r"[/:\\]", path))


def _scheme(url: str) -> str:
    """The protocol that Git would use; an empty text for local paths and remote helpers such as `ext::…`."""
    if match := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url):
        return match[1]
    return "ssh" if _SCP.fullmatch(url) else ""


def scp_host(url: str) -> str:
    """The host of an address such as `git@host:path`; empty for any other."""
    match = _SCP.fullmatch(url)
    return match["host"] if match else ""


def is_commit(text: str) -> bool:
    """Whether the text is a full commit hash: forty lower-case hexadecimal digits."""
    return _COMMIT.fullmatch(text) is not None


def is_short_commit(text: str) -> bool:
    """Whether the text can be the beginning of a commit hash (at least four digits, Git's own minimum)."""
    return _SHORT.fullmatch(text) is not None


def check_revision(text: str) -> str:
    """Returns `text` when it can name a branch, a tag or a commit; else raises Invalid.

    Expressions (`HEAD~2`, `main^{/fix}`, `@{-1}`, `a..b`) are refused: a deploy needs the name of a revision.
    """
    bad = not text or len(text) > 250 or text == "@" or text.startswith(("-", "/", ".")) or text.endswith("/")
    if bad or _NOT_IN_REF.search(text):
        raise _invalid(
            f"“{_shown(text)}” is not a revision.",
            hint="Enter a commit (short or full), a branch or a tag.",
        )
    return text


def check_directory(path: str) -> str:
    """Returns the normalized path of a directory inside the repository, empty for the root; or raises Invalid.

    Relative, with `/` between names. A leading `./` and a trailing `/` are dropped.
    """
    plain = path.removeprefix("./").rstrip("/")
    if plain in ("", "."):
        if path.startswith("/"):
            raise _bad_path(path)
        return ""
    segments = plain.split("/")
    unfit = any(part in ("", ".", "..") or part.lower() == ".git" for part in segments)
    if unfit or len(plain) > 1000 or plain.startswith((":", "-")) or re.search(r"[\x00-\x1f\x7f\\]", plain):
        raise _bad_path(path)
    return plain


def commit_url(repo_url: str, sha: str) -> str:
    """The commit's page for a browser, or an empty text when the kind of host is unknown.

    Known by their names: GitHub, GitLab, Bitbucket and Gitea-like hosts (`gitea`, `codeberg`, `forgejo`).
    """
    base = _web_base(repo_url)
    if not base or not is_commit(sha):
        return ""
    host = urlsplit(base).hostname or ""
    if "gitlab" in host:
        return f"{base}/-/commit/{sha}"
    if "bitbucket" in host:
        return f"{base}/commits/{sha}"
    if any(word in host for word in ("github", "gitea", "codeberg", "forgejo")):
        return f"{base}/commit/{sha}"
    return ""


def _web_base(repo_url: str) -> str:
    """The address of the repository's page: scheme and port as in an HTTP address, plain HTTPS for SSH."""
    match = _ADDRESS.fullmatch(repo_url) or _SCP.fullmatch(repo_url)
    if match is None:
        return ""
    found = match.groupdict()
    path = found["path"].strip("/").removesuffix(".git")
    if found.get("scheme") not in ("http", "https"):
        return f"https://{found['host']}/{path}"
    port = f":{found['port']}" if found["port"] else ""
    return f"{found['scheme']}://{found['host']}{port}/{path}"


def _bad_path(path: str) -> Invalid:
    return _invalid(
        f"“{_shown(path)}” is not a directory inside the repository.",
        hint="Enter it relative to the repository's root, such as kubernetes/staging.",
    )


def _shown(text: str) -> str:
    """A text from outside, made fit for a sentence: one line, printable, short."""
    plain = "".join(c if c.isprintable() else "�" for c in text)
    return plain if len(plain) <= 100 else plain[:99] + "…"


def _invalid(message: str, *, hint: str = "") -> Invalid:
    return Invalid(message, system="Git", hint=hint)
