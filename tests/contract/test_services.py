"""What leads to a pod: Services, their slices, their names, the proxy of the API server."""

import json

import pytest

from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object, has_phase, holds, rolled_out
from tests.contract.manifests import container, deployment, pod, server, service


@pytest.fixture(scope="module")
def web(shared: Namespace) -> Namespace:
    """Have two ready pods behind a Service with a nodePort and behind a headless one."""
    shared.create(
        deployment("web", server(), replicas=2), service("web", type="NodePort"),
        service("headless", clusterIP="None", selector={"app": "web"}),
    )  # fmt: skip
    shared.until("Deployment", "web", rolled_out)
    return shared


def slice_of(namespace: Namespace, name: str) -> Object:
    label = f"kubernetes.io/service-name={name}"
    (found,) = namespace.objects("EndpointSlice", labelSelector=label)
    return found


def addresses_of(namespace: Namespace, app: str) -> set[str]:
    pods = namespace.objects("Pod", labelSelector=f"app={app}")
    return {one["status"]["podIP"] for one in pods}


@pytest.mark.parametrize("name", ["web", "headless"])
def test_a_slice_holds_every_ready_pod(web: Namespace, name: str) -> None:
    def complete() -> Object | None:
        found = slice_of(web, name)
        return found if len(ready_addresses(found)) == 2 else None

    found = wait_for(complete, timeout_s=30, late=lambda: AssertionError("not all are in it"))
    assert ready_addresses(found) == addresses_of(web, "web")
    assert found["ports"][0]["port"] == 8000
    assert {one["targetRef"]["kind"] for one in found["endpoints"]} == {"Pod"}


def ready_addresses(found: Object) -> set[str]:
    ready = [one for one in found["endpoints"] or [] if one["conditions"]["ready"]]
    return {address for one in ready for address in one["addresses"]}


def test_a_node_port_is_given_and_the_proxy_leads_to_the_pod(namespace: Namespace) -> None:
    ports = [{"port": 80, "targetPort": 8000}]
    namespace.create(deployment("seen", server()))
    made = namespace.create(service("seen", type="NodePort", ports=ports))
    namespace.until("Deployment", "seen", rolled_out)
    port = made["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    path = namespace.path("Service", "seen") + ":80/proxy/"
    late = AssertionError("no answer through the Service")
    wait_for(
        lambda: namespace.cluster.request("GET", path, accept="*/*").code == 200 or None,
        timeout_s=30,
        late=lambda: late,
    )


def test_the_api_server_passes_requests_to_pods(web: Namespace) -> None:
    name = web.objects("Pod", labelSelector="app=web")[0]["metadata"]["name"]
    path = web.path("Pod", name) + ":8000/proxy/"
    assert web.cluster.request("GET", path, accept="*/*").code == 200


def test_names_of_services_resolve_in_a_pod(web: Namespace) -> None:
    program = """import json, socket
look = lambda name: sorted({a[4][0] for a in socket.getaddrinfo(name, 80, socket.AF_INET)})
print(json.dumps([look("headless"), look("headless.%s.svc"), look("web.%s.svc.cluster.local")]))
"""
    main = container("python", "-c", program.replace("%s", web.name))
    web.create(pod("asks", main, restartPolicy="Never"))
    web.until("Pod", "asks", has_phase("Succeeded"))
    short, long, cluster_ip = json.loads(web.logs("asks"))
    assert set(short) == set(long) == addresses_of(web, "web")
    assert cluster_ip == [web.read("Service", "web")["spec"]["clusterIP"]]


def test_a_pod_that_is_not_ready_or_is_going_leaves_the_slice(namespace: Namespace) -> None:
    obj = pod("one", server(), terminationGracePeriodSeconds=20)
    hook = {"preStop": {"sleep": {"seconds": 3}}}
    obj["spec"]["containers"][0]["lifecycle"] = hook
    namespace.create(obj, service("one"))
    namespace.until("Pod", "one", holds("Ready"))

    def conditions() -> Object | None:
        endpoints = slice_of(namespace, "one")["endpoints"]
        return endpoints[0]["conditions"] if endpoints else None

    late = AssertionError("the slice did not follow")
    wait_for(lambda: (conditions() or {}).get("ready") or None, timeout_s=30, late=lambda: late)
    namespace.delete("Pod", "one")
    going = {"ready": False, "serving": True, "terminating": True}
    wait_for(lambda: conditions() == going or None, timeout_s=3, late=lambda: late)
    wait_for(lambda: conditions() is None or None, timeout_s=30, late=lambda: late)


def test_a_service_without_a_selector_gets_no_slice(namespace: Namespace) -> None:
    namespace.create(service("bare", selector=None), service("full"))
    late = AssertionError("the other got none either")
    wait_for(lambda: namespace.objects("EndpointSlice") or None, timeout_s=30, late=lambda: late)
    owners = {one["metadata"]["labels"]["kubernetes.io/service-name"]
              for one in namespace.objects("EndpointSlice")}  # fmt: skip
    assert owners == {"full"}


def test_ports_of_services_are_given_once(namespace: Namespace) -> None:
    first = namespace.create(service("first", type="NodePort"))
    taken = first["spec"]["ports"][0]["nodePort"]
    ports = [{"port": 80, "nodePort": taken}]
    answer = namespace.cluster.request(
        "POST", namespace.path("Service"), service("second", type="NodePort", ports=ports)
    )
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert "provided port is already allocated" in answer.message
    address = service("third", clusterIP=first["spec"]["clusterIP"])
    answer = namespace.cluster.request("POST", namespace.path("Service"), address)
    assert "provided IP is already allocated" in answer.message
