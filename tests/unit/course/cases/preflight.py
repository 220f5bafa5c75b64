"""Cases of notebook 00."""

import pandas as pd


def deployments(*ready):
    return pd.DataFrame({"Ready": ready})


def findings(*rows):
    return pd.DataFrame(rows, columns=["check", "status", "remedy"])


CASES = {
    "00.1": ([deployments("1/1", "1/1"), 4.5], [deployments("1/1", "0/1"), 4.5]),
    "00.2": ([{"primary": "a", "backup": "b"}], [{"primary": "a", "backup": "a"}]),
    "00.3": ([{"model_name": "clock"}], [{"error": "no"}]),
    "00.4": ([findings(("disk", "ok", ""), ("kubectl", "warn", "install it"))],
             [findings(("disk", "fail", "free some"), ("kubectl", "warn", ""))]),
}  # fmt: skip
UNDECIDED = {"00.4": [findings()]}
