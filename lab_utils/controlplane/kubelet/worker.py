"""One pod's life on this node: starts its containers, watches them, ends them, reports all of it.

A worker is one task. It wakes when something happened (a container ended, a probe gave a verdict,
the pod was changed or deleted) or something is due, starts what is to be started (records.py), and
posts the status.
"""

import asyncio
import contextlib
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from lab_utils.controlplane.kubelet.checks import check
from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.kubelet.env import (
    ConfigError,
    Sources,
    env_references,
    fetch_data,
    fetch_services,
)
from lab_utils.controlplane.kubelet.events import Recorder
from lab_utils.controlplane.kubelet.images import Image, ImageStore, ImageUnavailable
from lab_utils.controlplane.kubelet.launch import make_launch, user_id
from lab_utils.controlplane.kubelet.node import Addresses
from lab_utils.controlplane.kubelet.podstatus import PodFacts, pod_status
from lab_utils.controlplane.kubelet.probes import PodProbes, ProbeActions, ProbeKind
from lab_utils.controlplane.kubelet.records import ContainerRecord, new_records, to_start
from lab_utils.controlplane.kubelet.report import Reporter
from lab_utils.controlplane.kubelet.runtime import Launch, Runtime, StartError
from lab_utils.controlplane.kubelet.sandbox import write_sandbox
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.stopping import stop_container
from lab_utils.controlplane.kubelet.volumes import VolumeError, volume_references, write_volumes
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339, utc_now

_API_RETRY_S = 1.0
_FORCED_GRACE_S = 1.0
_DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


@dataclass(frozen=True)
class NodeServices:
    """What all workers of a node share."""

    client: ApiClient
    recorder: Recorder
    runtime: Runtime
    images: ImageStore
    addresses: Addresses
    folder: Path
    services: Path
    """The table of the Service proxy."""


