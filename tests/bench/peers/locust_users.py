"""Locust's fastest user in a closed loop: URL BODY USERS WARM_UP_S SECONDS -> one JSON object."""

import json
import sys
import time

from locust import FastHttpUser, constant, task
from locust.env import Environment

import gevent  # isort: skip - locust has to patch it first


class User(FastHttpUser):
    """Asks again as soon as it has an answer, on a connection of its own."""

    host, payload = sys.argv[1].rsplit("/v2", 1)[0], sys.argv[2]
    path = "/v2" + sys.argv[1].rsplit("/v2", 1)[1]
    wait_time = constant(0)

    @task
    def ask(self) -> None:
        self.client.post(self.path, data=self.payload, headers={"Content-Type": "application/json"})


def main() -> None:
    users, warm_up_s, seconds = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
    environment = Environment(user_classes=[User])
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    gevent.sleep(warm_up_s)
    total = environment.stats.total
    began = time.perf_counter(), time.process_time(), total.num_requests
    gevent.sleep(seconds)
    ended = time.perf_counter(), time.process_time(), total.num_requests
    runner.quit()
    wall_s, cpu_s, requests = (b - a for a, b in zip(began, ended, strict=True))
    failures = total.num_failures
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "requests": requests, "failed": failures}))


main()
