"""Notebook 00: the lab stands."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lab_utils.course.claims import Finding, claim, equal, require


@claim("00.1", "every pod is Ready", ask="seconds from apply until every pod is Ready", floor=0.5)
def every_pod_is_ready(deployments: pd.DataFrame, ready_s: float) -> Finding:
    """Decide on what `lab.get("deployments")` shows, and on how long it took."""
    counts = [count.split("/") for count in deployments["Ready"]]
    holds = bool(counts) and all(ready == wanted != "0" for ready, wanted in counts)
    return Finding(holds, ", ".join(deployments["Ready"]), "1/1 of each", ready_s)


@claim("00.2", "primary and backup run on different nodes")
def roles_are_apart(nodes: Mapping[str, str]) -> Finding:
    """Decide on role -> node."""
    there = {"primary", "backup"} <= set(nodes)
    holds = there and nodes["primary"] != nodes["backup"]
    return Finding(holds, str(dict(nodes)), "a node each")


@claim("00.3", "the Service answers")
def service_answers(answer: Mapping[str, Any]) -> Finding:
    """Decide on the answer of one request."""
    return equal(answer.get("model_name"), "clock")


@claim("00.4", "the doctor finds nothing that forbids the lab, and a remedy for all else")
def doctor_has_remedies(findings: pd.DataFrame) -> Finding:
    """Decide on what `lab.doctor()` shows."""
    require(len(findings) > 0, "the doctor has looked at nothing")
    sick = findings[findings["status"] == "fail"]
    helpless = findings[(findings["status"] != "ok") & (findings["remedy"] == "")]
    seen = ", ".join([*sick["check"], *(f"{name}: no remedy" for name in helpless["check"])])
    return Finding(not seen, seen or f"{len(findings)} findings", "no failure, remedies for all")
