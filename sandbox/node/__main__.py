"""`python -m sandbox.node`: plays the nodes until it is ended."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.node import READY_LINE
from sandbox.node.addresses import Addresses
from sandbox.node.attendant import Tools
from sandbox.node.certmanager import CertManager
from sandbox.node.events import Recorder
from sandbox.node.follow import Follower
from sandbox.node.images import Registries
from sandbox.node.kubelet import Kubelet
from sandbox.node.logs import Logs
from sandbox.node.loop import Loop
from sandbox.node.machines import Machine, keep_alive, register
from sandbox.node.references import References
from sandbox.node.server import LogServer
from sandbox.node.store import ImageStore


def main(arguments: list[str] | None = None) -> None:
    """Plays the nodes; never returns. Ends with a message when the arguments or the kubeconfig are of no use."""
    options = _options(arguments)
    try:
        api = Api.from_kubeconfig(options.kubeconfig, user_agent="slipway-sandbox-node")
    except (OSError, ValueError) as error:
        sys.exit(f"{options.kubeconfig} cannot be used: {error}")
    tools = Tools(
        api=api,
        loop=Loop(),
        images=ImageStore(Registries(dict(options.mirror))),
        references=References(api),
        events=Recorder(api),
        logs=Logs(),
        speed=options.speed,
    )
    play([Machine(number) for number in range(1, options.nodes + 1)], tools)


def play(machines: list[Machine], tools: Tools) -> None:
    """Starts everything and keeps the nodes alive; never returns."""
    kubelet = Kubelet(machines, tools)
    server = LogServer(kubelet.find, tools.logs)
    server.start()
    tools.loop.run()
    tools.events.start()
    _register(tools.api, machines, server.port)
    Follower(tools.api, "/api/v1/pods", kubelet.seen, kubelet.gone).start()
    _play_the_rest(tools)
    print(
        f"{len(machines)} nodes of {tools.api.server}, logs on port {server.port}: {READY_LINE}", flush=True
    )
    keep_alive(tools.api, machines, server.port)


def _play_the_rest(tools: Tools) -> None:
    """What else a hosted cluster brings: addresses for load balancers and ingresses, certificates."""
    addresses = Addresses(tools.api, tools.loop, tools.speed)
    certificates = CertManager(tools.api, tools.loop, tools.speed)

    def seen_ingress(body: Json) -> None:
        addresses.seen_ingress(body)
        certificates.seen_ingress(body)

    Follower(tools.api, "/api/v1/services", addresses.seen_service, addresses.gone_service).start()
    Follower(tools.api, "/apis/networking.k8s.io/v1/ingresses", seen_ingress, addresses.gone_ingress).start()
    certificates.start()


def _register(api: Api, machines: list[Machine], port: int) -> None:
    """However long it takes until the API server answers."""
    told = ""
    while True:
        try:
            register(api, machines, port)
            return
        except ApiFailed as error:
            if error.message != told:
                print(f"the nodes are not registered yet: {error.message}", file=sys.stderr, flush=True)
            told = error.message
            time.sleep(0.3)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.node", description="Plays the nodes of a Kubernetes cluster."
    )
    parser.add_argument("kubeconfig", type=Path, help="of somebody who may do everything")
    parser.add_argument("--nodes", type=int, default=3, help="how many (default 3)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="2 makes everything take half as long (default 1)"
    )
    parser.add_argument(
        "--mirror",
        type=_mirror,
        action="append",
        default=[],
        metavar="HOST=URL",
        help="where the images of a registry host are found instead; may be given several times",
    )
    return parser.parse_args(arguments)


def _mirror(text: str) -> tuple[str, str]:
    host, _, url = text.partition("=")
    if not host or not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST=URL")
    return host, url


if __name__ == "__main__":
    main()
