"""The load generator: a process of its own, so that no work in the kernel delays a request.

`plan` what to send and when, `pacer` the thread that keeps the schedule, `client` one request and
its outcome, `__main__` the process, `process` its parent's side. Nothing here imports pandas or
matplotlib, and numpy only comes with whoever makes a plan.
"""
