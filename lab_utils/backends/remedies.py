"""What Docker, Kind and pip say when something is wrong, and what to do about it."""

import re

_REMEDIES = (
    (
        "toomanyrequests|pull rate limit",
        "Docker Hub limits downloads per network: `docker login`, wait an hour, or carry the "
        "images here with `lab bundle`",
    ),
    ("no space left|ENOSPC", "free some disk space: `docker system df` shows what Docker uses"),
    (
        "too many open files",
        "raise fs.inotify.max_user_instances to 512 (`lab doctor` shows how)",
    ),
    (
        "already allocated|address already in use",
        "another program has the port: set LAB_HTTP_PORT to a free one",
    ),
    (
        "manifest unknown|manifest for .* not found|repository does not exist",
        "there is no such image: check LAB_NODE_IMAGE and LAB_BASE_IMAGE",
    ),
    (
        "certificate signed by unknown|CERTIFICATE_VERIFY_FAILED",
        "the network replaces certificates: ask who runs its proxy for its CA, and give it to "
        "Docker",
    ),
    (
        r"invalid character '<'|text/html",
        "a proxy or a login page answers in place of the registry: log in to the network, or set "
        "Docker's proxy",
    ),
    (
        "No matching distribution|Could not find a version|NewConnectionError|from versions: none",
        "the build does not reach the package index: put the wheels into worker/wheels/ "
        "(worker/README.md, or `lab bundle --load`)",
    ),
    (
        "no such host|i/o timeout|network is unreachable|connection refused.*registry"
        "|Temporary failure in name resolution|Client.Timeout exceeded",
        "this machine does not reach the registry: check the network or the proxy, or use "
        "`lab bundle --load`",
    ),
    (
        "content digest .* not found",
        "the image has several platforms and only one of them is here: `docker pull "
        "--platform linux/amd64` (or arm64) it, then load again",
    ),
    (
        "unauthorized|authentication required|denied: ",
        "log in to the registry first: `docker login REGISTRY`",
    ),
    (
        "HTTP response to HTTPS client",
        "the registry speaks plain HTTP: add it to insecure-registries of Docker",
    ),
    ("Cannot connect to the Docker daemon", "start Docker, then try again"),
    ("permission denied", "run `sudo usermod -aG docker $USER` and log in again"),
)


def explain(output: str) -> str:
    """Take the reason out of what a command wrote: its error line, its last words, a remedy."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "command output"))]
    reason = "; ".join(dict.fromkeys([*(errors or lines[-1:])]))[:400].rstrip(".")
    remedy = next((text for sign, text in _REMEDIES if re.search(sign, output, re.I)), "")
    return f"{reason}. Next step: {remedy}" if remedy else reason
