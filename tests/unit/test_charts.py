"""Charts by what they hold: data, labels, units, limits. What they look like is for the eye."""

from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from lab_utils import analysis, charts
from lab_utils.tables import make_table
from tests.tools.made_nodes import AT_S, node_run
from tests.tools.made_runs import made_run

mpl.use("Agg")
CHARTS = {
    "availability": lambda run: charts.availability({"run": run}, predicted={"run": 0.1}),
    "autoscaling": lambda run: charts.autoscaling(
        run, request_cores=0.05, target=0.5, predicted=[(0, 1), (5, 2)]
    ),
    "ccdf": lambda run: charts.ccdf({"run": run}, slo_s=0.2, predicted=0.1),
    "dashboard": lambda run: list(charts.dashboard(run).values()),
    "failover": lambda run: charts.failover(run),
    "goodput": lambda run: charts.goodput({"run": run}, slo_s=0.2),
    "histogram": lambda run: charts.histogram(run, predicted=0.1),
    "lifelines": lambda run: charts.lifelines(run, predicted={"not_ready_s": 7.5}),
    "parts": lambda run: charts.parts(run),
    "readiness": lambda run: charts.readiness(run, predicted={"primary": 1.0}),
    "rollout": lambda run: charts.rollout(run, least_ready=1),
    "shares": lambda run: charts.shares(run, predicted={"primary": 0.5}),
    "timeline": lambda run: charts.timeline(run, predicted=1.0),
    "usage": lambda run: charts.usage(run),
}


@pytest.fixture(autouse=True)
def _style():
    with charts.style():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def run():
    """Give 30 s at 20/s in which the primary dies at 10 s and half of one second is lost."""
    random, due_s = np.random.default_rng(1), np.arange(600) / 20
    primary = random.random(600) < 0.5
    dead = primary & (due_s >= 10) & (due_s < 11)
    requests = make_table("requests").reindex(range(600))
    requests = make_table(
        "requests",
        requests.assign(
            request_id=range(600), scheduled_s=due_s, sent_s=due_s, done_s=due_s + 0.1, lag_s=0.0,
            latency_s=np.where(dead, np.nan, 0.1 + random.exponential(0.01, 600)), ok=~dead,
            error=np.where(dead, "reset", ""), queue_s=0.001, service_s=0.1,
            role=np.where(dead, "", np.where(primary, "primary", "backup")),
        ),
    )  # fmt: skip
    usage = [
        {"t_s": t, "pod": role, "role": role, "cpu_cores": 0.05, "memory_bytes": 4e7}
        for t in range(30)
        for role in ("primary", "backup")
    ]
    states = [
        {"t_s": t_s, "kind": "pod", "name": name, "ready": ready}
        for t_s, name, ready in (
            (-1, "p", True),
            (-1, "b", True),
            (10, "p", False),
            (16, "p", True),
        )
    ]
    limits = {role: {"cpu_cores": 0.1, "memory_bytes": 2**26} for role in ("primary", "backup")}
    return replace(
        made_run(),
        requests=requests,
        usage=make_table("usage", usage),
        states=make_table("states", states),
        outages=analysis.find_outages(requests),
        faults=make_table("faults", [{"start_s": 10.0, "end_s": 10.1, "name": "kill -9"}]),
        settings={"limits": limits},
        interrupted=False,
    )


def texts(ax: Axes) -> str:
    return " | ".join([ax.get_title(loc="left"), *(text.get_text() for text in ax.texts)])


def drawn(ax: Axes, label: str):
    return next(c for c in ax.collections if c.get_label() == label)


def test_the_stylesheet_can_be_used_for_good():
    charts.use_style()
    assert plt.rcParams["axes.titlelocation"] == "left"


def test_the_timeline_draws_every_request(run):
    ax = charts.timeline(run)
    points = {name: len(drawn(ax, name).get_offsets()) for name in ("primary", "backup", "failed")}
    assert sum(points.values()) == 600
    assert points["failed"] == (~run.requests["ok"]).sum()


def test_the_timeline_says_what_was_found_and_marks_it(run):
    ax = charts.timeline(run)
    lost, outage = int((~run.requests["ok"]).sum()), run.outages.iloc[0]
    said = f"{outage['duration_s']:.2f} s, {lost} lost"
    assert f"{lost} requests lost in {outage['duration_s']:.2f} s (n = 600)" in texts(ax)
    assert said in texts(ax)
    assert "kill -9" in texts(ax)
    assert [line.get_xdata()[0] for line in ax.lines] == [10.0]


