"""The cluster under test, through the official client: raw answers, objects as dicts, waiting.

Nothing here knows which backend the cluster came from.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import client, config

from lab_utils.api import Api
from lab_utils.waiting import wait_for

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
SEEN_WITHIN_S = 60.0
Object = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the server said, whatever it said."""

    code: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Object:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def reason(self) -> str:
        """The reason of a Status."""
        return self.body["reason"]

    @property
    def message(self) -> str:
        """The message of a Status."""
        return self.body["message"]


class Cluster:
    """One API server: `client` is the official client, `request` shows the bare answer."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.client = config.new_client_from_config(str(kubeconfig))
        self.core = client.CoreV1Api(self.client)
        self.apps = client.AppsV1Api(self.client)
        self._api = Api(kubeconfig)

    def path(self, kind: str, namespace: str | None = None, name: str = "") -> str:
        """Give the path of a kind, or of one object."""
        return self._api.path_of(kind, namespace, name)

    def request(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        """Send a request as open() does, and take the answer as it is."""
        response = self.open(method, path, body, **options)
        return Answer(response.status, response.headers, response.data.decode())

    def open(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        stream: bool = False,
        **query: object,
    ) -> Any:
        """Send a request; a text as it is. With stream=True the body stays to be read."""
        headers = {"Accept": accept, "Content-Type": content_type}
        for setting in self.client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        url = self.client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        text = body if isinstance(body, str | None) else json.dumps(body)
        return self.client.rest_client.pool_manager.request(
            method, url, body=text, headers=headers, preload_content=not stream, retries=False
        )

    def nodes(self) -> list[str]:
        """Name the nodes that take ordinary pods."""
        taken = [node for node in self.core.list_node().items if not node.spec.taints]
        return sorted(node.metadata.name for node in taken)


class Namespace:
    """One namespace of the cluster, as a test uses it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def create(self, *objects: Object) -> Object:
        """Create objects and give the last of them as the server made it."""
        for obj in objects:
            answer = self.cluster.request("POST", self.path(obj["kind"]), obj)
            assert answer.code == 201, answer.text
        return answer.body

    def path(self, kind: str, name: str = "") -> str:
        """Give the path of a kind in this namespace, or of one object."""
        return self.cluster.path(kind, self.name, name)

    def read(self, kind: str, name: str) -> Object | None:
        """Read an object; None if it is not there."""
        answer = self.cluster.request("GET", self.path(kind, name))
        assert answer.code in (200, 404), answer.text
        return answer.body if answer.code == 200 else None

    def objects(self, kind: str, **query: str) -> list[Object]:
        """List the objects of a kind."""
        return self.cluster.request("GET", self.path(kind), **query).body["items"]

    def patch(self, kind: str, name: str, body: object, content_type: str = MERGE) -> Answer:
        """Patch an object."""
        path = self.path(kind, name)
        return self.cluster.request("PATCH", path, body, content_type=content_type)

    def delete(self, kind: str, name: str, **options: object) -> Answer:
        """Delete an object with DeleteOptions."""
        return self.cluster.request("DELETE", self.path(kind, name), options)

    def events(self, name: str) -> list[str]:
        """Give the reasons of the Events about an object, oldest first."""
        found = self.objects("Event", fieldSelector=f"involvedObject.name={name}")
        found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in found]

    def story(self, name: str) -> str:
        """Tell what became of the pods whose names begin so, and what is known of it."""
        pods = [pod for pod in self.objects("Pod") if pod["metadata"]["name"].startswith(name)]
        events = [e for e in self.objects("Event") if e["involvedObject"]["name"].startswith(name)]
        lines = [f"{pod['metadata']['name']}: {pod['status']}" for pod in pods]
        lines += [f"{e['involvedObject']['name']}: {e['reason']}: {e['message']}" for e in events]
        return "\n".join(lines)

    def until(
        self,
        kind: str,
        name: str,
        condition: Callable[[Object], object],
        timeout_s: float = SEEN_WITHIN_S,
    ) -> Object:
        """Wait until an object is there and as it should be; give it."""

        def look() -> Object | None:
            obj = self.read(kind, name)
            return obj if obj and condition(obj) else None

        def late() -> AssertionError:
            return AssertionError(f"{kind} {name} not so within {timeout_s} s:\n{self.story(name)}")

        return wait_for(look, timeout_s=timeout_s, late=late)

    def until_gone(self, kind: str, name: str, timeout_s: float = SEEN_WITHIN_S) -> None:
        """Wait until an object is not there any more."""
        late = AssertionError(f"{kind} {name} still there after {timeout_s} s")
        wait_for(
            lambda: True if self.read(kind, name) is None else None,
            timeout_s=timeout_s,
            late=lambda: late,
        )

    def logs(self, pod: str, **query: object) -> str:
        """Read a pod's log."""
        return self.cluster.request("GET", self.path("Pod", pod) + "/log", **query).text


def condition_of(obj: Object, name: str) -> Object:
    """Find a condition of an object's status; empty if it is not there."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == name), {})


def holds(name: str, status: str = "True") -> Callable[[Object], bool]:
    """Make a condition for `until`: the object's condition of this name has this status."""
    return lambda obj: condition_of(obj, name).get("status") == status


def has_phase(phase: str) -> Callable[[Object], bool]:
    """Make a condition for `until`: the object is in this phase."""
    return lambda obj: obj["status"].get("phase") == phase


def rolled_out(deployment: Object) -> bool:
    """Tell whether a Deployment is where it was told to be."""
    status, replicas = deployment["status"], deployment["spec"]["replicas"]
    counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
    observed = status.get("observedGeneration") == deployment["metadata"]["generation"]
    return observed and counts == [replicas] * 3
