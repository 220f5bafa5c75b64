"""What a pod finds in the cluster's network, on each backend."""

import json
import uuid

import pytest

from lab_utils.session import Lab
from lab_utils.waiting import wait_for

PATH = "/api/v1/namespaces/default/pods"
WITHIN_S = 60


@pytest.fixture
def run_in_pod(deployed: Lab):
    """Give a function that runs a piece of Python in a pod and gives what it printed."""
    api, made = deployed.cluster.api, []

    def run(code: str, **spec: object) -> str:
        name = f"client-{uuid.uuid4().hex[:6]}"
        container = {"name": "c", "image": "inference-worker:1", "imagePullPolicy": "Never"}
        container["command"] = ["python", "-c", code]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [container], "restartPolicy": "Never", **spec},
        }
        api.request("Test", "POST", PATH, body=body)
        made.append(name)

        def log_at_the_end() -> str | None:
            pod = json.loads(api.request("Test", "GET", f"{PATH}/{name}"))
            if pod["status"]["phase"] not in ("Succeeded", "Failed"):
                return None
            return api.request("Test", "GET", f"{PATH}/{name}/log", accept="*/*")

        return wait_for(log_at_the_end, timeout_s=WITHIN_S, late=lambda: TimeoutError(name))

    yield run
    for name in made:
        api.request("Test", "DELETE", f"{PATH}/{name}", query=[("gracePeriodSeconds", "0")])


@pytest.mark.parametrize("host", ["inference.lab", "inference.lab.svc.cluster.local"])
def test_a_services_name_reaches_a_ready_pod_on_the_services_port(run_in_pod, host):
    url = f"http://{host}/v2/health/ready"
    code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).status)"
    assert run_in_pod(code) == "200\n"


def test_a_pod_is_told_of_the_api_server_and_reaches_it(run_in_pod):
    code = """
import os, ssl, urllib.request
host, port = (os.environ[f"KUBERNETES_SERVICE_{part}"] for part in ("HOST", "PORT"))
tls = ssl._create_unverified_context()
url = f"https://{host}:{port}/healthz"
print(urllib.request.urlopen(url, context=tls, timeout=5).read())
"""
    assert run_in_pod(code) == "b'ok'\n"