def test_axes_carry_units_and_start_at_zero(run):
    ax = charts.timeline(run)
    assert ax.get_ylabel() == "Request latency (ms)"
    assert ax.get_xlabel() == "Time request was due (s)"
    assert ax.get_ylim()[0] == 0


def test_roles_differ_in_colour_and_in_mark(run):
    ax = charts.timeline(run)
    primary, backup = drawn(ax, "primary"), drawn(ax, "backup")
    assert to_hex(primary.get_facecolor()[0]).upper() == "#0072B2"
    assert to_hex(backup.get_facecolor()[0]).upper() == "#E69F00"
    shapes = [len(c.get_paths()[0].vertices) for c in (primary, backup)]
    assert shapes[0] != shapes[1]


def test_a_cut_request_is_not_drawn_as_failed(run):
    cut = run.requests.assign(error=np.where(run.requests["ok"], "", "cancelled"))
    ax = charts.timeline(replace(run, requests=cut, outages=make_table("outages")))
    labels = {c.get_label() for c in ax.collections}
    assert "cut by the end of the run" in labels
    assert "failed" not in labels


def test_the_failover_shares_its_time_axis_and_counts_by_second(run):
    above, below = charts.failover(run)
    assert above.get_xlim() == below.get_xlim()
    assert len([p for p in below.patches if p.get_label() in ("primary", "backup")]) == 2


def test_usage_has_three_panels_with_their_limits(run):
    cpu, memory, throttled = charts.usage(run)
    assert [ax.get_ylabel().split("\n")[1] for ax in (cpu, memory, throttled)] == [
        "(cores)", "(MiB)", "periods (%)",
    ]  # fmt: skip
    assert "limit 0.1 cores" in texts(cpu)
    assert "limit 64 MiB" in texts(memory)
    assert {"primary", "backup"} <= {text.get_text() for text in memory.texts}


def test_the_histogram_holds_every_answer_and_its_percentiles(run):
    ax = charts.histogram(run)
    assert sum(patch.get_height() for patch in ax.patches) == run.requests["ok"].sum()
    assert "p50: 10" in texts(ax)
    assert "p99: " in texts(ax)


def test_the_parts_are_as_high_as_the_latencies(run):
    ax = charts.parts(run)
    stacked = {patch.get_label(): patch.get_data() for patch in ax.patches}
    tops_ms = stacked["overhead"].values
    per_bar = int(np.diff(stacked["overhead"].edges)[0])
    assert tops_ms[0] == pytest.approx(run.requests["latency_s"].dropna()[:per_bar].mean() * 1e3)
    assert stacked["service"].values == pytest.approx(stacked["overhead"].baseline)
    assert "service 100.0 ms" in texts(ax)


def test_shares_say_whether_they_are_in_the_band(run):
    assert "of a random choice" in texts(charts.shares(run))
    alone = run.requests[run.requests["role"] == "backup"]
    assert "Backup gave every answer" in texts(charts.shares(replace(run, requests=alone)))


def test_who_gave_no_answer_is_drawn_at_nothing(run):
    named = run.requests.assign(pod="inference-primary-59f-x2x", ok=True)
    ax = charts.shares(
        replace(run, requests=named), by="pod", among=["inference-backup-77c-q4q"],
        predicted={"inference-backup-77c-q4q": 0.5},
    )  # fmt: skip
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["inference-backup\nq4q", "inference-primary\nx2x"]
    assert "1 of 2 gave no answer at all" in texts(ax)
    assert "0.0 % (0)" in texts(ax)


def test_a_change_of_no_pod_of_its_own_is_a_line_through_all(run):
    faults = make_table("faults", [{"start_s": 5.0, "end_s": 5.1, "name": "x", "target": "n"}])
    above, _ = charts.readiness(replace(run, faults=faults))
    assert [line.get_xdata() for line in above.lines] == [[5.0, 5.0]]
    assert "x" in [text.get_text() for text in above.texts]


def test_availability_bars_show_failures_and_predictions(run):
    ax = charts.availability({"a": run, "b": run}, predicted={"a": 0.02})
    failed_pct = 100 * (~run.requests["ok"]).mean()
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([failed_pct] * 2)
    assert f"{100 - failed_pct:.2f} % answered" in texts(ax)


