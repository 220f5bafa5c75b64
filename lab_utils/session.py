"""One learner's lab: the settings, the chosen backend and its cluster, behind kubectl's verbs.

Every method may be called twice, and each finds again what an earlier kernel left running. This is
the only module that knows all the others; `lab_utils` hands its methods out by name.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab_utils import control, images, manifests, preflight, restore
from lab_utils.api import Object
from lab_utils.attachment import SERVICE
from lab_utils.autoscaler import remove_autoscalers
from lab_utils.backends import Image
from lab_utils.bars import track
from lab_utils.chaos import Faults
from lab_utils.cluster import Applied
from lab_utils.errors import BackendUnavailable, InvalidInput
from lab_utils.failover import Election, SelectorSwitch
from lab_utils.firing import Firing
from lab_utils.hidden import Mystery
from lab_utils.service import (
    ask,
    reachable_services,
    serves_metrics,
    wait_for_answer,
    wait_for_metrics,
)
from lab_utils.settings import project_root
from lab_utils.startups import read_starts

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
_SETTLED_S = 120.0


class Lab(Firing):
    """A lab: nothing is started, and no heavy library imported, before it is needed."""

    @property
    def faults(self) -> Faults:
        """What can be broken: see `lab_utils.chaos.Faults`."""
        return Faults(self.cluster, self.backend)

    def mystery(self, case: int, *, at_s: float = 0.0, duration_s: float = 10.0) -> Mystery:
        """Give a fault that only the charts tell of; the same case is the same for everybody."""
        return Mystery(self.faults, case, at_s, duration_s)

    def doctor(self) -> "pd.DataFrame":
        """Check this machine: one row per check, with what was found and the remedy."""
        import pandas as pd

        rows = [(c.name, c.status, c.found, c.remedy) for c in preflight.examine(self.settings)]
        return pd.DataFrame(rows, columns=["check", "status", "found", "remedy"])

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
            Taken: Another notebook is busy on the cluster and does not end.
        """
        folder = manifests.find_experiment(experiment)
        with self.turns.take():
            self.turns.sign()
            return self._deploy(folder)

    def _deploy(self, folder: Path) -> dict[str, Any]:
        self.up()
        restore.restore_nodes(self.cluster, self.backend)
        self.build_image()
        self.load_image()
        remove_autoscalers(self.cluster)
        restore.remove_altered(self.cluster)
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
        """Delete the namespace with all that is in it and deploy anew; the cluster stays.

        Waits for nobody: whoever is measuring meanwhile is told so.
        """
        self.turns.sign()
        self.up()
        restore.restore_nodes(self.cluster, self.backend)
        with track(f"Deleting namespace {self.backend.namespace}"):
            restore.delete_namespace(self.cluster)
        return self._deploy(manifests.find_experiment(""))

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

    def starts(self) -> "pd.DataFrame":
        """Show what each Ready pod took to start, by CPU limit: see `lab_utils.startups`."""
        self._require_running()
        return read_starts(self.cluster)

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

    def selector_switch(
        self, service: str = "inference-primary", *, cold: bool = False
    ) -> SelectorSwitch:
        """Watch the primary and point its Service at the backup when it fails.

        Args:
            service: Which Service to switch.
            cold: Whether the backup is only started then; see `lab_utils.failover`.
        """
        return SelectorSwitch(self.cluster, service, cold=cold)

    def election(self, service: str = "inference-primary") -> Election:
        """Let primary and backup compete for a Lease, and point a Service at who holds it.

        As client-go does it, with a Lease of 3 s, a deadline of 2 s and a look each 0.5 s.
        """
        return Election(self.cluster, service)

    def by_profile(self, *, full: T, quick: T) -> T:
        """Choose by the setting LAB_PROFILE: long runs for people, short ones for tests."""
        return full if self.settings.profile == "full" else quick


@cache
def lab() -> Lab:
    """Give the lab of this process, made from the environment when first asked for."""
    return Lab()
