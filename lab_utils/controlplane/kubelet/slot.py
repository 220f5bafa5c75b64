"""One container of a pod as its worker handles it: the process, when it may start, what to tell.

Everything that can become of a container ends up here once, and from here in its record, its
back-off and the Events about it.
"""

import asyncio
import time
from collections.abc import Callable

from lab_utils.controlplane.kubelet.backoff import Backoff, Restarts, format_delay
from lab_utils.controlplane.kubelet.images import Image, ImageUnavailable
from lab_utils.controlplane.kubelet.probes import ProbeKind
from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import Container

_SYNC_S = 10.0  # until something that is not there is looked for again
_SHOW_AFTER_S = 1.0

Emit = Callable[[ContainerRecord, str, str, str], None]
"""Records an Event about a container: type, reason, message."""


class Slot:
    """A container's record, its process while it has one, and when it may be started next."""

    def __init__(self, record: ContainerRecord, pod_label: str, emit: Emit) -> None:
        self.record, self._pod, self._emit = record, pod_label, emit
        self.container: Container | None = None
        self.stopping: asyncio.Task[None] | None = None
        self.is_starting = False
        """Its postStart hook runs: no probe may ask yet."""
        self.retry_at_s = 0.0
        self.show_at_s: float | None = None
        """When the status is to say that the container waits."""
        self._wait = ("", "")
        self._hook_failure = ""
        self._restarts, self._pulls = Restarts(), Backoff()

    @property
    def probed(self) -> Container | None:
        """Give the process that probes may ask."""
        return None if self.is_starting else self.container

    def event(self, kind: str, reason: str, message: str) -> None:
        """Record an Event about this container."""
        self._emit(self.record, kind, reason, message)

    def begin_start(self) -> None:
        """Note a try to start; should it fail for want of something, the next is a while away."""
        self.retry_at_s, self.show_at_s = time.monotonic() + _SYNC_S, None

    def image_found(self) -> None:
        """Tell that the image is here."""
        present = f'Container image "{self.record.spec["image"]}" already present on machine'
        self.event("Normal", "Pulled", f"{present} and can be accessed by the pod")

    def image_unavailable(self, exc: ImageUnavailable) -> None:
        """Tell that the image is not to be had; a pull waits longer from time to time."""
        self.record.wait(exc.reason, exc.message)
        if exc.reason == "ErrImageNeverPull":
            self.event("Warning", exc.reason, exc.message)
            self.event("Warning", "Failed", f"Error: {exc.reason}")
            return
        name, now_s = self.record.spec["image"], time.monotonic()
        back_off = f'Back-off pulling image "{name}"'
        self.event("Normal", "Pulling", f'Pulling image "{name}"')
        self.event("Warning", "Failed", f'Failed to pull image "{name}": {exc.message}')
        self.event("Warning", "Failed", f"Error: {exc.reason}")
        self.event("Normal", "BackOff", back_off)
        self.event("Warning", "Failed", "Error: ImagePullBackOff")
        self._pulls.tried(now_s, now_s)
        self.retry_at_s = now_s + self._pulls.delay_s(now_s)
        self.show_at_s = now_s + _SHOW_AFTER_S
        self._wait = ("ImagePullBackOff", f"{back_off}: {exc.reason}: {exc.message}")

    def misconfigured(self, message: str) -> None:
        """Tell that the container refers to something that is not there."""
        self.event("Warning", "Failed", f"Error: {message}")
        self.record.wait("CreateContainerConfigError", message)

    def start_failed(self, image: Image, message: str) -> None:
        """Tell that the command could not be executed: a crash like any other."""
        self.event("Warning", "Failed", f"Error: {message}")
        self._restarts.started(time.monotonic())
        self.record.fail_to_start(image, message)
        self.back_off(self._restarts.ended(time.monotonic()))

    def started(self, container: Container, image: Image, uid: int | None) -> None:
        """Note the process that now runs."""
        self.container = container
        self.event("Normal", "Started", "Container started")
        self._restarts.started(time.monotonic())
        self.record.start(container, image, uid)

    def post_start_failed(self, message: str) -> None:
        """Tell that the container is being stopped because its postStart hook failed."""
        self.event("Warning", "FailedPostStartHook", "PostStartHook failed")
        self.event("Normal", "Killing", "FailedPostStartHook")
        self._hook_failure = message

    def show_failed_hook(self) -> None:
        """Say in the status why the container was stopped, until it is started again."""
        self.record.wait("PostStartHookError", self._hook_failure)

    def ended(self, container: Container) -> float:
        """Note that the process has ended; give the delay before a next one."""
        self.record.end(container)
        failed_probe = self.stopping is not None
        self.container = self.stopping = None
        return self._restarts.ended(time.monotonic(), killed_by_probe=failed_probe)

    def unhealthy(self, kind: ProbeKind, stopping: asyncio.Task[None]) -> None:
        """Tell that the container is being stopped because a probe gave it up."""
        self.stopping = stopping
        text = f"Container {self.record.name} failed {kind} probe, will be restarted"
        self.event("Normal", "Killing", text)

    def back_off(self, delay_s: float) -> None:
        """Wait before the next start.

        As recorded on a real cluster, the wait is shown at once only the first time; later the
        status says how the container ended until just before its next start.
        """
        now_s, name = time.monotonic(), self.record.name
        self.retry_at_s = now_s + delay_s
        if delay_s == 0:
            return
        self.show_at_s = now_s + _SHOW_AFTER_S if delay_s <= _SYNC_S else self.retry_at_s
        delay = format_delay(delay_s)
        message = f"back-off {delay} restarting failed container={name} pod={self._pod}"
        self._wait = ("CrashLoopBackOff", message)
        text = f"Back-off restarting failed container {name} in pod {self._pod}"
        self.event("Warning", "BackOff", text)

    def show_wait(self, now_s: float) -> None:
        """Say in the status that the container waits, once that is due."""
        if self.show_at_s is not None and self.show_at_s <= now_s:
            self.record.wait(*self._wait)
            self.show_at_s = None
