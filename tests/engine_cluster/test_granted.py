"""What a server gives out to Services and does not look at in its dry run: told before the click all the same."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cluster.apply import ApplyError
from engine.cluster.client import ApiError
from engine.cluster.granted import ungranted
from engine.cluster.resources import ClusterKinds
from engine.types import Action, Json
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import manifests
from tests.engine_cluster.test_server_words import service


def balanced(where: str, **spec: Any) -> Json:
    return service(where, "edge", type="LoadBalancer", externalTrafficPolicy="Local", **spec)


def given(cluster: Cluster, name: str) -> Json:
    """The specification of a Service as the cluster completes it."""
    made = cluster.client.request("POST", f"{cluster.core}/services", body=service(cluster.namespace, name))
    found: Json = made["spec"]
    return found


@pytest.mark.parametrize("field", ["spec.ports[0].nodePort", "spec.healthCheckNodePort"])
def test_a_port_of_the_nodes_that_clusters_do_not_give_out_is_warned_of(cluster: Cluster, field: str) -> None:
    where = cluster.namespace
    body = service(where, "web", 80) if "nodePort" in field else balanced(where, healthCheckNodePort=80)
    (change,) = cluster.preview(body)
    (notice,) = change.notices
    assert (change.error, notice.field) == ("", field)
    assert f"{field} is 80. Clusters give out the ports 30000-32767" in notice.text
    with pytest.raises(ApplyError) as refused:
        cluster.deploy(body)
    assert f"{field} is outside of the cluster's ports for nodes, 30000-32767" in refused.value.message


def test_a_port_that_the_service_has_already_is_right(cluster: Cluster) -> None:
    """A cluster may have another range."""
    body = service(cluster.namespace, "web", 80)

    class Shows:
        """The cluster, on which the Service has that port."""

        def request(self, method: str, path: str, **options: Any) -> Json:
            return body

    assert ungranted(Shows(), ClusterKinds(cluster.client), manifests(body)) == []  # type: ignore[arg-type]


def test_two_that_ask_for_the_same_port_are_refused(cluster: Cluster) -> None:
    port = given(cluster, "there")["ports"][0]["nodePort"]
    cluster.delete(f"{cluster.core}/services/there")
    where = cluster.namespace
    first, second = cluster.preview(service(where, "a", port), service(where, "b", port))
    assert (first.error, first.action) == ("", Action.CREATE)
    assert second.error == (
        f"Service b: spec.ports[0].nodePort is {port}, which Service a asks for, too (app.yaml:1)."
    )
    assert second.field_errors == ("spec.ports[0].nodePort",)


def test_two_protocols_of_one_service_may_share_a_port(cluster: Cluster) -> None:
    ports = [
        {"name": name, "protocol": name.upper(), "port": 53, "nodePort": 30053} for name in ("tcp", "udp")
    ]
    (change,) = cluster.preview(service(cluster.namespace, "dns", ports=ports))
    assert (change.error, change.notices) == ("", ())


def test_an_address_that_another_service_has_is_refused(cluster: Cluster) -> None:
    where = cluster.namespace
    address = given(cluster, "there")["clusterIP"]
    body = service(where, "web", clusterIP=address)
    (change,) = cluster.preview(body)
    assert change.error == f"Service web: spec.clusterIP is {address}, which Service there has."
    elsewhere = service("default", "web", clusterIP=address)
    (change,) = cluster.preview(elsewhere)
    assert (
        change.error == f"Service web: spec.clusterIP is {address}, which another Service of the cluster has."
    )
    with pytest.raises(ApplyError) as refused:
        cluster.deploy(body)
    assert (
        "spec.clusterIPs is taken: another Service of the cluster has this address" in refused.value.message
    )
    cluster.delete(f"{cluster.core}/services/there")
    result, _ = cluster.deploy(body)
    assert result.ok
    (change,) = cluster.preview(body)
    assert (change.error, change.action) == ("", Action.UNCHANGED)


def test_two_that_ask_for_the_same_address_are_refused(cluster: Cluster) -> None:
    address = given(cluster, "there")["clusterIP"]
    cluster.delete(f"{cluster.core}/services/there")
    where = cluster.namespace
    first, second = cluster.preview(
        service(where, "a", clusterIP=address), service(where, "b", clusterIP=address)
    )
    assert first.error == ""
    assert f"spec.clusterIP is {address}, which Service a asks for, too" in second.error


def test_who_may_not_list_the_services_of_others_learns_less_and_previews_all_the_same(
    cluster: Cluster,
) -> None:
    class MayNot:
        def request(self, method: str, path: str, **options: Any) -> Json:
            raise ApiError("forbidden", status=403)

    body = service(cluster.namespace, "web", clusterIP="10.96.0.77")
    assert ungranted(MayNot(), ClusterKinds(cluster.client), manifests(body)) == []  # type: ignore[arg-type]


def test_services_that_name_nothing_cost_no_request(cluster: Cluster) -> None:
    where = cluster.namespace
    bodies = manifests(service(where, "a"), service(where, "b", clusterIP="None"), service(where, "c", 30055))
    assert ungranted(None, ClusterKinds(cluster.client), bodies) == []  # type: ignore[arg-type]
