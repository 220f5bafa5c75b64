"""What became of a machine and of the pods on it, moment by moment."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

_HITS_A_NODE = ("stop node", "pause node", "drain")
_GOING = ("Terminating", "Deleted")


def node_phases(states: pd.DataFrame, faults: pd.DataFrame) -> pd.DataFrame:
    """Say how long after a node's fault the cluster did what about it.

    Args:
        states: The states table.
        faults: The faults table; those that hit a node are looked at.

    Returns:
        One row per fault of a node, by start_s: name, target (role), its node and pod, the next pod
        of that role ("" if there was none), start_s, and in seconds since then, NaN where it did
        not happen within the run: not_ready_s (the node is NotReady),
        withdrawn_s (no Service leads to its pods), given_up_s (the target's pod is to be deleted),
        replaced_s (another pod of that role is Ready), back_s (the node is Ready again).
    """
    hits = faults[faults["name"].isin(_HITS_A_NODE)].sort_values("start_s")
    rows = [_follow(states, fault) for fault in hits.to_dict("records")]
    columns = [
        "name", "target", "node", "pod", "next", "start_s", "not_ready_s", "withdrawn_s",
        "given_up_s", "replaced_s", "back_s",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _follow(states: pd.DataFrame, fault: Mapping[Hashable, Any]) -> dict[str, Any]:
    start_s, role = float(fault["start_s"]), fault["target"]
    before = states[(states["t_s"] < start_s) & (states["kind"] == "pod") & states["ready"]]
    homes = before.loc[before["role"] == role, ["name", "node"]].tail(1)
    known = {"name": fault["name"], "target": role, "start_s": start_s}
    if homes.empty:
        return known | {"node": "", "pod": "", "next": ""}
    pod, node = homes.iloc[0]
    after = states[states["t_s"] >= start_s]
    nodes = after[(after["kind"] == "node") & (after["name"] == node)]
    endpoints = after[(after["kind"] == "endpoint") & ~after["ready"] & (after["name"] == pod)]
    pods = after[(after["kind"] == "pod") & (after["role"] == role)]
    others = pods[(pods["name"] != pod) & ~pods["name"].isin(before["name"])]
    lost_s = _first_s(nodes, ~nodes["ready"])
    moments = {
        "not_ready_s": lost_s,
        "withdrawn_s": float(endpoints["t_s"].max()),
        "given_up_s": _first_s(pods, (pods["name"] == pod) & pods["reason"].isin(_GOING)),
        "replaced_s": _first_s(others, others["ready"]),
        "back_s": _first_s(nodes, nodes["ready"] & (nodes["t_s"] > lost_s)),
    }
    names = {"node": node, "pod": pod, "next": str(next(iter(others["name"]), ""))}
    return known | names | {name: at_s - start_s for name, at_s in moments.items()}


def _first_s(rows: pd.DataFrame, wanted: "pd.Series[bool]") -> float:
    return float(rows.loc[wanted, "t_s"].min()) if wanted.any() else math.nan
