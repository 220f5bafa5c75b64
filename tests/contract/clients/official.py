"""The official client, whatever its version: python official.py KUBECONFIG NAMESPACE IMAGE."""

import json
import pathlib
import sys
import tempfile
import threading

from checks import refused, run, wait_for
from kubernetes import client, config, dynamic, stream, utils, watch
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

KUBECONFIG, NAMESPACE, IMAGE = sys.argv[1:]
TALK = "import time\nprint('hello', flush=True)\ntime.sleep(600)"
SERVE = ["python", "-m", "http.server", "--bind", "$(POD_IP)", "8000"]
IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
CONTAINER = {"name": "c", "image": IMAGE, "command": ["python", "-c", TALK], "env": [IP]}
SPEC = {"containers": [CONTAINER], "terminationGracePeriodSeconds": 1}


def deployment(name):
    labels = {"app": name}
    spec = {"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": SPEC}}  # fmt: skip
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return head | {"spec": spec}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def running_pod(name, **container):
    body = {"metadata": {"name": name}, "spec": SPEC | {"containers": [CONTAINER | container]}}
    core.create_namespaced_pod(NAMESPACE, body)
    wait_for(lambda: core.read_namespaced_pod(name, NAMESPACE).status.phase == "Running")


def check_every_kind_is_listed_through_the_models():
    for one in (
        core.list_namespace, core.list_node, core.list_pod_for_all_namespaces,
        core.list_service_for_all_namespaces, core.list_event_for_all_namespaces,
        core.list_config_map_for_all_namespaces, core.list_secret_for_all_namespaces,
        core.list_service_account_for_all_namespaces, core.list_endpoints_for_all_namespaces,
        apps.list_deployment_for_all_namespaces, apps.list_replica_set_for_all_namespaces,
        client.BatchV1Api().list_job_for_all_namespaces,
        client.AutoscalingV2Api().list_horizontal_pod_autoscaler_for_all_namespaces,
        client.CoordinationV1Api().list_lease_for_all_namespaces,
        client.DiscoveryV1Api().list_endpoint_slice_for_all_namespaces,
        client.NetworkingV1Api().list_network_policy_for_all_namespaces,
        client.PolicyV1Api().list_pod_disruption_budget_for_all_namespaces,
    ):  # fmt: skip
        assert isinstance(one().items, list)
    assert client.VersionApi().get_code().major == "1"
    assert client.ApisApi().get_api_versions().groups


def check_a_deployment_through_its_whole_life():
    apps.create_namespaced_deployment(NAMESPACE, deployment("life"))
    apps.patch_namespaced_deployment_scale("life", NAMESPACE, {"spec": {"replicas": 2}})
    wait_for(lambda: apps.read_namespaced_deployment("life", NAMESPACE).status.ready_replicas == 2)
    assert apps.read_namespaced_deployment_scale("life", NAMESPACE).status.replicas == 2
    live = apps.read_namespaced_deployment("life", NAMESPACE)
    live.metadata.labels = {"changed": "yes"}
    assert apps.replace_namespaced_deployment("life", NAMESPACE, live).metadata.labels
    apps.delete_namespaced_deployment("life", NAMESPACE, propagation_policy="Foreground")
    wait_for(lambda: not apps.list_namespaced_deployment(NAMESPACE).items)
    gone = refused(client.ApiException, apps.read_namespaced_deployment, "life", NAMESPACE)
    assert (gone.status, json.loads(gone.body)["reason"]) == (404, "NotFound")


def check_a_watch_goes_on_from_a_revision():
    revision = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("seen", a="1"))
    core.delete_namespaced_config_map("seen", NAMESPACE)
    watcher, seen = watch.Watch(), []
    for event in watcher.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=revision, timeout_seconds=20
    ):
        if event["object"].metadata.name == "seen":
            seen.append(event["type"])
        if event["type"] == "DELETED":
            watcher.stop()
    assert seen == ["ADDED", "DELETED"]


def log_of(name):
    # Version 36 makes the text "b'...'" of a log; the bare answer is the same in all of them.
    answer = core.read_namespaced_pod_log(name, NAMESPACE, _preload_content=False)
    return answer.data.decode()


