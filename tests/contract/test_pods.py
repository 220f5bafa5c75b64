"""What a container gets, how its health is judged, and how it ends."""

import base64
import json

import pytest

from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object, condition_of, has_phase, holds
from tests.contract.manifests import SLEEP, config_map, container, pod, server

READ = "import json, os, pathlib; print(json.dumps({}))"


def secret(name: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def until_event(namespace: Namespace, name: str, reason: str) -> None:
    late = AssertionError(f"no event {reason} about {name}")
    wait_for(lambda: reason in namespace.events(name) or None, timeout_s=30, late=lambda: late)


def printed(namespace: Namespace, name: str, program: str, **more: object) -> object:
    """Run a pod that prints JSON, and give what it printed."""
    spec = more.pop("spec", {})
    main = container("python", "-c", program, **more)
    namespace.create(
        pod(name, main, labels={"app": name, "tier": "x"}, restartPolicy="Never", **spec)
    )
    namespace.until("Pod", name, has_phase("Succeeded"))
    return json.loads(namespace.logs(name))


def test_config_maps_and_secrets_as_variables(shared: Namespace) -> None:
    shared.create(config_map("conf", A="1", B="2"), secret("hidden", TOKEN="s3cret"))
    env = [
        {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "A"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "TOKEN"}}},
        {"name": "MADE", "value": "$(ONE)-$$(ONE)-$(NOBODY)"},
        {
            "name": "NO",
            "valueFrom": {"configMapKeyRef": {"name": "no", "key": "x", "optional": True}},
        },
    ]
    got = printed(
        shared, "variables", READ.format("dict(os.environ)"), env=env,
        envFrom=[{"configMapRef": {"name": "conf"}, "prefix": "P_"}],
    )  # fmt: skip
    wanted = {"ONE": "1", "KEY": "s3cret", "MADE": "1-$(ONE)-$(NOBODY)", "P_A": "1", "P_B": "2"}
    assert {key: got.get(key) for key in wanted} == wanted
    assert "NO" not in got


