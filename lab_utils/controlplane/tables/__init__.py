"""The columns of `kubectl get`: the server's Table of every kind, one row of data per column.

Never decides which objects are shown.
Source: recorded Table responses of Kubernetes 1.36, and
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from collections.abc import Callable, Sequence

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.tables.cells import AGE, NAME
from lab_utils.controlplane.tables.cluster import CLUSTER
from lab_utils.controlplane.tables.network import NETWORK
from lab_utils.controlplane.tables.workloads import WORKLOADS

__all__ = ["table"]

_COLUMNS = CLUSTER | NETWORK | WORKLOADS


def table(
    row: Kind,
    metadata: Object,
    items: Sequence[Object],
    shown: Callable[[Object], Object | None],
    now: float,
) -> Object:
    """Give objects of one kind as a Table; shown makes what each row carries of its object."""
    columns = _COLUMNS.get(row.name, (NAME, AGE))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(item, now) for column in columns], "object": shown(item)}
            for item in items
        ],
    }
