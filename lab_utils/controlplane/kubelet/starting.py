"""The start of a container: image, configuration, volumes, process, postStart hook.

Whatever goes wrong is told to the container's slot, in the words of the kubelet, and nothing is
raised: the pod's worker tries again when the slot says so.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_utils.controlplane.kubelet.checks import CheckFailed
from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.kubelet.env import (
    ConfigError,
    Sources,
    env_references,
    fetch_data,
    fetch_services,
)
from lab_utils.controlplane.kubelet.events import Recorder
from lab_utils.controlplane.kubelet.hooks import describe_failure, run_hook
from lab_utils.controlplane.kubelet.images import Image, ImageStore, ImageUnavailable
from lab_utils.controlplane.kubelet.launch import make_launch, user_id
from lab_utils.controlplane.kubelet.node import Addresses
from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import (
    Container,
    Launch,
    Runtime,
    StartError,
    poll_until,
)
from lab_utils.controlplane.kubelet.sandbox import write_sandbox
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.volumes import VolumeError, volume_references, write_volumes
from lab_utils.controlplane.status import ApiError, Object

_API_RETRY_S = 1.0


@dataclass(frozen=True)
class NodeServices:
    """What all pods of a node share."""

    client: ApiClient
    recorder: Recorder
    runtime: Runtime
    images: ImageStore
    addresses: Addresses
    folder: Path
    services: Path
    """The table of the Service proxy."""
    capacity: Mapping[str, str]
    """What the node has: cpu, memory, pods."""


@dataclass(frozen=True)
class Place:
    """Where a pod is: its folder on this machine and its address."""

    folder: Path
    address: str


async def start_container(
    node: NodeServices, pod: Object, place: Place, slot: Slot, is_to_end: Callable[[], bool]
) -> Container | None:
    """Start a container; give it if its postStart hook failed, so that it has to be stopped."""
    slot.begin_start()
    try:
        spec = slot.record.spec
        image = node.images.require(spec["image"], spec.get("imagePullPolicy", "IfNotPresent"))
        slot.image_found()
        launch = await _prepare(node, pod, place, slot.record, image)
        slot.event("Normal", "Created", "Container created")
        container = node.runtime.start(launch)
        slot.started(container, image, user_id(pod, spec, image))
        return await _post_start(node.runtime, pod, slot, container, is_to_end)
    except ImageUnavailable as exc:
        slot.image_unavailable(exc)
    except ConfigError as exc:
        slot.misconfigured(str(exc))
    except VolumeError as exc:
        slot.event("Warning", "FailedMount", str(exc))
    except StartError as exc:
        slot.start_failed(image, str(exc))
    except (ApiError, *UNREACHABLE):
        slot.retry_at_s = time.monotonic() + _API_RETRY_S
    return None


async def refresh_volumes(node: NodeServices, pod: Object, place: Place) -> None:
    """Bring the files of ConfigMaps, Secrets and fields up to date; if that fails, they stay."""
    with contextlib.suppress(VolumeError, ApiError, *UNREACHABLE):
        data = await fetch_data(node.client, pod["metadata"]["namespace"], volume_references(pod))
        sources = Sources(data, node_ip=node.addresses.node, pod_ip=place.address)
        write_volumes(place.folder / "volumes", pod, sources)


async def _prepare(
    node: NodeServices, pod: Object, place: Place, record: ContainerRecord, image: Image
) -> Launch:
    wanted = {*env_references(record.spec), *volume_references(pod)}
    data = await fetch_data(node.client, pod["metadata"]["namespace"], wanted)
    services = await fetch_services(node.client, pod)
    sources = Sources(data, services, node.addresses.node, place.address)
    write_volumes(place.folder / "volumes", pod, sources)
    write_sandbox(place.folder, pod, place.address, node.services)
    restart = record.restart_count + (record.ended is not None)
    return make_launch(pod, record.spec, image, sources, place.folder, restart)


async def _post_start(
    runtime: Runtime,
    pod: Object,
    slot: Slot,
    container: Container,
    is_to_end: Callable[[], bool],
) -> Container | None:
    """Run the hook; nothing else of the pod is started, and no probe asks, before it is done."""
    hook = slot.record.spec.get("lifecycle", {}).get("postStart")
    if not hook:
        return None
    slot.is_starting = True
    running = asyncio.create_task(run_hook(runtime, container, hook))
    try:
        await poll_until(lambda: running.done() or is_to_end())
        if running.done():
            running.result()
    except CheckFailed as exc:
        slot.post_start_failed(describe_failure(hook, slot.record.name, pod, exc))
        return container
    finally:
        running.cancel()
        slot.is_starting = False
    return None
