"""Objects for the tests: one image, the worker's, that every backend has; small commands in it."""

from typing import Any

from lab_utils.images import WORKER as IMAGE

Object = dict[str, Any]
# Number 1 of a container gets no SIGTERM but by a handler.
LEAVE = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0))"
SLEEP = ("python", "-c", f"{LEAVE}; signal.pause()")
SERVE = (
    "python", "-c", f"""{LEAVE}; import os
from http.server import HTTPServer, SimpleHTTPRequestHandler as Files
HTTPServer((os.environ["POD_IP"], 8000), Files).serve_forever()""",
)  # fmt: skip


def container(*command: str, name: str = "c", **more: object) -> Object:
    """Give a container that runs a command of the worker's image."""
    return {"name": name, "image": IMAGE, "command": list(command or SLEEP)} | more


def server(**more: object) -> Object:
    """Give a container that serves its folder over HTTP and is ready when it answers."""
    probe = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}
    env = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    ports = [{"name": "http", "containerPort": 8000}]
    return container(*SERVE, env=env, ports=ports, readinessProbe=probe, **more)


def pod_spec(*containers: Object, **more: object) -> Object:
    """Give a pod's spec that ends in seconds when it is deleted."""
    own = {"containers": list(containers) or [container()], "terminationGracePeriodSeconds": 5}
    return own | {"automountServiceAccountToken": False, "enableServiceLinks": False} | more


def pod(
    name: str, *containers: Object, labels: dict[str, str] | None = None, **spec: Any
) -> Object:
    """Give a Pod."""
    metadata = {"name": name, "labels": labels or {"app": name}}
    body = pod_spec(*containers, **spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def deployment(name: str, *containers: Object, replicas: int = 1, **spec: Any) -> Object:
    """Give a Deployment of pods labelled app=name; `template` goes into the pods' spec."""
    labels = {"app": name}
    template = pod_spec(*containers, **spec.pop("template", {}))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
        }
        | spec,
    }


def service(name: str, **spec: object) -> Object:
    """Give a Service of the pods labelled app=name."""
    ports = [{"port": 80, "targetPort": 8000}]
    body = {"selector": {"app": name}, "ports": ports} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def config_map(name: str, **data: str) -> Object:
    """Give a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def budget(name: str, **spec: object) -> Object:
    """Give a PodDisruptionBudget of the pods labelled app=name."""
    body = {"selector": {"matchLabels": {"app": name}}} | spec
    head = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}}
    return head | {"spec": body}


def job(name: str, *containers: Object, **spec: object) -> Object:
    """Give a Job whose pods are never restarted."""
    template = {"spec": pod_spec(*containers, restartPolicy="Never")}
    body = {"template": template} | spec
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}
