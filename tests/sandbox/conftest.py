"""The sandbox's own servers, started as the sandbox starts them: as programs, on free ports of 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sandbox.web import Server
from tests.sandbox.ends import Aws, running_aws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws") / "state") as end:
        yield end


@pytest.fixture
def serve() -> Iterator[Callable[[Server], str]]:
    """Runs servers of ours in threads; returns their addresses; stops them at the end."""
    servers: list[tuple[Server, threading.Thread]] = []

    def run(server: Server) -> str:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield run
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
