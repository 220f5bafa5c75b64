"""One command back, whatever a learner has done: `lab reset`."""

import os
import subprocess
import sys

import pytest

from lab_utils.errors import Taken
from lab_utils.session import Lab


def lab_reset(lab: Lab) -> None:
    """Do it in a terminal of its own, as a learner does whose notebook is lost."""
    environment = os.environ | {"LAB_CLUSTER": lab.settings.cluster}
    command = [sys.executable, "-m", "lab_utils.cli", "reset"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


def delete_the_namespace(lab: Lab) -> None:
    lab.delete("namespace", lab.backend.namespace)


def break_a_manifest(lab: Lab) -> None:
    lab.patch("service", "inference", {"spec": {"selector": {"role": "nobody"}}})
    container = {"name": "worker", "image": "inference-worker:none"}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    lab.patch("deployment", "inference-primary", change)


def deploy_something_else(lab: Lab) -> None:
    Lab(lab.settings).ensure("control")


@pytest.mark.parametrize(
    "damage",
    [delete_the_namespace, break_a_manifest, deploy_something_else],
    ids=lambda d: d.__name__,
)
def test_lab_reset_is_the_way_back_for_those_who(deployed, damage):
    damage(deployed)
    lab_reset(deployed)
    assert set(deployed.get("pods")["Ready"]) == {"1/1"}
    assert deployed.infer()["model_name"] == "clock"


def test_a_notebook_does_not_measure_what_another_has_deployed(deployed):
    other = Lab(deployed.settings)
    other.ensure()
    with pytest.raises(Taken, match=r"Run the cell with lab\.ensure"):
        deployed.fire(rate_rps=5, duration_s=1)
    assert other.fire(rate_rps=5, duration_s=1).requests["ok"].all()
    deployed.ensure()
    assert deployed.fire(rate_rps=5, duration_s=1).requests["ok"].all()


def test_a_reset_in_the_middle_of_a_run_waits_for_nobody_and_the_run_says_so(deployed):
    class Reset:
        name, target, at_s, duration_s = "lab reset", "everything", 0.5, None

        def inject(self) -> None:
            Lab(deployed.settings).reset()

        def undo(self) -> None:
            """The reset is the cure."""

    with pytest.raises(Taken):
        deployed.fire(rate_rps=5, duration_s=2, faults=[Reset()])
