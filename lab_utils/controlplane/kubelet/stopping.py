"""The end of a container: preStop hook, SIGTERM, grace period, SIGKILL.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
"""

import asyncio
import signal
import time
from collections.abc import Callable

from lab_utils.controlplane.kubelet.checks import CheckFailed, check
from lab_utils.controlplane.kubelet.runtime import Container, Runtime, poll_until
from lab_utils.controlplane.status import Object

_LEAST_AFTER_HOOK_S = 2.0  # the kubelet's minimumGracePeriodInSeconds


async def stop_container(
    runtime: Runtime,
    container: Container,
    hook: Object | None,
    grace_s: Callable[[], float],
    hook_failed: Callable[[], None],
) -> None:
    """End a container and wait until it has.

    The grace period is asked for again and again, as it may be shortened meanwhile. A container
    whose preStop hook failed is stopped all the same.
    """
    began_s = least_s = time.monotonic()
    if hook and grace_s() > 0:
        try:
            await _run_hook(runtime, container, hook, grace_s())
        except CheckFailed:
            hook_failed()
        least_s = time.monotonic() + _LEAST_AFTER_HOOK_S

    def is_over() -> bool:
        late = time.monotonic() >= max(began_s + grace_s(), least_s)
        return late or runtime.has_ended(container)

    runtime.signal(container, signal.SIGTERM)
    await poll_until(is_over)
    runtime.kill(container)
    await poll_until(lambda: runtime.has_ended(container))


async def _run_hook(runtime: Runtime, container: Container, hook: Object, timeout_s: float) -> None:
    if "sleep" in hook:
        wait_s = min(float(hook["sleep"]["seconds"]), timeout_s)
        await poll_until(lambda: runtime.has_ended(container), wait_s)
        return
    try:
        async with asyncio.timeout(timeout_s):
            await check(runtime, container, {**hook, "timeoutSeconds": timeout_s})
    except TimeoutError:
        raise CheckFailed("the hook took longer than the grace period") from None
