"""The secrets of one cluster: a CA, one server certificate and tokens.

Made by the launcher at every start, so that the daemons never load a certificate library. Every
file is 0600 in the cluster's 0700 folder.
"""

import json
import secrets

import trustme

from lab_utils.controlplane.config import (
    ADMIN,
    API_NAMES,
    API_SERVER,
    ClusterConfig,
    Layout,
    write_atomically,
)


def create_secrets(layout: Layout, config: ClusterConfig) -> None:
    """Write CA, tokens and the server's certificate, for all names it is called by."""
    authority = trustme.CA(
        organization_name="Embedded Kubernetes cluster", organization_unit_name=config.name
    )
    names = [node.name for node in config.nodes]
    server = authority.issue_cert("127.0.0.1", "localhost", *API_NAMES, *names)
    layout.ca.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomically(layout.ca, authority.cert_pem.bytes().decode())
    write_atomically(
        layout.server_certificate, server.private_key_and_cert_chain_pem.bytes().decode()
    )
    users = [ADMIN, API_SERVER, *(f"system:node:{name}" for name in names)]
    write_atomically(layout.tokens, json.dumps({secrets.token_urlsafe(32): user for user in users}))
