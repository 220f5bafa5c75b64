"""A single-machine Kubernetes for teaching: an API server, controllers, kubelets.

Hides how a cluster is made out of local processes. Never imports anything of `lab_utils` but
`units` and `errors`, and is never imported above `lab_utils.backends`.
"""