def check_logs_whole_and_followed():
    running_pod("talker")
    wait_for(lambda: log_of("talker") == "hello\n")
    lines = watch.Watch().stream(core.read_namespaced_pod_log, "talker", NAMESPACE)
    assert next(lines) == "hello"
    lines.close()


def check_exec_over_a_websocket():
    running_pod("exec")
    code = "import sys; print('out', sys.stdin.readline().strip()); sys.exit(3)"
    session = stream.stream(
        core.connect_get_namespaced_pod_exec, "exec", NAMESPACE, command=["python", "-c", code],
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )  # fmt: skip
    session.write_stdin("in\n")
    session.run_forever(timeout=20)
    assert session.read_stdout() == "out in\n"
    assert session.returncode == 3
    simple = stream.stream(
        core.connect_get_namespaced_pod_exec, "exec", NAMESPACE, command=["echo", "all"],
        stdin=False, stdout=True, stderr=True, tty=False,
    )  # fmt: skip
    assert simple == "all\n"


def check_port_forward_over_a_websocket():
    running_pod("serve", command=SERVE)
    wait_for(lambda: "Serving" in log_of("serve"))
    forward = stream.portforward(
        core.connect_get_namespaced_pod_portforward, "serve", NAMESPACE, ports="8000"
    )
    http = forward.socket(8000)
    http.setblocking(True)
    http.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while part := http.recv(4096):
        answer += part
    assert answer.startswith(b"HTTP/1.0 200"), answer[:200]
    assert forward.error(8000) is None


def check_the_dynamic_client_finds_creates_and_applies():
    with tempfile.TemporaryDirectory() as folder:
        found = dynamic.DynamicClient(api_client, cache_file=f"{folder}/discovery.json")
        maps = found.resources.get(api_version="v1", kind="ConfigMap")
        maps.create(body=config_map("dynamic", a="1"), namespace=NAMESPACE)
        assert maps.get(name="dynamic", namespace=NAMESPACE).data.a == "1"
        for _ in range(2):
            applied = found.server_side_apply(
                maps, body=config_map("dynamic", b="2"), name="dynamic", namespace=NAMESPACE,
                field_manager="check",
            )  # fmt: skip
        assert dict(applied.data) == {"a": "1", "b": "2"}
        first = next(iter(maps.watch(namespace=NAMESPACE, timeout=2)))
        assert first["type"] == "ADDED"
        patched = maps.patch(
            body={"data": {"a": None}}, name="dynamic", namespace=NAMESPACE,
            content_type="application/merge-patch+json",
        )  # fmt: skip
        assert dict(patched.data) == {"b": "2"}
        maps.delete(name="dynamic", namespace=NAMESPACE)


def check_create_from_yaml_creates_and_applies():
    obj = deployment("yaml")
    # A field reference is one atom, and the server has added a default: it would conflict.
    obj["spec"]["template"]["spec"] = SPEC | {"containers": [CONTAINER | {"env": []}]}
    text = json.dumps(obj) + "\n---\n" + json.dumps(config_map("yaml", a="1"))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "objects.yaml")
        path.write_text(text)
        utils.create_from_yaml(api_client, str(path), namespace=NAMESPACE)
        twice = refused(
            utils.FailToCreateError, utils.create_from_yaml, api_client, str(path), None, False,
            NAMESPACE,
        )  # fmt: skip
        assert {one.status for one in twice.api_exceptions} == {409}
        for _ in range(2):
            utils.create_from_yaml(api_client, str(path), namespace=NAMESPACE, apply=True)
    assert core.read_namespaced_config_map("yaml", NAMESPACE).data == {"a": "1"}
    apps.delete_namespaced_deployment("yaml", NAMESPACE)


def elect(lock, depose):
    """Become the leader, be deposed by somebody else's hand, and notice."""
    leading, stopped = threading.Event(), threading.Event()

    def lead():
        leading.set()
        depose()

    candidate = electionconfig.Config(
        lock, lease_duration=4, renew_deadline=3, retry_period=1,
        onstarted_leading=lead, onstopped_leading=stopped.set,
    )  # fmt: skip
    leaderelection.LeaderElection(candidate).run()
    assert leading.is_set()
    assert stopped.is_set()


