"""What a learner does with a cluster: apply, get, wait, scale, logs, delete. kubectl's verbs.

Works on any cluster that a kubeconfig names and never asks which kind of cluster it is. Objects
are dicts as on the wire; what is meant to be looked at is a pandas table.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from lab_utils.api import Api, Object
from lab_utils.conditions import (
    is_ready,
    is_rolled_out,
    is_terminating,
    raise_if_hopeless,
    state_of,
)
from lab_utils.errors import (
    ClusterError,
    ClusterNotRunning,
    InvalidInput,
    ManifestError,
    NotFound,
    NotReady,
)
from lab_utils.manifests import Manifest
from lab_utils.waiting import wait_for

if TYPE_CHECKING:
    import pandas as pd

FIELD_MANAGER = "k8s-inference-lab"
CORDONED_LABEL = "k8s-inference-lab/cordoned-by"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Applied:
    """What apply did to one object: created, configured or unchanged."""

    kind: str
    name: str
    outcome: str

    def __str__(self) -> str:
        """Write it as kubectl does."""
        return f"{self.kind.lower()}/{self.name} {self.outcome}"


class Cluster:
    """One namespace of a cluster, seen through its API.

    Args:
        api: The connection.
        namespace: Where namespaced objects are looked for when nothing else is said.
    """

    def __init__(self, api: Api, namespace: str = "lab") -> None:
        self.api, self.namespace = api, namespace

    def apply(self, manifests: Iterable[Manifest]) -> list[Applied]:
        """Make the cluster hold these objects (server-side apply); twice changes nothing.

        All of them are tried first (a dry run), so that a mistake in the last leaves no trace of
        those before.

        Raises:
            ManifestError: The server refused one; says which file, line and field.
        """
        wanted = list(manifests)
        spaces = {manifest.name for manifest in wanted if manifest.kind == "Namespace"}
        for manifest in wanted:
            self._try(manifest, spaces)
        return [self._apply_one(manifest) for manifest in wanted]

    def _try(self, manifest: Manifest, spaces: Collection[str]) -> None:
        """Have the server check an object; one in a namespace that comes with it is taken as is."""
        try:
            self._send(manifest, ("dryRun", "All"))
        except ManifestError as exc:
            space = manifest.object["metadata"].get("namespace", self.namespace)
            if not (isinstance(exc.__cause__, NotFound) and space in spaces):
                raise

    def _apply_one(self, manifest: Manifest) -> Applied:
        before = self._version_of(self.api.path_for(manifest.object, self.namespace))
        after = json.loads(self._send(manifest))["metadata"]["resourceVersion"]
        outcome = "created" if before is None else "unchanged" if before == after else "configured"
        return Applied(manifest.kind, manifest.name, outcome)

    def _send(self, manifest: Manifest, *options: tuple[str, str]) -> str:
        query = [("fieldManager", FIELD_MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        action = f"Applying {manifest.kind} {manifest.name} from {manifest.where}"
        try:
            path = self.api.path_for(manifest.object, self.namespace)
            return self.api.request(
                action,
                "PATCH",
                path,
                query=[*query, *options],
                body=manifest.object,
                content_type=_APPLY,
            )
        except ClusterNotRunning:
            raise
        except InvalidInput as exc:
            raise ManifestError(f"{action}: {exc}") from exc
        except ClusterError as exc:
            raise ManifestError(f"{exc}. Correct the manifest and apply it again.") from exc

    def _version_of(self, path: str) -> str | None:
        try:
            obj = json.loads(self.api.request("Looking", "GET", path))
        except NotFound:
            return None
        version: str = obj["metadata"]["resourceVersion"]
        return version

    def get(self, kind: str, name: str = "", *, selector: str = "") -> "pd.DataFrame":
        """Show objects as `kubectl get` does, columns and all.

        Args:
            kind: A kind as kubectl knows it: "pods", "po", "deploy", "nodes".
            name: One object; all of the kind by default.
            selector: Label selector, such as "role=primary".

        Returns:
            One row per object in this namespace (or the cluster, for kinds without namespace).
        """
        import pandas as pd

        table = self.api.table(kind, self.namespace, name, selector)
        columns = table["columnDefinitions"]
        shown = [i for i, column in enumerate(columns) if column.get("priority", 0) == 0]
        rows = [[row["cells"][i] for i in shown] for row in table.get("rows") or []]
        return pd.DataFrame(rows, columns=[columns[i]["name"] for i in shown])

    def scale(self, deployment: str, replicas: int) -> None:
        """Set the number of replicas of a Deployment.

        Raises:
            InvalidInput: replicas is not a whole number from 0 on.
        """
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
            raise InvalidInput(
                f"replicas is {replicas!r}: want a whole number from 0 on, such as 2"
            )
        path = self.api.path_of("deployments", self.namespace, deployment) + "/scale"
        action = f"Scaling Deployment {self.namespace}/{deployment}"
        body = {"spec": {"replicas": replicas}}
        self.api.request(action, "PATCH", path, body=body, content_type=_MERGE)

    def logs(self, pod: str, *, tail: int | None = None, previous: bool = False) -> str:
        """Read what a pod has written; of the container before this one if previous."""
        path = self.api.path_of("pods", self.namespace, pod) + "/log"
        query = [("previous", "true")] if previous else []
        query += [("tailLines", str(tail))] if tail is not None else []
        action = f"Reading the log of Pod {self.namespace}/{pod}"
        return self.api.request(action, "GET", path, query=query, accept="*/*")

    def delete(self, kind: str, name: str, *, grace_s: int | None = None) -> bool:
        """Delete an object and, in the background, what it owns; False if it was not there."""
        path = self.api.path_of(kind, self.namespace, name)
        query = [("propagationPolicy", "Background")]
        query += [("gracePeriodSeconds", str(grace_s))] if grace_s is not None else []
        try:
            self.api.request(f"Deleting {kind} {name}", "DELETE", path, query=query)
        except NotFound:
            return False
        return True

    def pods(self, selector: str = "") -> list[Object]:
        """Give the pods of the namespace as objects."""
        return self.api.list("pods", self.namespace, selector)

    def deployments(self, selector: str = "") -> list[Object]:
        """Give the Deployments of the namespace as objects."""
        return self.api.list("deployments", self.namespace, selector)

    def nodes(self) -> list[Object]:
        """Give the nodes as objects."""
        return self.api.list("nodes")

    def list_at(self, kind: str) -> tuple[Sequence[Object], str]:
        """List a kind of the namespace (or the nodes), with the version that watch() needs."""
        return self.api.list_at(kind, self._namespace_of(kind))

    def watch(self, kind: str, version: str, timeout_s: int) -> Iterator[Object]:
        """Watch a kind of the namespace (or the nodes) from a version on, for so long."""
        return self.api.watch(kind, self._namespace_of(kind), version, timeout_s=timeout_s)

    def _namespace_of(self, kind: str) -> str | None:
        return None if kind == "nodes" else self.namespace

    def proxy_node(self, node: str, path: str) -> str:
        """Ask a node's kubelet something, through the API server."""
        root = self.api.path_of("nodes", None, node)
        action = f"Asking the kubelet of Node {node} for {path}"
        return self.api.request(action, "GET", f"{root}/proxy{path}", accept="*/*", timeout_s=3.0)

    def proxy_pod(
        self,
        pod: str,
        port: int | str,
        path: str,
        *,
        method: str = "GET",
        body: object = None,
        timeout_s: float = 3.0,
    ) -> str:
        """Ask a pod something over HTTP, through the API server."""
        root = self.api.path_of("pods", self.namespace, f"{pod}:{port}").replace("%3A", ":")
        action = f"Asking Pod {self.namespace}/{pod} for {path}"
        return self.api.request(
            action, method, f"{root}/proxy{path}", body=body, accept="*/*", timeout_s=timeout_s
        )

    def cordon(self, node: str) -> bool:
        """Keep the scheduler from using a node; marked as the doing of this namespace's lab.

        Returns:
            False if somebody had done so before; then it stays theirs to undo.
        """
        if self.is_cordoned(node):
            return False
        self._mark(f"Cordoning Node {node}", node, self.namespace, unschedulable=True)
        return True

    def is_cordoned(self, node: str) -> bool:
        """Tell whether the scheduler is kept from using a node, by whomever."""
        return bool(self.api.read("nodes", None, node)["spec"].get("unschedulable"))

    def uncordon(self, node: str) -> None:
        """Let the scheduler use a node again."""
        self._mark(f"Uncordoning Node {node}", node, None, unschedulable=None)

    def _mark(self, action: str, node: str, by: str | None, *, unschedulable: bool | None) -> None:
        labels = {"labels": {CORDONED_LABEL: by}}
        change = {"metadata": labels, "spec": {"unschedulable": unschedulable}}
        self._patch(action, "nodes", node, change)

    def nodes_cordoned(self) -> list[str]:
        """Name the nodes that cordon() was called for and uncordon() was not."""
        found = self.api.list("nodes", None, f"{CORDONED_LABEL}={self.namespace}")
        return [node["metadata"]["name"] for node in found]

    def evict(self, pod: str) -> bool:
        """Ask for a pod's eviction, as `kubectl drain` does; False if a budget forbids it now."""
        path = self.api.path_of("pods", self.namespace, pod) + "/eviction"
        metadata = {"name": pod, "namespace": self.namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        try:
            self.api.request(f"Evicting Pod {self.namespace}/{pod}", "POST", path, body=body)
        except ClusterError as exc:
            if exc.code != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            return False
        return True

    def patch(self, kind: str, name: str, change: Object) -> None:
        """Change a part of an object, as `kubectl patch` does (strategic merge).

        Raises:
            ClusterError: The server refuses it; says which field.
        """
        action = f"Patching {kind} {self.namespace}/{name}"
        self._patch(action, kind, name, change, content_type=_STRATEGIC)

    def _patch(
        self, action: str, kind: str, name: str, body: Object, content_type: str = _MERGE
    ) -> None:
        path = self.api.path_of(kind, self.namespace, name)
        self.api.request(action, "PATCH", path, body=body, content_type=content_type)

    def wait_for_nodes(self, names: Collection[str], *, timeout_s: float = 60.0) -> None:
        """Wait until every one of these nodes has joined and is Ready.

        Raises:
            NotReady: Some are not, after timeout_s seconds.
        """

        def missing() -> list[str]:
            ready = {node["metadata"]["name"] for node in self.nodes() if is_ready(node)}
            return sorted(set(names) - ready)

        def late() -> Exception:
            return NotReady(
                f"Nodes {', '.join(missing())} not Ready after {timeout_s:g} s. "
                "Look with lab.get('nodes'); lab.reset() starts them again."
            )

        wait_for(lambda: None if missing() else True, timeout_s=timeout_s, late=late)

    def wait(
        self, *, timeout_s: float = 60.0, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Wait until every Deployment of the namespace runs what it should, and no more.

        Args:
            timeout_s: How long to wait, in seconds.
            progress: Told (pods ready, pods wanted) at every look.

        Raises:
            NotReady: Not so after timeout_s seconds, or a pod cannot start whatever the time.
        """

        def settled() -> bool | None:
            deployments = self.deployments()
            pods = self.pods()
            raise_if_hopeless(pods)
            wanted = sum(deployment["spec"]["replicas"] for deployment in deployments)
            ready = sum(is_ready(pod) for pod in pods if "ownerReferences" in pod["metadata"])
            if progress is not None:
                progress(min(wanted, ready), wanted)
            # Pods are counted too: a Deployment's status is old news for a moment after a change.
            if ready < wanted or not all(map(is_rolled_out, deployments)):
                return None
            return True if not any(map(is_terminating, pods)) else None

        wait_for(settled, timeout_s=timeout_s, late=lambda: self._not_ready(timeout_s))

    def _not_ready(self, timeout_s: float) -> NotReady:
        late = [d for d in self.deployments() if not is_rolled_out(d)]
        pods = self.pods()
        counts = [
            f"{d['metadata']['name']}: {d['status'].get('readyReplicas', 0)} of "
            f"{d['spec']['replicas']} replicas ready"
            for d in late
        ]
        reasons = [
            f"{pod['metadata']['name']}: {state_of(pod)}" for pod in pods if not is_ready(pod)
        ]
        return NotReady(
            f"Namespace {self.namespace} not settled after {timeout_s:g} s: "
            + "; ".join(counts + reasons)
            + ". Look closer with lab.get('events') and lab.logs(POD)."
        )
