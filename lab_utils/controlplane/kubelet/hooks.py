"""Hooks of a container's life, postStart and preStop: exec, httpGet, sleep.

Source: https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
"""

from lab_utils.controlplane.kubelet.checks import CheckFailed, check
from lab_utils.controlplane.kubelet.runtime import Container, Runtime, poll_until
from lab_utils.controlplane.status import Object

_NO_LIMIT_S = 24 * 3600.0  # a hook may take as long as it likes, or as its caller lets it


async def run_hook(runtime: Runtime, container: Container, hook: Object) -> None:
    """Run a hook until it is done, or its container has ended.

    Raises:
        CheckFailed: The command failed, or nobody answered.
    """
    if "sleep" in hook:
        await poll_until(lambda: runtime.has_ended(container), float(hook["sleep"]["seconds"]))
    elif "exec" in hook or "httpGet" in hook:
        await check(runtime, container, {**hook, "timeoutSeconds": _NO_LIMIT_S})
    else:
        raise CheckFailed("invalid handler: there is no exec, httpGet or sleep in it")


def describe_failure(hook: Object, container: str, pod: Object, why: CheckFailed) -> str:
    """Say as the kubelet says it that a hook failed."""
    metadata = pod["metadata"]
    where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    if "exec" in hook:
        command = " ".join(hook["exec"]["command"])
        return (
            f'Exec lifecycle hook ([{command}]) for Container "{container}" in Pod "{where}" '
            f'failed - error: command "{command}" failed, message: "{why}"'
        )
    path = hook.get("httpGet", {}).get("path", "")
    return (
        f'HTTP lifecycle hook ({path}) for Container "{container}" in Pod "{where}" '
        f"failed - error: {why}"
    )
