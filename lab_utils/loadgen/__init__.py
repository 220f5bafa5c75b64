"""The load generator: a process of its own, so that no work in the kernel delays a request.

`policy` how the client behaves and `plan` what to send and when; `pacer` what keeps the schedule;
`client` one request with its retries and hedges, `restraint` what holds it back, `balance` whom it
asks, `endpoint` the connections to one address, `connection` HTTP on one of them, `outcomes` what
became of it; `told` where it is written down, `__main__` the process, `process` its parent's side,
`agent` the same in a pod.

Nothing here imports pandas, matplotlib or numpy, so that it also starts quickly inside a pod.
"""
