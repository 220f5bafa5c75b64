"""How a client behaves: retries, budgets, hedges, connections and choice among endpoints."""

import asyncio
import itertools
from collections import Counter
from contextlib import ExitStack

import numpy as np
import pytest

from lab_utils.errors import InvalidInput
from lab_utils.loadgen.policy import Hedge, Policy, Retries
from lab_utils.workload import fire, fire_closed
from tests.tools.servers import GOOD, http, serving, stalls, writes

BUSY = http(503, b"")


def fire_some(url, **options):
    return fire(url, **{"rate_rps": 50, "duration_s": 0.4, "arrivals": "constant"} | options)


def fails_first(times):
    """Answer 503 to the first attempts of all, then well."""
    left = itertools.count(1)

    async def answer(writer):
        writer.write(BUSY if next(left) <= times else GOOD)

    return answer


def test_a_failure_is_tried_again_and_the_latency_is_the_time_of_all_attempts():
    with serving(fails_first(2)) as url:
        run = fire_closed(url, count=3, retries=Retries(3, backoff_s=0.05, jitter=False))
    assert list(run.requests["attempts"]) == [3, 1, 1]
    assert run.requests["ok"].all()
    assert run.requests["latency_s"][0] > 0.05 + 0.1  # the second wait is twice the first
    waits_s = run.attempts["sent_s"][1:3].to_numpy() - run.attempts["done_s"][:2].to_numpy()
    assert (waits_s >= [0.05, 0.1]).all()
    assert list(run.attempts["error"][:3]) == ["http_503", "http_503", ""]


def test_retries_end_after_the_last_attempt():
    with serving(writes(BUSY)) as url:
        run = fire_some(url, retries=Retries(4))
    assert set(run.requests["attempts"]) == {4}
    assert set(run.requests["error"]) == {"http_503"}
    assert run.requests["latency_s"].isna().all()


def test_what_asking_again_cannot_mend_is_not_asked_again():
    with serving(writes(http(404, b"{}"))) as url:
        assert set(fire_some(url, retries=Retries(4)).requests["attempts"]) == {1}


def test_a_budget_lets_no_more_than_its_share_be_tried_again():
    with serving(writes(BUSY)) as url:
        run = fire_closed(url, count=200, retries=Retries(3, budget=0.1))
    assert run.requests["attempts"].sum() - 200 == 20


def test_jitter_spreads_the_waits_evenly_and_follows_from_the_seed():
    retries = Retries(2, backoff_s=0.04)
    with serving(writes(BUSY)) as url:
        run = fire_some(url, rate_rps=200, duration_s=0.5, retries=retries)
    first, second = (run.attempts[run.attempts["attempt"] == n] for n in (1, 2))
    waits_s = second["sent_s"].to_numpy() - first["done_s"].to_numpy()
    assert 0.012 < waits_s.mean() < 0.04
    assert waits_s.min() < 0.01


def test_a_retry_walks_along_the_whole_failover_list():
    with serving(writes(BUSY)) as bad, serving(writes(BUSY)) as worse:
        run = fire_closed(bad, count=1, retries=Retries(2))
        assert len(run.attempts) == 2
        run = fire_some(bad, duration_s=0.02, failover=[worse], retries=Retries(2))
    ports = [bad.rpartition("/")[2], worse.rpartition("/")[2]] * 2
    assert list(run.attempts["endpoint"]) == ports


def slow_first():
    """Let the first attempt of all wait for ever, and answer the others."""
    count = itertools.count()

    async def answer(writer):
        if next(count) == 0:
            await asyncio.sleep(3600)
        writer.write(GOOD)

    return answer


def test_a_slow_answer_is_hedged_and_the_quicker_one_is_taken():
    with serving(slow_first()) as url:
        run = fire_some(url, duration_s=0.1, hedge=Hedge(after_s=0.1), timeout_s=5)
    assert run.requests["ok"].all()
    assert list(run.requests["hedged"]) == [True, False, False, False, False]
    assert 0.1 < run.requests["latency_s"][0] < 1.0
    loser, winner = run.attempts.head(2).to_dict("records")
    assert (loser["error"], loser["hedge"], winner["ok"], winner["hedge"]) == (
        "cancelled",
        False,
        True,
        True,
    )


def test_a_hedge_that_fails_leaves_the_first_attempt_its_time():
    count = itertools.count()

    async def answer(writer):
        if next(count) == 0:
            await asyncio.sleep(0.2)
            writer.write(GOOD)
        else:
            writer.write(BUSY)

    with serving(answer) as url:
        run = fire_closed(url, count=1, hedge=Hedge(after_s=0.05))
    assert run.requests["ok"].all()
    assert list(run.attempts["error"]) == ["", "http_503"]


def test_a_request_whose_attempts_all_time_out_has_timed_out():
    with serving(stalls) as url:
        run = fire_closed(url, count=1, hedge=Hedge(after_s=0.05), timeout_s=0.2)
    assert list(run.attempts["error"]) == ["timeout", "timeout"]
    assert list(run.requests["error"]) == ["timeout"]


def test_hedging_after_a_quantile_costs_its_share_of_more_requests():
    chance = np.random.default_rng(1)

    async def answer(writer):
        await asyncio.sleep(float(chance.uniform(0.0, 0.02)))
        writer.write(GOOD)

    with serving(answer) as url:
        run = fire(url, rate_rps=200, duration_s=3, hedge=Hedge(quantile=0.9, learn=50))
    later = run.requests[50:]
    assert 0.03 < later["hedged"].mean() < 0.2
    assert not run.requests["hedged"][:50].any()


