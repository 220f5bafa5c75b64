"""Rounds of the sweep: run a lesson, strike, and look at what is left."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import yaml

from lab_utils.controlplane import launch
from lab_utils.controlplane.processes import wait_until
from lab_utils.errors import LabError
from lab_utils.session import Lab
from lab_utils.settings import load_settings
from tests.soak import objects
from tests.sweep import leftovers
from tests.sweep.plan import Plan, make_plan
from tests.sweep.pupil import Pupil
from tests.sweep.strike import strike
from tests.tools.disks import try_disk

CLUSTER = "sweep"
_STEP_S = 60.0
_END_S = 60.0
_GONE_S = 10.0
_DISK = "64m"


class Sweep:
    """Rounds on one cluster of its own; what one round leaves, the next would stumble over.

    Args:
        seed: The same seed strikes the same victims at the same moments of the same steps.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._stack = seed, ExitStack()
        self.missed = 0
        """Rounds in which there was nobody to strike at that moment."""

    def __enter__(self) -> "Sweep":
        """Make the folders, on a disk of their own where that is allowed."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-sweep-"))
        self._manifests = Path(folder) / "lesson.yaml"
        self._manifests.write_text(yaml.safe_dump_all(lesson_objects()))
        self._state = Path(folder) / "state"
        self._has_disk = not self._stack.enter_context(try_disk(self._state, _DISK))
        self._state.chmod(0o700)
        (self._state / "tmp").mkdir()
        settings = load_settings(backend="embedded", cluster=CLUSTER, state_dir=self._state)
        self._settings = settings
        return self

    def __exit__(self, *error: object) -> None:
        """End what may still run, then remove the folders."""
        Lab(self._settings).down()
        self._stack.close()

    def plan(self, number: int) -> Plan:
        """Give a round; the kernel is killed instead where no disk of its own can be filled."""
        plan = make_plan(self._seed, number)
        if plan.victim == "disk" and not self._has_disk:
            return replace(plan, victim="kernel", blow="SIGKILL")
        return plan

    def play(self, plan: Plan) -> list[str]:
        """Play a round; give what is wrong with what came after the strike."""
        with Pupil(self._state, CLUSTER, self._manifests) as pupil:
            began = lambda: pupil.has_begun(plan.step) or pupil.has_ended()  # noqa: E731
            wait_until(began, timeout_s=_STEP_S)
            if not pupil.has_begun(plan.step):
                return [f"the lesson did not come to {plan.step}: {pupil.end(0)}"]
            time.sleep(plan.after_s)  # a moment of the step, chosen by the plan
            endpoint = launch.find(self._root)
            self.missed += not strike(plan, pupil, self._state)
            found = [pupil.end(_END_S)]
        ports = [endpoint.port] if endpoint else []
        return [line for line in (*found, *self._recover(), *self._left(ports)) if line]

    @property
    def _root(self) -> Path:
        return self._state / "embedded" / CLUSTER

    def _recover(self) -> Iterator[str]:
        """Start what was struck again, as the next lesson would, and end it."""
        lab = Lab(self._settings)
        try:
            lab.up()
            lab.build_image()
            lab.load_image()
            lab.apply(self._manifests)
            lab.wait()
            lab.infer()
        except LabError as exc:
            yield f"the next start did not work: {exc}"
        with suppress(LabError):
            lab.down()

    def _left(self, ports: list[int]) -> list[str]:
        def look() -> list[str]:
            found = list(leftovers.left_in(self._state, CLUSTER))
            found += [f"port {port} still listens" for port in ports if leftovers.listens(port)]
            return found + [f"{path} is left" for path in (self._state / "tmp").iterdir()]

        wait_until(lambda: not look(), timeout_s=_GONE_S)
        return look()


def lesson_objects() -> list[objects.Object]:
    """Give what the lesson deploys: one worker that may use what it needs, behind a Service."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}}
    service = objects.service()
    service["metadata"]["name"] = "inference"
    made = [namespace, objects.deployment("web", 1, 0), service]
    for obj in made[1:]:
        obj["metadata"]["namespace"] = "lab"
    return made