def check_leader_election_with_a_config_map():
    key = "control-plane.alpha.kubernetes.io/leader"

    def depose():
        live = core.read_namespaced_config_map("leader", NAMESPACE)
        record = json.loads(live.metadata.annotations[key].replace("'", '"'))
        taken = json.dumps(record | {"holderIdentity": "other"})
        patch = {"metadata": {"annotations": {key: taken}}}
        core.patch_namespaced_config_map("leader", NAMESPACE, patch)

    elect(ConfigMapLock("leader", NAMESPACE, "me"), depose)


def check_leader_election_with_a_lease():
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    def depose():
        leases = client.CoordinationV1Api()
        leases.patch_namespaced_lease("lease", NAMESPACE, {"spec": {"holderIdentity": "other"}})

    elect(LeaseLock("lease", NAMESPACE, "me"), depose)


def check_an_informer_keeps_a_copy():
    from kubernetes.informer import SharedInformer

    informer, seen = SharedInformer(core.list_namespaced_config_map, NAMESPACE), []
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        informer.add_event_handler(kind, lambda obj, kind=kind: note(seen, kind, obj))
    informer.start()
    core.create_namespaced_config_map(NAMESPACE, config_map("told", a="1"))
    wait_for(lambda: "ADDED" in seen)
    assert informer.cache.get_by_key(f"{NAMESPACE}/told").data == {"a": "1"}
    core.patch_namespaced_config_map("told", NAMESPACE, {"data": {"a": "2"}})
    wait_for(lambda: "MODIFIED" in seen)
    core.delete_namespaced_config_map("told", NAMESPACE)
    wait_for(lambda: seen == ["ADDED", "MODIFIED", "DELETED"])
    informer.stop()


def note(seen, kind, obj):
    metadata = obj["metadata"] if isinstance(obj, dict) else obj.metadata.to_dict()
    if metadata["name"] == "told":
        seen.append(kind)


def check_an_eviction_and_a_warning():
    running_pod("evicted")
    body = {"metadata": {"name": "evicted", "namespace": NAMESPACE}}
    core.create_namespaced_pod_eviction("evicted", NAMESPACE, body)
    wait_for(
        lambda: (
            "evicted"
            not in [pod.metadata.name for pod in core.list_namespaced_pod(NAMESPACE).items]
        )
    )
    answer = core.list_namespaced_endpoints_with_http_info(NAMESPACE, _return_http_data_only=False)
    headers = answer.headers if hasattr(answer, "headers") else answer[2]
    assert "deprecated" in headers["Warning"]


def check_asyncio_lists_watches_and_streams():
    import asyncio

    from kubernetes.aio import client as aio
    from kubernetes.aio import config as aio_config
    from kubernetes.aio import watch as aio_watch

    async def use():
        await aio_config.load_kube_config(KUBECONFIG)
        async with aio.ApiClient() as connection:
            api = aio.CoreV1Api(connection)
            assert (await api.list_node()).items
            await api.create_namespaced_config_map(NAMESPACE, config_map("aio", a="1"))
            async with aio_watch.Watch() as watcher:
                async for event in watcher.stream(
                    api.list_namespaced_config_map, NAMESPACE, timeout_seconds=10
                ):
                    if event["object"].metadata.name == "aio":
                        return
        raise AssertionError("not seen")

    asyncio.run(use())


def check_asyncio_lists():
    import asyncio

    from kubernetes.aio import client as aio
    from kubernetes.aio import config as aio_config

    async def use():
        await aio_config.load_kube_config(KUBECONFIG)
        async with aio.ApiClient() as connection:
            assert (await aio.CoreV1Api(connection).list_node()).items

    asyncio.run(use())


config.load_kube_config(KUBECONFIG)
api_client = client.ApiClient()
core, apps = client.CoreV1Api(), client.AppsV1Api()
major = int(__import__("kubernetes").__version__.partition(".")[0])
NOT_IN = {
    "check_leader_election_with_a_lease": major < 37,
    "check_an_informer_keeps_a_copy": major < 36,
    "check_asyncio_lists_watches_and_streams": major < 37,
    "check_asyncio_lists": major < 36,
}
run({name: call for name, call in list(globals().items())
     if name.startswith("check_") and not NOT_IN.get(name)})  # fmt: skip
