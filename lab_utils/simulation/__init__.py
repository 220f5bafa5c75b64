"""Queues and fleets played through: arrivals and service times in, response times out. Pure.

The twin of a measurement puts the recorded requests through an ideal server; a fleet puts random
ones through thousands of workers. Neither waits for anything nor reads a clock.
"""

from lab_utils.simulation.fleet import POLICIES, simulate_fleet
from lab_utils.simulation.queues import replay, response_band
from lab_utils.simulation.server import Served, Server, serve

__all__ = [
    "POLICIES",
    "Served",
    "Server",
    "replay",
    "response_band",
    "serve",
    "simulate_fleet",
]
