"""What may have spoiled a measurement: a run that was not what it claims to be contradicts nothing.

The guard of every check. It looks at whatever a claim was given: runs, lists and mappings of runs,
and tables made of runs, which say in a column `invalid` what was wrong with each.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from lab_utils.runs import Run


def find_confound(data: Iterable[Any]) -> str:
    """Say what is wrong with the runs behind some data; "" if nothing is.

    Args:
        data: The arguments of a claim.

    Returns:
        The first reason: an interrupt, or why the load was not what was asked for
        (`Run.validity`).
    """
    return next((reason for item in data for reason in _reasons(item) if reason), "")


def _reasons(item: Any) -> Iterator[str]:
    if isinstance(item, Run):
        yield "the run was interrupted" if item.interrupted else "; ".join(item.validity.reasons)
    elif isinstance(item, pd.DataFrame):
        yield from map(str, item.get("invalid", ()))
    elif isinstance(item, Mapping):
        yield find_confound(item.values())
    elif isinstance(item, list | tuple):
        yield find_confound(item)