@pytest.mark.fault(34)
@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("rows", [0, 1])
def test_charts_of_nothing_say_so_and_of_one_row_work(run, name, rows):
    little = replace(
        run,
        requests=run.requests.head(rows),
        usage=run.usage.head(rows),
        states=run.states.head(rows),
        outages=make_table("outages"),
    )
    made = CHARTS[name](little)
    first = made if isinstance(made, Axes) else made[0]
    first.figure.canvas.draw()
    assert ("Nothing to show" in texts(first)) is (rows == 0)


@pytest.mark.fault(34)
@pytest.mark.parametrize("name", CHARTS)
def test_charts_of_failures_alone_are_drawn(run, name):
    failed = run.requests[~run.requests["ok"]]
    unread = run.usage.assign(cpu_cores=np.nan, memory_bytes=np.nan)
    made = CHARTS[name](replace(run, requests=failed, usage=unread))
    (made if isinstance(made, Axes) else made[0]).figure.canvas.draw()


def test_charts_draw_in_the_axes_they_are_given(run):
    _, axes = plt.subplots(2, 1)
    assert charts.timeline(run, ax=axes[0]) is axes[0]
    assert charts.failover(run, axes=axes) == list(axes)


@pytest.mark.parametrize("name", CHARTS)
def test_an_invalid_run_says_so_over_its_chart(run, name):
    late = run.requests.assign(lag_s=0.02)
    settings = run.settings | {"loop": "open"}
    made = CHARTS[name](replace(run, requests=late, settings=settings))
    first = made if isinstance(made, Axes) else made[0]
    assert first.get_title(loc="left").startswith("INVALID: lateness p99 20 ms")


def test_several_invalid_runs_are_counted(run):
    late = replace(
        run, requests=run.requests.assign(lag_s=0.02), settings=run.settings | {"loop": "open"}
    )
    title = charts.ccdf({"a": run, "b": late, "c": late}).get_title(loc="left")
    assert title.startswith("2 of 3 runs are invalid")


def test_tails_of_a_run_and_of_its_parts_count_each_answer_once(run):
    parts = {role: run.of(role) for role in ("primary", "backup")}
    answered = int(run.requests["latency_s"].notna().sum())
    title = charts.ccdf(parts | {"all": run}).get_title(loc="left")
    assert f"n = {answered:,}" in title


@pytest.mark.parametrize("name", CHARTS)
def test_a_quarter_of_a_million_requests_are_drawn_soon(run, name):
    many = run.requests.sample(250_000, replace=True, random_state=1, ignore_index=True)
    many["scheduled_s"] = np.arange(len(many)) / 1000
    crowd = replace(run, requests=many, outages=analysis.find_outages(many))
    made = CHARTS[name](crowd)
    (made if isinstance(made, Axes) else made[0]).figure.canvas.draw()


def test_a_crowd_is_drawn_as_pixels_and_medians_and_loses_no_failure(run):
    many = run.requests.sample(100_000, replace=True, random_state=1, ignore_index=True)
    many["scheduled_s"] = np.arange(len(many)) / 1000
    many = many.assign(
        ok=True, error="", latency_s=many["latency_s"].fillna(0.107),
        role=many["role"].replace("", "backup"),
    )  # fmt: skip
    many.loc[50_000, ["ok", "error"]] = [False, "reset"]
    ax = charts.timeline(replace(run, requests=many, outages=make_table("outages")))
    assert len(ax.images) == 2  # primary and backup
    assert drawn(ax, "failed").get_offsets()[0][0] == pytest.approx(50, abs=0.2)
    medians = [line for line in ax.lines if len(line.get_xdata()) > 10]
    assert np.median(medians[0].get_ydata()) == pytest.approx(107, abs=3)


def test_the_tail_is_the_share_that_took_longer(run):
    ax = charts.ccdf({"run": run})
    curve = next(line for line in ax.lines if line.get_label() == "run")
    latency_ms = run.requests["latency_s"].dropna() * 1e3
    at = len(latency_ms) // 2
    x, y = curve.get_xdata()[at], curve.get_ydata()[at]
    assert y == pytest.approx(100 * (latency_ms > x).mean(), abs=0.2)
    assert ax.get_yscale() == "log"