class PodWorker:
    """Brings one pod from bound to gone; run() is its whole life."""

    def __init__(self, pod: Object, node: NodeServices) -> None:
        metadata = pod["metadata"]
        label = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self._node = node
        self._report = Reporter(node.client, pod)
        self.slots = {r.name: Slot(r, label, self._event) for r in new_records(pod)}
        self.folder = node.folder / metadata["uid"]
        self._ip = ""
        self._failure: tuple[str, str] | None = None
        self._wake = asyncio.Event()
        self._admitted_s = time.monotonic()
        actions = ProbeActions(
            running=lambda record: self.slots[record.name].container,
            check=lambda container, probe: check(node.runtime, container, probe),
            failed=self._probe_failed,
            verdict=self._probe_verdict,
        )
        self._probes = PodProbes(self._records(), actions)

    @property
    def pod(self) -> Object:
        """Give the newest version of the pod."""
        return self._report.pod

    def update(self, pod: Object) -> None:
        """Take a new version of the pod."""
        self._report.take(pod)
        self._wake.set()

    def removed(self) -> None:
        """Note that the API server has no such pod any more."""
        self._report.gone = True
        self._wake.set()

    def relist(self) -> None:
        """Look which containers have ended."""
        for slot in self.slots.values():
            self._observe(slot)

    async def run(self) -> None:
        """Live the pod's life; cancelled when the kubelet ends."""
        try:
            if self.pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                await self._live()
                await self._end()
            while not self._is_to_go():
                await self._wake.wait()
                self._wake.clear()
            await self._report.delete()
        finally:
            self._probes.stop()
            if self._ip:
                self._node.addresses.give_back(self._ip)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _live(self) -> None:
        self._find_again()
        await self._post()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ip = self._node.addresses.take()
        self._probes.start()
        while not self._is_to_end():
            pending = [self.slots[record.name] for record in self._to_start()]
            if not pending and not any(record.running for record in self._records()):
                return
            now_s = time.monotonic()
            for slot in pending:
                slot.show_wait(now_s)
            await self._post()
            for slot in pending:
                if slot.retry_at_s <= now_s:
                    await self._start(slot)
            await self._post()
            await self._sleep(pending)

    async def _end(self) -> None:
        """End what still runs and report how it all ended."""
        self._probes.stop(but_readiness=True)
        running = [slot for slot in self.slots.values() if slot.container]
        for slot in running:
            slot.event("Normal", "Killing", f"Stopping container {slot.record.name}")
        await asyncio.gather(*(slot.stopping or self._stop(slot) for slot in running))
        self._probes.stop()
        await self._post(terminal=True)

    def _find_again(self) -> None:
        """Take over a pod that ran here before this kubelet started: its containers are gone."""
        status = self.pod.get("status", {})
        known = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        lost = [self.slots[old["name"]].record.restore(old) for old in known]
        if any(lost):
            message = "Pod sandbox changed, it will be killed and re-created."
            self._node.recorder.emit(self.pod, "Normal", "SandboxChanged", message)
        if "startTime" in status:
            age = utc_now() - parse_rfc3339(status["startTime"])
            self._admitted_s = time.monotonic() - age.total_seconds()

    async def _start(self, slot: Slot) -> None:
        record, pod = slot.record, self.pod
        slot.begin_start()
        try:
            spec = record.spec
            policy = spec.get("imagePullPolicy", "IfNotPresent")
            image = self._node.images.require(spec["image"], policy)
            slot.image_found()
            launch = await self._prepare(record, image)
            slot.event("Normal", "Created", "Container created")
            container = self._node.runtime.start(launch)
            slot.started(container, image, user_id(pod, spec, image))
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

    async def _prepare(self, record: ContainerRecord, image: Image) -> Launch:
        node, pod = self._node, self.pod
        wanted = {*env_references(record.spec), *volume_references(pod)}
        data = await fetch_data(node.client, pod["metadata"]["namespace"], wanted)
        services = await fetch_services(node.client, pod)
        sources = Sources(data, services, node.addresses.node, self._ip)
        write_volumes(self.folder / "volumes", pod, sources)
        write_sandbox(self.folder, pod, self._ip, node.services)
        restart = record.restart_count + (record.ended is not None)
        return make_launch(pod, record.spec, image, sources, self.folder, restart)

    def _observe(self, slot: Slot) -> None:
        """Note the end of a container that has ended."""
        container = slot.container
        if container is None or not self._node.runtime.has_ended(container):
            return
        delay_s = slot.ended(container)
        if slot.record in self._to_start() and not self._is_to_end():
            slot.back_off(delay_s)
        self._wake.set()

    def _probe_failed(self, record: ContainerRecord, kind: ProbeKind, message: str) -> None:
        text = f"{kind.capitalize()} probe failed: {message}"
        self._event(record, "Warning", "Unhealthy", text)

    def _probe_verdict(self, record: ContainerRecord, kind: ProbeKind, worked: bool) -> None:
        slot = self.slots[record.name]
        if kind is ProbeKind.READINESS:
            record.ready = worked
        elif not worked and slot.container and slot.stopping is None:
            slot.unhealthy(kind, asyncio.create_task(self._stop(slot)))
        elif worked and kind is ProbeKind.STARTUP:
            record.started = True
            record.ready = "readinessProbe" not in record.spec
            self._probes.has_started(record)
        self._wake.set()

    async def _stop(self, slot: Slot) -> None:
        if slot.container:
            await stop_container(
                self._node.runtime,
                slot.container,
                slot.record.spec.get("lifecycle", {}).get("preStop"),
                self._grace_s,
                lambda: slot.event("Warning", "FailedPreStopHook", "PreStopHook failed"),
            )
            self._observe(slot)

    async def _post(self, *, terminal: bool = False) -> None:
        """Write the status; the address shows once a container got further than being made."""
        waits = [record.state.get("waiting") for record in self._records()]
        is_shown = any(wait is None or "message" in wait for wait in waits)
        facts = PodFacts(
            now=rfc3339(utc_now()),
            node_ip=self._node.addresses.node,
            pod_ip=self._ip if is_shown else "",
            has_network=bool(self._ip),
            terminal=terminal,
            failure=self._failure,
        )
        await self._report.post(pod_status(self.pod, self._records(), facts))

    async def _sleep(self, pending: list[Slot]) -> None:
        """Wait until something happens or is due."""
        due = [slot.retry_at_s for slot in pending]
        due += [slot.show_at_s for slot in pending if slot.show_at_s is not None]
        wait_s = min([*due, self._deadline_s()]) - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._wake.wait(), None if wait_s == math.inf else max(wait_s, 0)
            )
        self._wake.clear()

    def _is_to_go(self) -> bool:
        return self._report.gone or "deletionTimestamp" in self.pod["metadata"]

    def _is_to_end(self) -> bool:
        if time.monotonic() >= self._deadline_s() and self._failure is None:
            self._failure = _DEADLINE
            self._node.recorder.emit(self.pod, "Normal", *_DEADLINE)
        return self._is_to_go() or self._failure is not None

    def _deadline_s(self) -> float:
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        return math.inf if seconds is None else self._admitted_s + float(seconds)

    def _grace_s(self) -> float:
        if self._report.gone:
            return _FORCED_GRACE_S
        given = self.pod["metadata"].get("deletionGracePeriodSeconds")
        return float(
            self.pod["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given
        )

    def _to_start(self) -> list[ContainerRecord]:
        return to_start(self.pod["spec"].get("restartPolicy", "Always"), self._records())

    def _records(self) -> list[ContainerRecord]:
        return [slot.record for slot in self.slots.values()]

    def _event(self, record: ContainerRecord, kind: str, reason: str, message: str) -> None:
        self._node.recorder.emit(self.pod, kind, reason, message, record.field_path)
