"""MLPerf LoadGen's server scenario: RATE SECONDS SEED -> the times of its queries, as JSON."""

import json
import os
import sys
import tempfile
import time

import mlperf_loadgen as lg


def main() -> None:
    rate, seconds, seed = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    times_ns: list[int] = []

    def issue(samples: list[lg.QuerySample]) -> None:
        times_ns.append(time.perf_counter_ns())
        lg.QuerySamplesComplete([lg.QuerySampleResponse(one.id, 0, 0) for one in samples])

    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.Server, lg.TestMode.PerformanceOnly
    settings.server_target_qps, settings.server_target_latency_ns = rate, 100_000_000
    settings.min_duration_ms = round(seconds * 1000)
    settings.max_query_count = round(rate * seconds)
    settings.schedule_rng_seed = seed
    system = lg.ConstructSUT(issue, lambda: None)
    library = lg.ConstructQSL(1024, 1024, lambda _: None, lambda _: None)
    output = lg.LogOutputSettings()
    output.outdir = tempfile.mkdtemp()  # its logs are not of interest
    log = lg.LogSettings()
    log.log_output = output
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    lg.StartTestWithLogSettings(system, library, settings, log)
    os.dup2(stdout, 1)
    print(json.dumps({"times_s": [(one - times_ns[0]) / 1e9 for one in times_ns]}))


main()
