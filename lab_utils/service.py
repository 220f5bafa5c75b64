"""One request to a Service, outside any run: is it there, and what does it say?"""

import json
import socket
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from lab_utils.api import Object, label_selector
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.errors import ClusterError, NotFound, NotReady
from lab_utils.states import ready_urls
from lab_utils.waiting import wait_for

_INPUT = {"name": "input", "shape": [1], "datatype": "FP32", "data": [1.0]}


def ask(url: str, parameters: Mapping[str, object]) -> Object:
    """Send one inference request over a connection of its own.

    Args:
        url: The infer route.
        parameters: As the worker takes them.

    Returns:
        The answer of the Open Inference Protocol.

    Raises:
        ClusterError: No answer, or an error; says which.
    """
    body = json.dumps({"inputs": [_INPUT], "parameters": dict(parameters)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - always http
    try:
        with urllib.request.urlopen(request, timeout=10.0) as response:  # noqa: S310 - the same
            answer: Object = json.load(response)
    except OSError as exc:
        raise ClusterError(f"Asking {url}: {exc}. Look with lab.get('pods').") from exc
    return answer


def endpoint_urls(cluster: Cluster, service: str) -> list[str]:
    """Give the base URLs of the Ready pods behind a Service, past the Service itself.

    Raises:
        NotReady: There are none.
    """
    urls = ready_urls(cluster.api.list("endpointslices", cluster.namespace), service)
    if not urls:
        raise NotReady(f"Service {service} has no Ready pod to choose from: lab.wait()")
    return urls


def is_reachable(url: str) -> bool:
    """Tell whether this machine has a way to a pod."""
    return _find_obstacle(url) is None


def require_reachable(url: str) -> None:
    """Check that this machine has a way to a pod.

    Raises:
        ClusterError: It has none; says what to do.
    """
    if (obstacle := _find_obstacle(url)) is not None:
        raise ClusterError(
            f"Pods cannot be reached from this machine ({url}: {obstacle}), so the client cannot "
            "choose among them. Leave out balance, or send the load from inside the cluster: "
            "inside=2."
        ) from obstacle


def _find_obstacle(url: str) -> OSError | None:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1.0).close()
    except OSError as exc:
        return exc
    return None


def reachable_services(cluster: Cluster) -> list[str]:
    """Name the Services that this machine can reach and that have a Ready pod behind them."""
    services = cluster.api.list("services", cluster.namespace)
    return [
        service["metadata"]["name"]
        for service in services
        if service["spec"]["type"] == "NodePort"
        and any(map(is_ready, cluster.pods(label_selector(service["spec"]["selector"]))))
    ]


def wait_for_answer(url: str) -> None:
    """Wait until a route answers: a Service learns of a new pod up to a second after it is Ready.

    Raises:
        NotReady: It does not answer in half a minute.
    """
    late = NotReady(
        f"Every pod is Ready, but {url} does not answer. "
        "Look with lab.get('endpointslices') and lab.get('events')."
    )
    wait_for(lambda: _answers(url), timeout_s=30.0, late=lambda: late)


def _answers(url: str) -> bool | None:
    try:
        with urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - always http
            return True
    except OSError:
        return None


def cluster_url(cluster: Cluster, service: str) -> str:
    """Give the address of a Service for those inside the cluster."""
    found = cluster.api.read("service", cluster.namespace, service)
    port = found["spec"]["ports"][0]["port"]
    return f"http://{service}.{cluster.namespace}.svc.cluster.local:{port}"


def serves_metrics(cluster: Cluster) -> bool:
    """Tell whether anything is there to measure nodes and pods, ready or not."""
    return _metrics(cluster) is not None


def wait_for_metrics(cluster: Cluster, timeout_s: float = 120.0) -> None:
    """Wait until metrics.k8s.io has figures.

    Raises:
        NotReady: It has none in time.
    """
    late = NotReady(
        f"metrics.k8s.io has no figures after {timeout_s:g} s. Look with `kubectl -n kube-system "
        "get pods`: can the node pull metrics-server's image?"
    )
    wait_for(lambda: _metrics(cluster) or None, timeout_s=timeout_s, late=lambda: late)


def _metrics(cluster: Cluster) -> list[Object] | None:
    """Give the nodes' figures; none while there are none yet, None where nobody measures."""
    path = "/apis/metrics.k8s.io/v1beta1/nodes"
    try:
        figures: list[Object] = json.loads(cluster.api.request("Measuring", "GET", path))["items"]
    except NotFound:
        return None
    except ClusterError as exc:
        if exc.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return []  # registered, and not ready yet
    return figures
