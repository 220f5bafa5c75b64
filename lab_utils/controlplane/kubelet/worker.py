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

from lab_utils.controlplane.kubelet.checks import check
from lab_utils.controlplane.kubelet.podstatus import PodFacts, pod_status
from lab_utils.controlplane.kubelet.probes import PodProbes, ProbeActions, ProbeKind
from lab_utils.controlplane.kubelet.records import ContainerRecord, is_over, new_records, to_start
from lab_utils.controlplane.kubelet.report import Reporter
from lab_utils.controlplane.kubelet.runtime import poll_until
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.starting import (
    NodeServices,
    Place,
    refresh_volumes,
    start_container,
)
from lab_utils.controlplane.kubelet.stopping import Stopper
from lab_utils.controlplane.kubelet.volumes import changes_by_itself, shows_fields
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339, utc_now

_SYNC_S = 60.0  # the kubelet's syncFrequency: how late a changed ConfigMap reaches a file
_CLEAN_UP_S = 0.5  # from a pod's end to its removal, as recorded: volumes, network, cgroup
_SANDBOX_RETRY_S = 10.0
_DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


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
        self._refusal: Object = {}
        self._stopper = Stopper(node.runtime, self._report, self.slots)
        self._wake = asyncio.Event()
        self._admitted_s = time.monotonic()
        self._refresh_at_s = math.inf
        actions = ProbeActions(
            running=lambda record: self.slots[record.name].probed,
            check=lambda container, probe: check(node.runtime, container, probe),
            failed=self._probe_failed,
            verdict=self._probe_verdict,
        )
        self.probes = PodProbes(self._records(), actions)

    @property
    def pod(self) -> Object:
        """Give the newest version of the pod."""
        return self._report.pod

    @property
    def takes_room(self) -> bool:
        """Tell whether the node has to count this pod: it has not come to its end."""
        phase = self.pod.get("status", {}).get("phase")
        return not self._refusal and phase not in ("Succeeded", "Failed")

    def update(self, pod: Object) -> None:
        """Take a new version of the pod."""
        if shows_fields(pod) and pod["metadata"] != self.pod["metadata"]:
            self._refresh_at_s = 0.0
        self._report.take(pod)
        self._wake.set()

    def removed(self) -> None:
        """Note that the API server has no such pod any more."""
        self._report.gone = True
        self._wake.set()

    def refuse(self, reason: str, message: str) -> None:
        """Note that the node has no room for the pod: it fails without ever being started."""
        self._refusal = {"phase": "Failed", "reason": reason, "message": message}
        self._node.recorder.emit(self.pod, "Warning", reason, message.partition(": ")[2])

    def relist(self) -> None:
        """Look which containers have ended."""
        for slot in self.slots.values():
            self._observe(slot)

    async def run(self) -> None:
        """Live the pod's life; cancelled when the kubelet ends."""
        try:
            if self._refusal:
                await self._report.post(self._refusal)
            elif self.takes_room:
                await self._live()
                await self._end()
            while not self._report.is_to_go:
                await self._wake.wait()
                self._wake.clear()
            if self._ip:
                await poll_until(lambda: self._report.gone, _CLEAN_UP_S)
            await self._report.delete()
        finally:
            self.probes.stop()
            await self._kill_all()
            if self._ip:
                self._node.addresses.give_back(self._ip)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _live(self) -> None:
        self._find_again()
        if self._is_to_end():
            return
        await self._post()
        self.folder.mkdir(parents=True, exist_ok=True)
        await self._take_address()
        self.probes.start()
        while not (self._is_to_end() or is_over(self._policy(), self._records())):
            now_s = time.monotonic()
            pending = self._pending()
            for slot in pending:
                slot.show_wait(now_s)
            await self._post()
            for slot in pending:
                if slot.retry_at_s <= now_s:
                    await self._start(slot)
            await self._refresh(now_s)
            await self._post()
            await self._sleep()

    async def _take_address(self) -> None:
        """Take an address, or wait until a pod gives one back."""
        while not (self._ip or self._is_to_end()):
            try:
                self._ip = self._node.addresses.take()
            except LookupError as exc:
                why = f"Failed to create pod sandbox: rpc error: code = Unknown desc = {exc}"
                self._node.recorder.emit(self.pod, "Warning", "FailedCreatePodSandBox", why)
                await self._wait(time.monotonic() + _SANDBOX_RETRY_S)

    async def _end(self) -> None:
        """End what still runs and report how it all ended."""
        self._stopper.ends_all = True
        self.probes.stop(but_readiness=True)
        running = [slot for slot in self.slots.values() if slot.container]
        for slot in running:
            slot.event("Normal", "Killing", f"Stopping container {slot.record.name}")
        await asyncio.gather(*(slot.stopping or self._stop(slot) for slot in running))
        self.probes.stop()
        await self._post(terminal=True)

    async def _kill_all(self) -> None:
        """See that nothing is left, should this worker have failed or been cancelled."""
        left = [slot.container for slot in self.slots.values() if slot.container]
        for container in left:
            self._node.runtime.kill(container)
        await poll_until(lambda: all(map(self._node.runtime.has_ended, left)))

    def _find_again(self) -> None:
        """Take over a pod that ran here before this kubelet started: its containers are gone."""
        status = self.pod.get("status", {})
        known = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        lost = [self.slots[old["name"]].record.restore(old) for old in known]
        if any(lost):
            message = "Pod sandbox changed, it will be killed and re-created."
            self._node.recorder.emit(self.pod, "Normal", "SandboxChanged", message)
            for record in self._records():
                if record.runs_to_end and self._policy() != "Never":
                    record.start_over()
        if "startTime" in status:
            age = utc_now() - parse_rfc3339(status["startTime"])
            self._admitted_s = time.monotonic() - age.total_seconds()

    async def _start(self, slot: Slot) -> None:
        place = Place(self.folder, self._ip)
        failed = await start_container(self._node, self.pod, place, slot, self._is_to_end)
        if failed is not None:
            await self._stop(slot)
            slot.show_failed_hook()
        if self._refresh_at_s == math.inf and changes_by_itself(self.pod):
            self._refresh_at_s = time.monotonic() + _SYNC_S

    async def _refresh(self, now_s: float) -> None:
        if now_s >= self._refresh_at_s:
            await refresh_volumes(self._node, self.pod, Place(self.folder, self._ip))
            self._refresh_at_s = now_s + _SYNC_S if changes_by_itself(self.pod) else math.inf

    def _observe(self, slot: Slot) -> None:
        """Note the end of a container that has ended."""
        container = slot.container
        if container is None or not self._node.runtime.has_ended(container):
            return
        delay_s = slot.ended(container)
        if slot in self._pending() and not self._is_to_end():
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
            grace_s = record.spec[f"{kind}Probe"].get("terminationGracePeriodSeconds")
            slot.unhealthy(kind, asyncio.create_task(self._stop(slot, grace_s)))
        elif worked and kind is ProbeKind.STARTUP:
            record.started = True
            record.ready = "readinessProbe" not in record.spec
            self.probes.has_started(record)
        self._wake.set()

    async def _stop(self, slot: Slot, own_grace_s: float | None = None) -> None:
        await self._stopper.stop(slot, own_grace_s)
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

    async def _sleep(self) -> None:
        """Sleep until something happens or is due."""
        pending = self._pending()
        due = [slot.retry_at_s for slot in pending]
        due += [slot.show_at_s for slot in pending if slot.show_at_s is not None]
        await self._wait(min([*due, self._deadline_s(), self._refresh_at_s]))

    async def _wait(self, until_s: float) -> None:
        wait_s = until_s - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._wake.wait(), None if wait_s == math.inf else max(wait_s, 0)
            )
        self._wake.clear()

    def _is_to_end(self) -> bool:
        if time.monotonic() >= self._deadline_s() and self._failure is None:
            self._failure = _DEADLINE
            self._node.recorder.emit(self.pod, "Normal", *_DEADLINE)
        return self._report.is_to_go or self._failure is not None

    def _deadline_s(self) -> float:
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        return math.inf if seconds is None else self._admitted_s + float(seconds)

    def _pending(self) -> list[Slot]:
        """Give what is to be started, now or later."""
        return [self.slots[record.name] for record in to_start(self._policy(), self._records())]

    def _policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    def _records(self) -> list[ContainerRecord]:
        return [slot.record for slot in self.slots.values()]

    def _event(self, record: ContainerRecord, kind: str, reason: str, message: str) -> None:
        self._node.recorder.emit(self.pod, kind, reason, message, record.field_path)
