"""A small run that several tests start from."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lab_utils.runs import Run
from lab_utils.tables import SCHEMAS, make_table

Rows = Iterable[Mapping[str, Any]]


def made_run() -> Run:
    """Make an interrupted run of two requests, with values that are hard to write down."""
    rows = [
        {"request_id": 0, "scheduled_s": 0.1 + 0.2, "latency_s": 1 / 3, "ok": True, "role": "NA"},
        {"request_id": 1, "scheduled_s": 0.5, "ok": False, "error": "reset"},
    ]
    tables = {name: make_table(name) for name in SCHEMAS}
    tables["requests"] = make_table("requests", rows)
    tables["events"] = make_table("events", [{"t_s": -0.5, "message": 'say "so",\nthen go'}])
    return Run(
        **tables,
        settings={"rate_rps": 20.0, "service_ms": None, "limits": {"primary": {"cpu_cores": 0.1}}},
        seed=7,
        started_at=datetime(2026, 11, 23, 15, 0, 0, 123456, UTC),
        backend="embedded",
        versions={"python": "3.13"},
        interrupted=True,
    )


def simple_run(
    requests: Rows,
    *,
    faults: Rows = (),
    outages: Rows = (),
    events: Rows = (),
    states: Rows = (),
    **about: Any,
) -> Run:
    """Make a run of these rows; what a row does not say is unknown."""
    tables = {name: make_table(name) for name in SCHEMAS}
    given = {
        "requests": requests, "faults": faults, "outages": outages, "events": events,
        "states": states,
    }  # fmt: skip
    tables |= {name: make_table(name, rows) for name, rows in given.items()}
    return replace(made_run(), **tables, interrupted=False, **about)