def test_a_rollout_shows_failures_over_capacity(run):
    above, below = charts.rollout(run, least_ready=1)
    assert sum(bar.get_height() for bar in above.patches) == (~run.requests["ok"]).sum()
    assert "never below 1 ready pod (" in texts(above)
    steps = next(line for line in below.lines if len(line.get_xdata()) > 2)
    assert steps.get_ydata().tolist() == [2, 1, 2, 2]


def test_readiness_fills_the_lane_of_a_pod_while_it_is_ready(run):
    states = run.states.assign(role=run.states["name"].map({"p": "primary", "b": "backup"}))
    faults = run.faults.assign(target="primary")
    above, below = charts.readiness(
        replace(run, states=states, faults=faults), predicted={"primary": 1.0}
    )
    assert [label.get_text() for label in above.get_yticklabels()] == ["primary", "backup"]
    assert "Not ready: primary 6.0 s; " in texts(above)
    [diamond] = [line for line in above.lines if line.get_marker() == "D"]
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (11.0, 0)
    assert below.get_xlim() == above.get_xlim()


def test_goodput_is_drawn_beside_what_was_offered(run):
    ax = charts.goodput({"a": run}, slo_s=0.2)
    line = next(one for one in ax.lines if len(one.get_xdata()) > 10)
    assert line.get_ydata().sum() == (run.requests["latency_s"] <= 0.2).sum()
    assert "99 % came in time" in texts(ax)


def test_the_predicted_end_of_an_overload_is_a_diamond_after_its_fault(run):
    ax = charts.goodput({"a": run}, slo_s=0.2, predicted={"a": 1.5})
    [diamond] = [line for line in ax.lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == run.faults["end_s"].max() + 1.5


def test_an_autoscaler_is_drawn_with_its_predicted_steps(run):
    top, middle, bottom = charts.autoscaling(
        run, request_cores=0.05, target=0.5, predicted=[(0, 1), (5, 4)]
    )
    assert "predicted" in texts(top)
    assert "target 50 %" in texts(middle)
    assert {"p50", "p95"} <= {text.get_text() for text in bottom.texts}


def test_an_autoscaler_is_drawn_of_one_role_and_without_a_prediction_nobody_made(run):
    rule = {"request_cores": 0.05, "target": 0.5}
    run = replace(run, states=run.states.assign(role=["primary", "backup", "primary", "primary"]))
    top, *_ = charts.autoscaling(run, role="backup", predicted=[(0, 1), (5, np.nan)], **rule)
    assert "predicted" not in texts(top)
    assert texts(top).startswith("From 1 to 1 ready pods")


def test_faults_that_last_are_hatched(run):
    faults = make_table("faults", [{"start_s": 5.0, "end_s": 9.0, "name": "hang"}])
    ax = charts.timeline(replace(run, faults=faults))
    [patch] = [patch for patch in ax.patches if patch.get_hatch()]
    assert (patch.get_x(), patch.get_width()) == (5.0, 4.0)


def test_the_dashboard_names_its_axes(run):
    assert list(charts.dashboard(run)) == [
        "timeline", "rates", "histogram", "ccdf", "parts", "shares", "cpu", "memory", "throttled",
    ]  # fmt: skip


def test_a_predicted_outage_ends_in_a_diamond(run):
    above, _ = charts.failover(run, predicted=2.5)
    [diamond] = [line for line in above.lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == 12.5  # the fault was at 10 s
    assert "predicted 2.5 s" in texts(above)


def test_lifelines_show_a_row_for_each_machine_and_pod_and_the_prediction_in_its_row():
    run = node_run("stop node", not_ready_s=7.5, given_up_s=9.5, replaced_s=14)
    above, below = charts.lifelines(run, predicted={"not_ready_s": 7.0, "replaced_s": 15.0})
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels == ["machine 1", "machine 2", "primary", "primary, new", "backup"]
    diamonds = [line.get_xydata()[0].tolist() for line in below.lines if line.get_marker() == "D"]
    assert diamonds == [[AT_S + 7.0, 0], [AT_S + 15.0, 3]]
    assert above.get_title(loc="left").startswith("NotReady after 7.5 s, given up after 9.5 s")


def test_an_objective_that_nobody_came_near_is_still_on_the_axis(run):
    ax = charts.ccdf({"run": run}, slo_s=3.0)
    assert ax.get_xlim()[1] > 3000
