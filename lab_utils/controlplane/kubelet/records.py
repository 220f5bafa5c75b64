"""How the record of a container changes: it starts, ends, waits, or is found again after a boot."""

from lab_utils.controlplane.kubelet.images import Image
from lab_utils.controlplane.kubelet.podstatus import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339

_EPOCH = "1970-01-01T00:00:00Z"
_MESSAGE_CHARS = 4096


def new_records(pod: Object) -> list[ContainerRecord]:
    """Give the records of a pod of which nothing has been started yet."""
    spec = pod["spec"]
    reason = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    waiting = {"waiting": {"reason": reason}}
    init = [ContainerRecord(c, True, dict(waiting)) for c in spec.get("initContainers", [])]
    return init + [ContainerRecord(c, False, dict(waiting)) for c in spec["containers"]]


def restore(record: ContainerRecord, status: Object, now: str) -> bool:
    """Take over what another boot of this node reported; True if the container was lost with it."""
    record.restart_count = status.get("restartCount", 0)
    record.last_state = status.get("lastState") or {}
    record.image, record.image_id = status.get("image", ""), status.get("imageID", "")
    record.container_id = status.get("containerID", "")
    state: Object = status.get("state") or {}
    if "terminated" in state:
        record.state = state
    if "running" not in state:
        return False
    lost = {"exitCode": 255, "reason": "Unknown", "startedAt": state["running"]["startedAt"]}
    lost |= {"finishedAt": now, "containerID": record.container_id}
    record.state = {"terminated": lost}
    return True


def started(record: ContainerRecord, container: Container, image: Image, uid: int | None) -> None:
    """Note that a container runs."""
    _shift(record)
    record.state = {"running": {"startedAt": rfc3339(container.started_at)}}
    record.container_id = f"containerd://{container.id}"
    record.image, record.image_id, record.uid = image.name, image.id, uid
    record.started = record.is_init or "startupProbe" not in record.spec
    record.ready = record.started and not record.is_init and "readinessProbe" not in record.spec


def start_failed(
    record: ContainerRecord, container_id: str, image: Image, now: str, message: str
) -> None:
    """Note that a container's command could not be executed."""
    _shift(record)
    record.container_id = f"containerd://{container_id}"
    record.image, record.image_id = image.name, image.id
    ended = {"exitCode": 128, "reason": "StartError", "message": message, "startedAt": _EPOCH}
    ended |= {"finishedAt": now, "containerID": record.container_id}
    record.last_state = {"terminated": ended}
    record.state = {"waiting": {"reason": "RunContainerError", "message": message}}


def ended(record: ContainerRecord, container: Container) -> None:
    """Note that a container's main process has ended."""
    code = container.exit_code or 0
    reason = "Completed" if code == 0 else "Error"
    if container.cgroup.oom_killed and code == 137:
        reason = "OOMKilled"
    finished = container.finished_at or container.started_at
    record.state = {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": rfc3339(container.started_at),
            "finishedAt": rfc3339(finished),
            "containerID": record.container_id,
        }
    }
    record.ready = record.started = False


def waiting(record: ContainerRecord, reason: str, message: str) -> None:
    """Note why a container does not run; how it ended before stays known."""
    if "terminated" in record.state:
        record.last_state = record.state
    record.state = {"waiting": {"reason": reason, "message": message[:_MESSAGE_CHARS]}}


def _shift(record: ContainerRecord) -> None:
    """Make the end of one run the past of the next."""
    if record.ended is not None:
        record.last_state = {"terminated": record.ended}
        record.restart_count += 1