def noting_peers(peers):
    async def answer(writer):
        peers[writer.get_extra_info("peername")] += 1
        await asyncio.sleep(0.01)
        writer.write(GOOD)

    return answer


@pytest.mark.parametrize(
    ("keep_alive", "connections"), [(False, [1] * 12), (3, [4, 4, 4]), (True, [12])]
)
def test_the_pool_decides_how_many_connections_there_are_and_takes_turns(keep_alive, connections):
    peers = Counter()
    with serving(noting_peers(peers)) as url:
        run = fire_closed(url, count=12, keep_alive=keep_alive)
    assert sorted(peers.values()) == connections
    assert run.requests["ok"].all()


def test_a_pool_makes_requests_wait_and_the_wait_is_part_of_their_latency():
    peers = Counter()
    with serving(noting_peers(peers)) as url:
        run = fire_some(url, rate_rps=400, duration_s=0.1, keep_alive=2)
    assert len(peers) == 2
    assert run.requests["ok"].all()
    assert run.requests["latency_s"].max() > 0.08  # 40 requests of 10 ms over two connections
    assert run.requests["lag_s"].median() < 0.01  # not the generator's fault


def test_a_kept_connection_that_the_server_closes_is_replaced():
    async def answers_once(writer):
        writer.write(http(200, b'{"parameters": {}}', "Connection: close"))
        writer.close()

    with serving(answers_once) as url:
        assert fire_closed(url, count=5, keep_alive=True).requests["ok"].all()


def balance(policy, answers, **options):
    """Fire at a group of servers and count what each got."""
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(answer)) for answer in answers]
        run = fire(urls, **{"rate_rps": 200, "duration_s": 1.0, "balance": policy} | options)
    counts = run.attempts["endpoint"].value_counts()
    return run, [int(counts.get(url.rpartition("/")[2], 0)) for url in urls]


def slowly(delay_s):
    async def answer(writer):
        await asyncio.sleep(delay_s)
        writer.write(GOOD)

    return answer


def test_round_robin_takes_turns():
    run, counts = balance("round_robin", [writes(GOOD)] * 3, arrivals="constant", rate_rps=60)
    assert counts == [20, 20, 20]
    assert run.requests["ok"].all()


def test_random_spreads_evenly_within_chance():
    _, counts = balance("random", [writes(GOOD)] * 2)
    n = sum(counts)
    assert abs(counts[0] - n / 2) < 4 * (n / 4) ** 0.5
    assert counts[0] != counts[1] or n % 2 == 0


@pytest.mark.parametrize(
    ("policy", "least", "most"), [("power_of_two", 0.0, 0.3), ("least_outstanding", 0.0, 0.2)]
)
def test_balancers_that_look_at_the_queue_avoid_the_slow_one(policy, least, most):
    _, counts = balance(policy, [slowly(0.2), slowly(0.005), slowly(0.005)])
    assert least < counts[0] / sum(counts) < most


def test_a_retry_asks_an_endpoint_that_was_not_tried():
    run, _ = balance("random", [writes(BUSY), writes(GOOD)], retries=Retries(2), duration_s=0.3)
    assert run.requests["ok"].all()
    assert set(run.requests["attempts"]) == {1, 2}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Retries(0), "attempts is 0"),
        (lambda: Retries(3, backoff_s=-1), "backoff_s is -1"),
        (lambda: Retries(3, factor=0), "factor is 0"),
        (lambda: Retries(3, budget=float("nan")), "budget is nan"),
        (lambda: Hedge(), "want one of them"),
        (lambda: Hedge(after_s=1, quantile=0.5), "want one of them"),
        (lambda: Hedge(after_s=0), "after_s is 0"),
        (lambda: Hedge(quantile=1.0), "quantile is 1.0"),
        (lambda: Policy(balance="best"), "balance is 'best': want one of 'random'"),
        (lambda: Policy(keep_alive=0), "keep_alive is 0"),
        (lambda: Policy(retries=3), r"retries is 3: want Retries\(3\) or None"),
        (lambda: Policy(hedge=0.1), "hedge is 0.1: want Hedge"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_when_it_is_made(make, said):
    with pytest.raises(InvalidInput, match=said):
        make()


def test_an_endpoint_list_that_is_empty_is_refused():
    with pytest.raises(InvalidInput, match="url is an empty list"):
        fire_some([])


def test_a_client_that_chooses_follows_the_endpoints_there_are():
    with serving(writes(GOOD)) as old, serving(writes(GOOD)) as new:
        asked = itertools.count()

        def endpoints():
            return [old] if next(asked) < 4 else [new]

        run = fire(
            [old], rate_rps=100, duration_s=1.5, balance="random", keep_alive=True,
            endpoints=endpoints,
        )  # fmt: skip
    assert run.requests["ok"].all()
    ports = [url.rpartition("/")[2] for url in (old, new)]
    changes = run.attempts["endpoint"].ne(run.attempts["endpoint"].shift()).sum()
    assert run.attempts["endpoint"].unique().tolist() == ports
    assert changes == 2


def test_a_client_without_any_endpoint_left_goes_on_with_those_it_had():
    with serving(writes(GOOD)) as url:
        run = fire_some([url], balance="random", endpoints=list)
    assert run.requests["ok"].all()
