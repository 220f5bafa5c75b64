"""Who gets which share, and what a clever choice between servers saves."""

import math

import numpy as np

from lab_utils.errors import InvalidInput


def largest_share(connections: int, pods: int) -> float:
    """Give the expected share of the busiest pod when C kept connections fall on N pods.

    kube-proxy chooses per connection, so a few connections that are kept load the pods unevenly
    for as long as they live.

    Args:
        connections: C, each to a pod chosen at random, all equally busy.
        pods: N.

    Returns:
        E[max over the pods] / C; 1/N would be even.

    Source:
        Exact: P(no pod has more than m) = C! [x^C] (sum of x^k / k!, k <= m)^N / N^C, the
        exponential generating function of the multinomial distribution.
    """
    if connections < 1 or pods < 1:
        raise InvalidInput(f"connections is {connections}, pods is {pods}: want at least 1 of each")
    at_most = [_chance_of_at_most(m, connections, pods) for m in range(connections)]
    return sum(1 - chance for chance in at_most) / connections


def _chance_of_at_most(most: int, connections: int, pods: int) -> float:
    # Poisson weights of mean C/N instead of 1/k! keep the numbers near 1; they divide out.
    mean = connections / pods
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(most + 1)]
    one, product = np.exp(logs), np.ones(1)
    for _ in range(pods):
        product = np.convolve(product, one)[: connections + 1]
    if len(product) <= connections:
        return 0.0
    whole = math.exp(
        connections * math.log(connections) - connections - math.lgamma(connections + 1)
    )
    return min(1.0, float(product[connections]) / whole)


def two_choices_response_s(rho: float, service_s: float) -> float:
    """Predict the mean response of very many workers when each request takes the better of two.

    Args:
        rho: Utilisation of a worker, below 1.
        service_s: Mean of the exponential service time.

    Source:
        Mitzenmacher (2001), The power of two choices in randomized load balancing; Vvedenskaya et
        al. (1996): W / S = sum over i >= 1 of rho^(2^i - 2), for N to infinity.
    """
    if not 0 <= rho < 1:
        raise InvalidInput(f"rho is {rho:g}: want 0 up to below 1, or the queues grow for ever")
    total, i = 0.0, 1
    while (term := rho ** (2.0**i - 2)) > 1e-15:
        total, i = total + term, i + 1
    return service_s * total
