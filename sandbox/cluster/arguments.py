"""The command lines of the control plane's programs. They run in the directory that holds their data and keys."""

from __future__ import annotations

_WORKERS = (
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "job",
    "endpoint",
    "service-endpoint",
    "gc",
)


def etcd_arguments(ports: dict[str, int]) -> list[str]:
    """Arguments of etcd. `ports`: by name, for all programs."""
    client, peer = f"http://127.0.0.1:{ports['etcd']}", f"http://127.0.0.1:{ports['etcd-peer']}"
    return [
        "--data-dir=etcd",
        "--unsafe-no-fsync",  # loses data only when the machine loses power, not when the process is killed
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def api_arguments(ports: dict[str, int]) -> list[str]:
    """Arguments of the API server."""
    return [
        f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['api']}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=tokens.crt",
        "--service-account-signing-key-file=tokens.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        # Calls webhooks by their endpoints. There are none, so no call leaves this machine.
        "--enable-aggregator-routing=true",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    ]


def manager_arguments(ports: dict[str, int]) -> list[str]:
    """Arguments of the controller manager."""
    return [
        "--kubeconfig=manager.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['manager']}",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--service-account-private-key-file=tokens.key",
        "--root-ca-file=ca.crt",
        "--profiling=false",
        "--terminated-pod-gc-threshold=300",  # pods of ended Jobs would pile up in a long-lived sandbox
        "--kube-api-qps=500",  # the default of 20 would slow a rollout of many pods
        "--kube-api-burst=1000",
        *(f"--concurrent-{w}-syncs=20" for w in _WORKERS),
    ]


def scheduler_arguments(ports: dict[str, int]) -> list[str]:
    """Arguments of the scheduler."""
    return [
        "--kubeconfig=scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['scheduler']}",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--leader-elect=false",
        "--profiling=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
