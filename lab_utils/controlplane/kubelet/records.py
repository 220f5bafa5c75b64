"""What the kubelet knows about each container of a pod, and what it starts next.

A record changes as its container starts, ends, waits, or is found again after a boot. to_start and
is_over are pure decisions on the records: init containers run one after the other, then all others
at once; an ended container is started again as restartPolicy says. A sidecar is an init container
that restarts always; it has only to start up before the next one's turn. Source:
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lab_utils.controlplane.kubelet.images import Image
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now

_EPOCH = "1970-01-01T00:00:00Z"
_MESSAGE_CHARS = 4096


@dataclass
class ContainerRecord:
    """One container of a pod, in the words of the API."""

    spec: Object
    is_init: bool = False
    state: Object = field(default_factory=dict)
    last_state: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    uid: int | None = None
    begun: bool = False
    """It was started in this boot of the pod."""

    @property
    def name(self) -> str:
        """Give the container's name."""
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        """Tell whether it is an init container that stays."""
        return self.is_init and self.spec.get("restartPolicy") == "Always"

    @property
    def runs_to_end(self) -> bool:
        """Tell whether it is an init container that the others wait for to end."""
        return self.is_init and not self.is_sidecar

    @property
    def initialized(self) -> bool:
        """Tell whether the containers after it may start, for all that it cares."""
        return self.succeeded if self.runs_to_end else self.started

    @property
    def running(self) -> bool:
        """Tell whether its process runs."""
        return "running" in self.state

    @property
    def ended(self) -> Object | None:
        """Give how it ended last, while it does not run."""
        state = {} if self.running else self.last_state | self.state
        found: Object | None = state.get("terminated")
        return found

    @property
    def has_run(self) -> bool:
        """Tell whether it is an init container that is done, or any other that runs or ran."""
        return self.succeeded if self.runs_to_end else self.running or self.ended is not None

    @property
    def succeeded(self) -> bool:
        """Tell whether it ended, with exit code 0."""
        return "terminated" in self.state and self.state["terminated"]["exitCode"] == 0

    @property
    def field_path(self) -> str:
        """Name it as an Event's involvedObject does."""
        return f"spec.{'initContainers' if self.is_init else 'containers'}{{{self.name}}}"

    def restore(self, status: Object) -> bool:
        """Take over what an earlier boot of this node said; True if the container was lost."""
        self.restart_count = status.get("restartCount", 0)
        self.last_state = status.get("lastState") or {}
        self.image, self.image_id = status.get("image", ""), status.get("imageID", "")
        self.container_id = status.get("containerID", "")
        state: Object = status.get("state") or {}
        if "terminated" in state:
            self.state = state
        if "running" in state:
            self.state = self._terminated(255, "Unknown", state["running"]["startedAt"], utc_now())
        return "running" in state

    def start(self, container: Container, image: Image, uid: int | None) -> None:
        """Note that the container runs."""
        self._begin_run(container.id, image)
        self.state = {"running": {"startedAt": rfc3339(container.started_at)}}
        self.uid = uid
        self.started = self.runs_to_end or "startupProbe" not in self.spec
        self.ready = self.started and not self.runs_to_end and "readinessProbe" not in self.spec

    def fail_to_start(self, image: Image, message: str) -> None:
        """Note that the command could not be executed."""
        self._begin_run(secrets.token_hex(32), image)
        self.last_state = self._terminated(128, "StartError", _EPOCH, utc_now(), message=message)
        self.state = {"waiting": {"reason": "RunContainerError", "message": message}}

    def end(self, container: Container) -> None:
        """Note that the main process has ended."""
        code = container.exit_code or 0
        reason = "Error" if code else "Completed"
        if container.cgroup.oom_killed and code == 137:
            reason = "OOMKilled"
        finished = container.finished_at or utc_now()
        self.state = self._terminated(code, reason, rfc3339(container.started_at), finished)
        self.ready = self.started = False

    def wait(self, reason: str, message: str) -> None:
        """Note why the container does not run; how it ended before stays known."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason, "message": message[:_MESSAGE_CHARS]}}

    def start_over(self) -> None:
        """Note that an init container is to run again: its pod lost all it had."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": "PodInitializing"}}

    def _begin_run(self, identity: str, image: Image) -> None:
        """Make the end of one run the past of the next."""
        self.begun = True
        if self.ended is not None:
            self.last_state = {"terminated": self.ended}
            self.restart_count += 1
        self.container_id = f"containerd://{identity}"
        self.image, self.image_id = image.name, image.id

    def _terminated(
        self, code: int, reason: str, started_at: str, finished: datetime, **more: str
    ) -> Object:
        times = {"startedAt": started_at, "finishedAt": rfc3339(finished)}
        ended = {"exitCode": code, "reason": reason, **more, **times}
        return {"terminated": ended | {"containerID": self.container_id}}


def new_records(pod: Object) -> list[ContainerRecord]:
    """Give the records of a pod of which nothing has been started yet: init containers first."""
    spec = pod["spec"]
    init = spec.get("initContainers", [])
    waiting = {"waiting": {"reason": "PodInitializing" if init else "ContainerCreating"}}
    return [
        ContainerRecord(container, is_init, dict(waiting))
        for containers, is_init in ((init, True), (spec["containers"], False))
        for container in containers
    ]


def to_start(policy: str, records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    """Decide what to start next under a restartPolicy; back-off is the caller's."""
    has_begun = any(record.begun for record in records if not record.is_init)
    wanted = []
    for record in records:
        if not record.running and _is_to_run(policy, record):
            wanted.append(record)
        if record.is_init and not has_begun and not record.initialized:
            break
    return [one for one in wanted if not (has_begun and one.runs_to_end)]


def is_over(policy: str, records: Sequence[ContainerRecord]) -> bool:
    """Tell whether a pod has come to its end, whatever its sidecars do."""

    def has_ended(record: ContainerRecord) -> bool:
        return record.ended is not None and not _is_to_run(policy, record)

    if any(has_ended(record) and not record.succeeded for record in records if record.runs_to_end):
        return True
    return all(has_ended(record) for record in records if not record.is_init)


def _is_to_run(policy: str, record: ContainerRecord) -> bool:
    if record.runs_to_end and record.succeeded:
        return False
    if record.ended is None or policy == "Always" or record.is_sidecar:
        return True
    return policy != "Never" and (record.is_init or record.ended["exitCode"] != 0)
