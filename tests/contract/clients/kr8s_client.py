"""kr8s, the client in kubectl's words: python kr8s_client.py KUBECONFIG NAMESPACE IMAGE."""

import sys
import warnings

import kr8s
from checks import run, wait_for
from kr8s.objects import ConfigMap, Deployment, Pod

KUBECONFIG, NAMESPACE, IMAGE = sys.argv[1:]
SLEEP = ["python", "-c", "import time\nprint('hello', flush=True)\ntime.sleep(600)"]
SPEC = {"containers": [{"name": "c", "image": IMAGE, "command": SLEEP}],
        "terminationGracePeriodSeconds": 1}  # fmt: skip


def head(name):
    return {"name": name, "namespace": NAMESPACE}


def check_nodes_and_version():
    assert api.version()["major"] == "1"
    assert len(list(api.get("nodes"))) >= 1


def check_an_object_through_its_whole_life():
    obj = ConfigMap({"metadata": head("life"), "data": {"a": "1"}}, api=api)
    obj.create()
    obj.patch({"data": {"a": "2"}})
    obj.label({"tier": "x"})
    assert [one.data["a"] for one in api.get("configmaps", namespace=NAMESPACE,
                                             label_selector={"tier": "x"})] == ["2"]  # fmt: skip
    obj.delete()
    assert not obj.exists()


def check_a_deployment_is_scaled_and_waited_for():
    labels = {"app": "web"}
    spec = {"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": SPEC}}  # fmt: skip
    web = Deployment({"metadata": head("web"), "spec": spec}, api=api)
    web.create()
    web.wait("condition=Available", timeout=30)
    web.scale(2)
    wait_for(lambda: len(web.pods()) == 2)
    web.delete()


def check_a_pods_logs_and_exec():
    pod = Pod({"metadata": head("one"), "spec": SPEC}, api=api)
    pod.create()
    pod.wait("condition=Ready", timeout=30)
    wait_for(lambda: list(pod.logs()) == ["hello"])
    assert pod.exec(["echo", "out"]).stdout == b"out\n"


def check_a_watch_tells_what_happens():
    ConfigMap({"metadata": head("told")}, api=api).create()
    for event, obj in api.watch("configmaps", namespace=NAMESPACE):
        if obj.name == "told":
            assert event == "ADDED"
            return


# kr8s knows of new versions of Kubernetes a few months late.
warnings.filterwarnings("ignore", "Kubernetes version .* is not supported")
api = kr8s.api(kubeconfig=KUBECONFIG, namespace=NAMESPACE)
run({name: call for name, call in list(globals().items()) if name.startswith("check_")})
