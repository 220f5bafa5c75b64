"""Cases of notebook 00."""

import pandas as pd


def deployments(*ready):
    return pd.DataFrame({"Ready": ready})


CASES = {
    "00.1": ([deployments("1/1", "1/1"), 4.5], [deployments("1/1", "0/1"), 4.5]),
    "00.2": ([{"primary": "a", "backup": "b"}], [{"primary": "a", "backup": "a"}]),
    "00.3": ([{"model_name": "clock"}], [{"error": "no"}]),
}
