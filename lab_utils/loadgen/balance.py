"""Whom a client asks when it can choose: the classic policies of client-side balancing."""

import random
from collections.abc import Collection, Sequence

from lab_utils.loadgen.endpoint import Endpoint
from lab_utils.loadgen.policy import Policy


class Balancer:
    """Chooses among endpoints.

    Args:
        urls: Their base URLs, at least one.
        policy: Of the client; its `balance` says how to choose, "" is for a single endpoint.
        chance: Where random choices come from.

    Source:
        Power of two choices: M. Mitzenmacher (2001), IEEE TPDS 12(10).
    """

    def __init__(self, urls: Sequence[str], policy: Policy, chance: random.Random) -> None:
        self._policy, self._chance = policy, chance
        self._endpoints = [Endpoint(url, policy.keep_alive) for url in urls]
        self._turn = 0

    def retarget(self, urls: Sequence[str]) -> None:
        """Choose among these from now on; those that stay keep their connections."""
        known = {endpoint.url: endpoint for endpoint in self._endpoints}
        self._endpoints = [
            known.pop(url) if url in known else Endpoint(url, self._policy.keep_alive)
            for url in urls
        ]
        for gone in known.values():
            gone.close()

    def choose(self, tried: Collection[Endpoint] = ()) -> Endpoint:
        """Choose the endpoint of an attempt; one that was not tried, if there is one."""
        if len(self._endpoints) == 1:
            return self._endpoints[0]
        open_to_choice = [one for one in self._endpoints if one not in tried] or self._endpoints
        if len(open_to_choice) == 1:
            return open_to_choice[0]
        match self._policy.balance:
            case "round_robin":
                return self._next(open_to_choice)
            case "power_of_two":
                return _least(self._chance.sample(open_to_choice, 2))
            case "least_outstanding":
                # Ties are broken at random: always the first would make it the busiest.
                return _least(self._chance.sample(open_to_choice, len(open_to_choice)))
        return self._chance.choice(open_to_choice)

    def close(self) -> None:
        """Close the kept connections of all endpoints."""
        for endpoint in self._endpoints:
            endpoint.close()

    def _next(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        self._turn += 1
        return endpoints[(self._turn - 1) % len(endpoints)]


def _least(endpoints: Sequence[Endpoint]) -> Endpoint:
    return min(endpoints, key=lambda endpoint: endpoint.outstanding)