def test_config_maps_and_secrets_as_files(shared: Namespace) -> None:
    shared.create(config_map("files", **{"a.txt": "one", "b.txt": "two"}))
    shared.create(secret("keys", key="s3cret"))
    volumes = [
        {"name": "all", "configMap": {"name": "files"}},
        {
            "name": "some",
            "configMap": {"name": "files", "items": [{"key": "a.txt", "path": "in/a"}]},
        },
        {"name": "keys", "secret": {"secretName": "keys"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/mnt/{v['name']}"} for v in volumes]
    program = """import json, pathlib
pathlib.Path("/mnt/tmp/new").write_text("written")
read = lambda path: pathlib.Path("/mnt", path).read_text()
print(json.dumps([read(p) for p in ("all/a.txt", "all/b.txt", "some/in/a", "keys/key", "tmp/new")]))
"""
    got = printed(shared, "files", program, volumeMounts=mounts, spec={"volumes": volumes})
    assert got == ["one", "two", "one", "s3cret", "written"]


def test_the_downward_api_as_variables_and_files(shared: Namespace) -> None:
    fields = {"NAME": "metadata.name", "SPACE": "metadata.namespace", "NODE": "spec.nodeName",
              "IP": "status.podIP", "HOST": "status.hostIP",
              "TIER": "metadata.labels['tier']"}  # fmt: skip
    env = [
        {"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for key, path in fields.items()
    ]
    limit = {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}
    env.append({"name": "LIMIT", "valueFrom": limit})
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    got = printed(
        shared, "downward", READ.format("dict(os.environ) | {'file': open('/info/labels').read()}"),
        env=env, resources={"limits": {"memory": "64Mi"}},
        volumeMounts=[{"name": "info", "mountPath": "/info"}],
        spec={"volumes": [{"name": "info", "downwardAPI": {"items": items}}]},
    )  # fmt: skip
    live = shared.read("Pod", "downward")
    wanted = {"NAME": "downward", "SPACE": shared.name, "NODE": live["spec"]["nodeName"],
              "IP": live["status"]["podIP"], "TIER": "x", "HOST": live["status"]["hostIP"],
              "LIMIT": "64", "file": 'app="downward"\ntier="x"'}  # fmt: skip
    assert {key: got.get(key) for key in wanted} == wanted


def test_init_containers_run_one_after_the_other_before_the_rest(shared: Namespace) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    add = "open('/v/log', 'a').write('{}')"
    inits = [container("python", "-c", add.format(i), name=f"init-{i}", **mount) for i in (1, 2)]
    got = printed(
        shared, "inits", READ.format("pathlib.Path('/v/log').read_text()"), **mount,
        spec={"initContainers": inits, "volumes": [{"name": "v", "emptyDir": {}}]},
    )  # fmt: skip
    assert got == "12"
    statuses = shared.read("Pod", "inits")["status"]["initContainerStatuses"]
    assert [one["state"]["terminated"]["reason"] for one in statuses] == ["Completed"] * 2


def test_a_pod_of_several_containers_is_ready_when_all_are(shared: Namespace) -> None:
    shared.create(pod("several", server(), container(name="side")))
    live = shared.until("Pod", "several", holds("Ready"))
    assert [one["ready"] for one in live["status"]["containerStatuses"]] == [True, True]
    assert shared.logs("several", container="side") == ""
    answer = shared.cluster.request("GET", shared.path("Pod", "several") + "/log", container="no")
    assert (answer.code, answer.reason) == (400, "BadRequest")


def test_a_sidecar_starts_first_and_does_not_keep_a_job_alive(shared: Namespace) -> None:
    sidecar = container(name="side", restartPolicy="Always")
    got = printed(shared, "sidecar", READ.format("'done'"), spec={"initContainers": [sidecar]})
    assert got == "done"


def test_a_failing_readiness_probe_takes_the_pod_out_and_nothing_else(shared: Namespace) -> None:
    probe = {"exec": {"command": ["python", "-c", "raise SystemExit(1)"]}, "periodSeconds": 1}
    shared.create(pod("unready", container(readinessProbe=probe)))
    until_event(shared, "unready", "Unhealthy")
    live = shared.read("Pod", "unready")
    assert condition_of(live, "Ready")["reason"] == "ContainersNotReady"
    assert live["status"]["phase"] == "Running"
    assert live["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_failing_liveness_probe_restarts_the_container(shared: Namespace) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 2}
    shared.create(pod("sick", container(livenessProbe=probe)))
    live = shared.until("Pod", "sick", restarted)
    assert {"Unhealthy", "Killing"} <= set(shared.events("sick"))
    last = live["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (0, "Completed")


def restarted(live: Object) -> bool:
    return any(one["restartCount"] for one in live["status"].get("containerStatuses", []))


def test_a_startup_probe_holds_the_others_back(shared: Namespace) -> None:
    started = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1, "failureThreshold": 30}
    bad = {"exec": {"command": ["python", "-c", "raise SystemExit(1)"]}, "periodSeconds": 1}
    never = container(startupProbe=started, livenessProbe=bad | {"failureThreshold": 1})
    shared.create(pod("slow", never))
    until_event(shared, "slow", "Unhealthy")
    (status,) = shared.read("Pod", "slow")["status"]["containerStatuses"]
    assert (status["started"], status["ready"], status["restartCount"]) == (False, False, 0)
    about = "involvedObject.name=slow,reason=Unhealthy"
    messages = [event["message"] for event in shared.objects("Event", fieldSelector=about)]
    assert all(message.startswith("Startup probe failed") for message in messages)


@pytest.mark.fault(14)
def test_over_its_memory_limit_a_container_is_killed_as_oom(shared: Namespace) -> None:
    leak = "import time; kept = bytearray(96 << 20); time.sleep(600)"
    limits = {"limits": {"memory": "64Mi"}}
    shared.create(pod("leaks", container("python", "-c", leak, resources=limits)))
    live = shared.until("Pod", "leaks", restarted)
    last = live["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "OOMKilled")


def test_a_pre_stop_hook_runs_before_the_signal(shared: Namespace) -> None:
    program = """import signal, sys, time
signal.signal(15, lambda *_: (print("signal", flush=True), sys.exit(0)))
print("up", flush=True)
time.sleep(600)"""
    hook = {"preStop": {"sleep": {"seconds": 2}}}
    obj = pod("hooked", container("python", "-c", program, lifecycle=hook),
              terminationGracePeriodSeconds=20)  # fmt: skip
    obj["metadata"]["finalizers"] = ["example.com/look"]  # or the log would go with the pod
    shared.create(obj)
    late = AssertionError("not up")
    wait_for(lambda: "up" in shared.logs("hooked") or None, timeout_s=30, late=lambda: late)
    shared.delete("Pod", "hooked")
    assert shared.logs("hooked") == "up\n"
    live = shared.until("Pod", "hooked", has_phase("Succeeded"))
    ended = live["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    shared.patch("Pod", "hooked", {"metadata": {"finalizers": None}})
    shared.until_gone("Pod", "hooked")


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "10m"}}, "Burstable"),
        ({"limits": {"cpu": "100m", "memory": "64Mi"}}, "Guaranteed"),
    ],
)
def test_the_quality_of_service_follows_from_the_resources(
    shared: Namespace, resources: Object, quality: str
) -> None:
    made = shared.create(pod(f"qos-{quality.lower()}", container(*SLEEP, resources=resources)))
    assert made["status"]["qosClass"] == quality
