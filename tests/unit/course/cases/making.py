"""Made runs for the cases of the claims: requests of a known time, role and fate."""

from tests.tools.made_runs import simple_run

KILL = [{"start_s": 5.0, "end_s": 5.0, "name": "kill -9", "target": "primary"}]


def requests(*spans, rate_rps=20):
    """Make requests from (start_s, end_s, role or "" for failed)."""
    rows = []
    for start_s, end_s, role in spans:
        times = [start_s + k / rate_rps for k in range(int((end_s - start_s) * rate_rps))]
        rows += [answered(t, role) if role else {"scheduled_s": t, "ok": False} for t in times]
    return rows


def answered(scheduled_s, role="primary", *, service_s=0.1, queue_s=0.0, over_s=0.003, attempts=1):
    latency_s = service_s + queue_s + over_s
    return {
        "scheduled_s": scheduled_s, "sent_s": scheduled_s, "done_s": scheduled_s + latency_s,
        "latency_s": latency_s, "lag_s": 0.0, "ok": True, "role": role, "pod": f"{role}-1",
        "queue_s": queue_s, "service_s": service_s, "attempts": attempts,
    }  # fmt: skip


def run(*spans, outage_s=0.0, faults=KILL):
    outages = [{"start_s": 5.0, "end_s": 5.0 + outage_s, "duration_s": outage_s}]
    return simple_run(requests(*spans), faults=faults, outages=outages if outage_s else [])


def long_run(latency_s, n=400):
    return simple_run([answered(k * 0.02, service_s=latency_s, over_s=0.0) for k in range(n)])


NOTHING = simple_run([])
