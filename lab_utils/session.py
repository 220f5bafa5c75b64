"""One learner's lab: the settings, the chosen backend and its cluster, behind kubectl's verbs.

Every method may be called twice, and each finds again what an earlier kernel left running. This is
the only module that knows all the others; `lab_utils` hands its methods out by name.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab_utils import control, images, manifests, preflight, restore, workload
from lab_utils.api import Api, Object
from lab_utils.backends import Backend, Image
from lab_utils.backends.choose import choose
from lab_utils.bars import track
from lab_utils.chaos import Faults
from lab_utils.cluster import Applied, Cluster
from lab_utils.errors import BackendUnavailable, ClusterNotRunning, InvalidInput
from lab_utils.failover import SelectorSwitch
from lab_utils.inside import Pods
from lab_utils.journal import list_journals, next_folder
from lab_utils.sampler import Sampler
from lab_utils.service import (
    ask,
    cluster_url,
    endpoint_urls,
    reachable_services,
    require_reachable,
    serves_metrics,
    wait_for_answer,
    wait_for_metrics,
)
from lab_utils.settings import Settings, load_settings, project_root, state_root

if TYPE_CHECKING:
    import pandas as pd

    from lab_utils.runs import Run

T = TypeVar("T")
SERVICE = "inference"
_SETTLED_S = 120.0


class Lab:
    """A lab: nothing is started, and no heavy library imported, before it is needed.

    Args:
        settings: From the environment by default.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once."""
        return self._given or load_settings()

    @cached_property
    def _chosen(self) -> tuple[Backend, str]:
        return choose(self.settings)

    @property
    def backend(self) -> Backend:
        """The backend that the settings ask for."""
        return self._chosen[0]

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster's API, in the lab's namespace."""
        return Cluster(Api(self.backend.kubeconfig), self.backend.namespace)

    @cached_property
    def faults(self) -> Faults:
        """What can be broken: see `lab_utils.chaos.Faults`."""
        return Faults(self.cluster, self.backend)

    def up(self) -> dict[str, Any]:
        """Attach to the cluster, or start it, and wait until its nodes are Ready.

        Returns:
            What `status()` says.

        Raises:
            BackendUnavailable, ClusterError, PortBusy: It cannot be started; says what to do.
        """
        backend, reason = self._chosen
        with track(f"Cluster {self.settings.cluster!r} on {backend.name}: {reason}") as bar:
            backend.start(bar.say)
            self.__dict__.pop("cluster", None)  # a new cluster has a new address and new keys
            self.__dict__.pop("faults", None)
            bar.say("Waiting for the nodes")
            self.cluster.wait_for_nodes(backend.describe()["nodes"])
        return self.status()

    def down(self) -> bool:
        """End the cluster and everything in it; False when there was none."""
        was_running = self.backend.is_running()
        self.backend.stop()
        return was_running

    def kubeconfig(self) -> Path:
        """Give the path for `kubectl --kubeconfig`."""
        self._require_running()
        return self.backend.kubeconfig

    def doctor(self) -> "pd.DataFrame":
        """Check this machine: one row per check, with what was found and the remedy."""
        import pandas as pd

        rows = [(c.name, c.status, c.found, c.remedy) for c in preflight.examine(self.settings)]
        return pd.DataFrame(rows, columns=["check", "status", "found", "remedy"])

    def status(self) -> dict[str, Any]:
        """Say what runs: backend, where it is found, nodes and pods with their states."""
        backend, reason = self._chosen
        running = backend.is_running()
        status: dict[str, Any] = {
            "cluster": self.settings.cluster,
            "backend": backend.name,
            "reason": reason,
            "running": running,
            "kubeconfig": str(backend.kubeconfig) if running else None,
            "nodes": {},
            "pods": {},
        }
        if running:
            status["nodes"] = _column(self.cluster.get("nodes"), "Status")
            status["pods"] = _column(self.cluster.get("pods"), "Status")
        return status

    def build_image(self, tag: str = images.WORKER) -> Image:
        """Build the worker's image from worker/Dockerfile; the same content is built once."""
        with track(f"Building {tag}") as bar:
            return images.build(self.backend, self.settings, tag, bar.say)

    def load_image(self, tag: str = images.WORKER) -> None:
        """Load an image into every node; a second time does nothing."""
        with track(f"Loading {tag} into every node") as bar:
            images.load(self.backend, tag, bar.say)

    def apply(self, path: str | Path | None = None) -> list[Applied]:
        """Apply manifests: the lab's own (manifests/) by default.

        Args:
            path: A file, a folder or a kustomization.

        Returns:
            One entry per object: created, configured or unchanged.

        Raises:
            ManifestError: A file cannot be read or the server refuses it; says where and why.
        """
        self._require_running()
        found = manifests.read(path or project_root() / "manifests")
        return self.cluster.apply(replace(m, object=self.backend.adapt(m.object)) for m in found)

    def wait(self, *, timeout_s: float = _SETTLED_S) -> None:
        """Wait until every Deployment is rolled out and its Service answers.

        Raises:
            NotReady: Not so in time, or never: names pods, states and the next step.
        """
        self._require_running()
        with track("Pods ready") as bar:
            self.cluster.wait(timeout_s=timeout_s, progress=bar.reach)
            for name in reachable_services(self.cluster):
                wait_for_answer(self.url(name, "/v2/health/ready"))

    def ensure(self, experiment: str = "") -> dict[str, Any]:
        """Bring the lab to its known state: cluster up, nodes on, workload as in manifests/.

        Attaches or creates, undoes what faults and experiments have left, and is quick when there
        is nothing to do. Every notebook starts with it.

        Args:
            experiment: A folder of manifests/experiments/ to deploy instead, such as "control".

        Returns:
            What `status()` says.

        Raises:
            InvalidInput: There is no such experiment; names those there are.
        """
        folder = manifests.find_experiment(experiment)
        self.up()
        restore.restore_nodes(self.cluster, self.backend)
        self.build_image()
        self.load_image()
        wanted = self.apply(folder)
        restore.remove_others(self.cluster, wanted)
        restore.replace_spoiled_pods(self.cluster)
        self.wait()
        return self.status()

    def ensure_metrics(self) -> None:
        """Have metrics.k8s.io answer, which `kubectl top` and a HorizontalPodAutoscaler ask.

        Applies manifests/experiments/metrics-server where the cluster has nothing of its own.

        Raises:
            BackendUnavailable: It has none, and is somebody else's.
            NotReady: Nothing was measured in two minutes.
        """
        self._require_running()
        if not serves_metrics(self.cluster):
            if self.backend.intent():
                raise BackendUnavailable(
                    "metrics.k8s.io is not answered here, and the lab installs nothing for a whole "
                    "cluster that is not its own. Ask its administrator for metrics-server."
                )
            self.apply(project_root() / "manifests" / "experiments" / "metrics-server")
        with track("Waiting for figures of metrics.k8s.io"):
            wait_for_metrics(self.cluster)

    def reset(self) -> dict[str, Any]:
        """Delete the namespace with all that is in it and deploy anew; the cluster stays."""
        self.up()
        restore.restore_nodes(self.cluster, self.backend)
        with track(f"Deleting namespace {self.backend.namespace}"):
            restore.delete_namespace(self.cluster)
        return self.ensure()

    def get(self, kind: str, name: str = "", *, selector: str = "") -> "pd.DataFrame":
        """Show objects as `kubectl get` does, as a table."""
        self._require_running()
        return self.cluster.get(kind, name, selector=selector)

    def pods(self, selector: str = "") -> list[Object]:
        """Give the pods as objects, for what the table does not show."""
        self._require_running()
        return self.cluster.pods(selector)

    def infer(self, service: str = SERVICE, **parameters: float) -> Object:
        """Send one inference request over a connection of its own.

        Args:
            service: Which Service to ask.
            parameters: As the worker takes them, such as service_ms=20.

        Returns:
            The answer of the Open Inference Protocol, with pod, node, role and times in parameters.

        Raises:
            ClusterError: No answer, or an error; says which.
        """
        self._require_running()
        return ask(self.url(service, "/v2/models/clock/infer"), parameters)

    def scale(self, deployment: str, replicas: int) -> None:
        """Set the number of replicas of a Deployment; wait() waits for them."""
        self._require_running()
        self.cluster.scale(deployment, replicas)

    def patch(self, kind: str, name: str, change: Object) -> None:
        """Change a part of an object, as `kubectl patch` does; wait() waits for the rollout."""
        self._require_running()
        self.cluster.patch(kind, name, change)

    def configure(self, role: str, **settings: Any) -> dict[str, Any]:
        """Change settings of every worker of a role while it runs: see `lab_utils.control`."""
        self._require_running()
        return control.configure(self.cluster, role, settings)

    def logs(self, pod: str, *, tail: int | None = None, previous: bool = False) -> str:
        """Read what a pod has written."""
        self._require_running()
        return self.cluster.logs(pod, tail=tail, previous=previous)

    def export_logs(self, folder: str | Path) -> Path:
        """Write the logs of the cluster, its nodes and its pods into a folder, to look for help."""
        self._require_running()
        folder = Path(folder).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with track(f"Exporting logs to {folder}") as bar:
                self.backend.export_logs(folder, bar.say)
        except OSError as exc:
            raise InvalidInput(
                f"The logs cannot be written to {folder}: {exc.strerror}. Name another folder."
            ) from exc
        return folder

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object; False if it was not there."""
        self._require_running()
        return self.cluster.delete(kind, name)

    def url(self, service: str = SERVICE, path: str = "") -> str:
        """Give the address at which a Service answers this machine.

        Raises:
            InvalidInput: The Service is not meant to be reached from outside.
        """
        self._require_running()
        found = self.cluster.api.read("service", self.backend.namespace, service)
        return self.backend.service_url(found) + path

    def fire(
        self,
        *,
        rate_rps: float | None = None,
        duration_s: float | None = None,
        service: str = SERVICE,
        failover: Sequence[str] = (),
        inside: int = 0,
        **options: Any,
    ) -> "Run":
        """Send requests to a Service in an open loop and sample the pods meanwhile.

        Args:
            rate_rps: Mean requests per second.
            duration_s: How long, in seconds.
            service: Which Service to ask.
            failover: Services that the client asks next, in this order, when one fails it.
            inside: From how many pods of the cluster, each with its share of one schedule; 0 sends
                from this machine.
            options: As `lab_utils.workload.fire` takes them: arrivals, faults, seed (of the
                settings by default), progress, and how the client behaves: timeout_s, keep_alive,
                service_ms, retries, hedge, balance.

        Returns:
            The run: tables of requests, usage, events, faults and outages on one clock.
        """
        pods = self._load_pods(inside) if inside else None
        observed = self._observed()
        if options.get("balance") and not inside:
            observed["endpoints"] = partial(observed["usage"].endpoints, service)
        return workload.fire(
            self._address(service, options, pods),
            rate_rps=rate_rps,
            duration_s=duration_s,
            failover=[str(self._address(name, {}, pods)) for name in failover],
            inside=pods,
            **observed | options,
        )

    def _load_pods(self, count: int) -> Pods:
        """Have the load generator's image where pods can be made of it."""
        self._require_running()
        with track(f"Loading {images.LOAD}") as bar:
            images.build(self.backend, self.settings, images.LOAD, bar.say)
            images.load(self.backend, images.LOAD, bar.say)
        (job,) = manifests.read(project_root() / "manifests" / "load" / "job.yaml")
        return Pods(self.cluster, replace(job, object=self.backend.adapt(job.object)), count)

    def fire_closed(self, *, count: int, service: str = SERVICE, **options: Any) -> "Run":
        """Send requests one at a time, each when the answer before has come.

        Args:
            count: How many.
            service: Which Service to ask.
            options: As `lab_utils.workload.fire_closed` takes them: users, think_s, and how the
                client behaves.
        """
        url = self._address(service, options)
        return workload.fire_closed(url, count=count, **self._observed() | options)

    def history(self) -> "pd.DataFrame":
        """List what is kept of the last runs, the newest first; `lab.Run.load` reads one.

        Each run is written down while it lasts, so that it outlives a kernel that dies. Of such a
        run there are the requests; `run.save` keeps everything, for as long as you like.
        """
        return list_journals(self._runs_root)

    def selector_switch(self, service: str = "inference-primary") -> SelectorSwitch:
        """Watch the primary and point its Service at the backup when it fails; see failover.py."""
        return SelectorSwitch(self.cluster, service)

    def by_profile(self, *, full: T, quick: T) -> T:
        """Choose by the setting LAB_PROFILE: long runs for people, short ones for tests."""
        return full if self.settings.profile == "full" else quick

    @property
    def _runs_root(self) -> Path:
        return state_root(self.settings) / "runs"

    def _address(
        self, service: str, options: dict[str, Any], inside: Pods | None = None
    ) -> str | list[str]:
        """Give the Service's own address, or those of its pods if the client is to choose."""
        if options.get("balance"):
            urls = endpoint_urls(self.cluster, service)
            if not inside:
                require_reachable(urls[0])
            return urls
        return cluster_url(self.cluster, service) if inside else self.url(service)

    def _observed(self) -> dict[str, Any]:
        return {
            "usage": Sampler(self.cluster),
            "backend": self.backend.name,
            "folder": next_folder(self._runs_root),
            "seed": self.settings.seed,
        }

    def fidelity(self) -> "pd.DataFrame":
        """Say what is real and what is emulated on this backend, one aspect a row."""
        import pandas as pd

        rows = [
            (item.aspect, "real" if item.real else "emulated", item.how)
            for item in self.backend.fidelity()
        ]
        return pd.DataFrame(rows, columns=["aspect", "this backend", "how"])

    def _require_running(self) -> None:
        if not self.backend.is_running():
            raise ClusterNotRunning(
                f"Cluster {self.settings.cluster!r} ({self.backend.name}) is not running. "
                "Start it: lab.up() in a notebook, `lab up` in a terminal."
            )


@cache
def lab() -> Lab:
    """Give the lab of this process, made from the environment when first asked for."""
    return Lab()


def _column(table: "pd.DataFrame", column: str) -> dict[str, str]:
    return dict(zip(table["Name"], table[column], strict=True))
