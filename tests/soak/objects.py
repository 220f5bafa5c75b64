"""What the soak deploys: a web of real workers, small pods that come and go, a busy one, Jobs."""

from lab_utils.units import parse_bytes
from tests.contract import manifests
from tests.contract.cluster import Object
from tests.contract.manifests import LEAVE, SLEEP, container
from tests.soak.machine import BYTES, CORES
from tests.soak.state import GLUTTON

DEPLOYMENTS = ("web", "small", "busy")
_SPIN = ("python", "-c", f"{LEAVE}\nwhile True: pass")
_EAT = ("python", "-c", f"{LEAVE}; all = [bytearray(1 << 22) for _ in range(64)]; signal.pause()")
_ENDS = ("python", "-c", "print('done')")
_ROLLING = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}


def deployment(name: str, replicas: int, revision: int) -> Object:
    """Give one of DEPLOYMENTS in one of its revisions, as server-side apply wants it."""
    made = {"web": _worker, "small": _sleeper, "busy": _spinner}[name](revision)
    return manifests.deployment(name, made, replicas=replicas, strategy=_ROLLING)


def service() -> Object:
    """Give the Service of the web, with a port on this machine."""
    return manifests.service("web", type="NodePort")


def glutton(number: int) -> Object:
    """Give a pod that eats four times what it may."""
    eater = _limited(container(*_EAT), memory="64Mi")
    pod = manifests.pod(f"{GLUTTON}-{number}", eater, labels={"app": GLUTTON})
    pod["spec"]["restartPolicy"] = "Never"
    return pod


def job(number: int) -> Object:
    """Give a Job of two short pods."""
    return manifests.job(f"job-{number}", container(*_ENDS), completions=2, parallelism=2)


def _worker(revision: int) -> Object:
    probe = {"path": "/v2/health/ready", "port": 8000}
    fields = {"POD_IP": "status.podIP", "POD_NAME": "metadata.name", "NODE_NAME": "spec.nodeName"}
    env = [{"name": k, "valueFrom": {"fieldRef": {"fieldPath": v}}} for k, v in fields.items()]
    env += [{"name": "ROLE", "value": "web"}, {"name": "WORKER_SLOTS", "value": "4"}]
    return _limited(
        {
            "name": "c",
            "image": manifests.IMAGE,
            "env": [*env, _revision(revision)],
            "ports": [{"name": "http", "containerPort": 8000}],
            "readinessProbe": {"httpGet": probe, "periodSeconds": 1},
            "livenessProbe": {
                "httpGet": probe | {"path": "/v2/health/live"},
                "initialDelaySeconds": 10,
                "periodSeconds": 2,
                "failureThreshold": 5,
            },
        },
        memory="96Mi",
    )


def _sleeper(revision: int) -> Object:
    return container(*SLEEP, env=[_revision(revision)])


def _spinner(revision: int) -> Object:
    return _limited(container(*_SPIN, env=[_revision(revision)]), cpu="100m")


def _revision(number: int) -> Object:
    return {"name": "REVISION", "value": str(number)}


def _limited(made: Object, **limits: str) -> Object:
    """Limit a container, and write its limits where the kernel shows them."""
    told = {CORES: limits.get("cpu", "").removesuffix("m"), BYTES: limits.get("memory", "")}
    told[CORES] = told[CORES] and str(int(told[CORES]) / 1000)
    told[BYTES] = told[BYTES] and str(parse_bytes(told[BYTES]))
    env = [{"name": name, "value": value} for name, value in told.items() if value]
    requests = {"cpu": "20m", "memory": "32Mi"}
    return made | {
        "env": [*made.get("env", ()), *env],
        "resources": {"requests": requests, "limits": limits},
    }
