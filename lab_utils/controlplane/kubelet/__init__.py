"""One node's kubelet: turns Pods bound to the node into processes and reports how they fare.

    Kubelet (kubelet.py)         what the API server says -> one PodWorker per pod
      PodWorker (worker.py)      one pod's life; records.py decides, podstatus.py reports
        Slot (slot.py)           one of its containers: process, back-off, Events
        start_container (starting.py)  image, env.py, volumes.py, sandbox.py, then the process
        Stopper (stopping.py)    preStop, SIGTERM, grace period, SIGKILL; sidecars last
        PodProbes (probes.py)    startup, readiness and liveness of its containers
      Runtime (runtime.py)       containers as process groups; logs.py keeps what they print
        Limiter (limiter.py)     CPU quota (quota.py) and memory limit of each Cgroup (cgroup.py)
    Node (node.py)               the Node object and its Lease
    make_kubelet_app (api.py)    the HTTPS server: logs, statistics (stats.py), signals of faults

Talks to the API server over HTTPS only, like a real one.
"""
