"""The addresses of one node's pods: the one that was given back longest ago is next."""

from collections import deque


class Addresses:
    """Gives 127.<octet>.<index>.2 to .254; one in use is never given again."""

    def __init__(self, octet: int, index: int) -> None:
        prefix = f"127.{octet}.{index}"
        self.node, self.pod_cidr = f"{prefix}.1", f"{prefix}.0/24"
        self._free = deque(f"{prefix}.{number}" for number in range(2, 255))

    def take(self) -> str:
        """Give a free address; LookupError when all are in use."""
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        """Note that an address is free again."""
        self._free.append(address)
