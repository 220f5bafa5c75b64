"""Distributed ML inference, simulated, on Kubernetes: what the notebooks call.

    import lab_utils as lab

    lab.ensure()                        # cluster up; worker built, loaded, applied and ready
    run = lab.fire(rate_rps=20, duration_s=30, faults=[lab.faults.kill("primary", at_s=10)])
    ax = lab.charts.timeline(run)

The verbs are kubectl's. Names are looked up when first used, so that `import lab_utils` is quick
and the cluster's own processes, which are part of this package, load nothing they do not need.
"""

from importlib import import_module
from typing import Any

_SESSION = frozenset({
    "apply", "build_image", "by_profile", "configure", "delete", "doctor", "down",
    "election", "ensure", "ensure_metrics", "export_logs", "faults", "fidelity", "fire",
    "fire_closed", "get", "history", "infer", "kubeconfig", "load_image", "logs", "mystery",
    "patch", "pods", "reset", "scale", "selector_switch", "starts", "status", "up", "url",
    "use_cluster", "wait",
})  # fmt: skip
_ELSEWHERE = {
    "Hedge": "loadgen.policy:Hedge",
    "LabError": "errors:LabError",
    "Retries": "loadgen.policy:Retries",
    "Run": "runs:Run",
    "analysis": "analysis",
    "arrivals": "arrivals",
    "charts": "charts",
    "check": "course.learner:check",
    "predict": "course.learner:predict",
    "progress": "course.learner:progress",
    "simulation": "simulation",
    "theory": "theory",
    "write_report": "report:write_report",
}
__all__ = [*sorted(_SESSION), *_ELSEWHERE]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _SESSION:
        return getattr(import_module("lab_utils.session").lab(), name)
    if name in _ELSEWHERE:
        module_name, _, attribute = _ELSEWHERE[name].partition(":")
        module = import_module(f"lab_utils.{module_name}")
        return getattr(module, attribute) if attribute else module
    raise AttributeError(f"lab_utils has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
