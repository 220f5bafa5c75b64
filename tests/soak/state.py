"""Is the cluster where it was told to be? Pure functions from objects to what is still amiss."""

from collections.abc import Collection, ItemsView, Iterable, Iterator
from dataclasses import dataclass

from tests.contract.cluster import Namespace, Object, condition_of, rolled_out
from tests.soak.laws import ready_endpoints, serves

GLUTTON = "glutton"
"""Label app= of pods that eat more memory than they may."""


@dataclass(frozen=True)
class State:
    """The objects of a namespace, each kind listed once."""

    deployments: list[Object]
    replica_sets: list[Object]
    pods: list[Object]
    jobs: list[Object]
    services: list[Object]
    slices: list[Object]

    @classmethod
    def of(cls, namespace: Namespace) -> "State":
        """Look at a namespace."""
        kinds = ("Deployment", "ReplicaSet", "Pod", "Job", "Service", "EndpointSlice")
        return cls(*map(namespace.objects, kinds))

    def unsettled(self) -> list[str]:
        """Say what is not yet as its spec wants it; empty when all is."""
        return [
            *(line for one in self.deployments for line in self._of_deployment(one)),
            *(f"Job {_name(one)} is not Complete" for one in self.jobs if not _complete(one)),
            *(line for one in self.services for line in self._of_service(one)),
            *self._of_pods(),
        ]

    def without_process(self, running: Collection[str]) -> Iterator[str]:
        """Name the pods that serve by the API's word, and of which nothing runs on this machine."""
        for pod in filter(serves, self.pods):
            if _name(pod) not in running:
                yield f"Pod {_name(pod)} is Ready, and has no process"

    def _of_deployment(self, deployment: Object) -> Iterator[str]:
        name, wanted = _name(deployment), deployment["spec"]["replicas"]
        if not rolled_out(deployment):
            yield f"Deployment {name} is not rolled out: {deployment['status']}"
        owned = list(_owned_by(deployment, self.replica_sets))
        counts = sorted(one["spec"]["replicas"] for one in owned)
        if sum(counts) != wanted or counts[-1:] != [wanted]:
            yield f"Deployment {name} has ReplicaSets of {counts}, wants {wanted}"
        pods = [pod for one in owned for pod in _owned_by(one, self.pods)]
        if len(pods) != wanted or not all(map(serves, pods)):
            ready = sum(map(serves, pods))
            yield f"Deployment {name} has {len(pods)} pods, {ready} Ready, wants {wanted}"
        template = deployment["spec"]["template"]["spec"]["containers"][0]
        if any(_said(pod["spec"]["containers"][0]) != _said(template) for pod in pods):
            yield f"Deployment {name} has a pod of another template"

    def _of_service(self, service: Object) -> Iterator[str]:
        wanted = service["spec"]["selector"].items()
        ready = {p["metadata"]["uid"] for p in self.pods if serves(p) and wanted <= _labels(p)}
        owner = {"kubernetes.io/service-name": _name(service)}.items()
        told = {uid for one in self.slices if owner <= _labels(one) for uid in ready_endpoints(one)}
        if told != ready:
            yield f"Service {_name(service)} sends to {len(told)} pods of {len(ready)} Ready"

    def _of_pods(self) -> Iterator[str]:
        sets = {one["metadata"]["uid"] for one in (*self.replica_sets, *self.jobs)}
        for pod in self.pods:
            owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences", ())}
            if "deletionTimestamp" in pod["metadata"]:
                yield f"Pod {_name(pod)} is still ending"
            elif not owners <= sets:
                yield f"Pod {_name(pod)} has lost its owner and is still there"
            elif _app(pod) == GLUTTON and pod["status"].get("phase") != "Failed":
                yield f"Pod {_name(pod)} eats more than its limit: {pod['status'].get('phase')}"


def _app(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("app"))


def _complete(job: Object) -> bool:
    return condition_of(job, "Complete").get("status") == "True"


def _owned_by(owner: Object, objects: Iterable[Object]) -> Iterator[Object]:
    uid = owner["metadata"]["uid"]
    for obj in objects:
        if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences", ())):
            yield obj


def _labels(obj: Object) -> ItemsView[str, str]:
    return obj["metadata"].get("labels", {}).items()


def _said(container: Object) -> tuple[object, ...]:
    return container["image"], container.get("env"), container.get("command")


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
