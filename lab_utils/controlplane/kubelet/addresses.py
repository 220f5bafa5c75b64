"""The addresses of one node's pods: the next free one after the last given, as host-local IPAM."""


class Addresses:
    """Gives 127.<octet>.<index>.2 to .254; one in use is never given again."""

    def __init__(self, octet: int, index: int) -> None:
        self._prefix = f"127.{octet}.{index}"
        self._used: set[int] = set()
        self._last = 1

    @property
    def node(self) -> str:
        """Give the node's own address."""
        return f"{self._prefix}.1"

    @property
    def pod_cidr(self) -> str:
        """Give the range of the node's pods."""
        return f"{self._prefix}.0/24"

    def take(self) -> str:
        """Give a free address.

        Raises:
            LookupError: All are in use.
        """
        after = [*range(self._last + 1, 255), *range(2, self._last + 1)]
        free = next((number for number in after if number not in self._used), None)
        if free is None:
            raise LookupError(f"no free address in {self.pod_cidr}")
        self._used.add(free)
        self._last = free
        return f"{self._prefix}.{free}"

    def give_back(self, address: str) -> None:
        """Note that an address is free again."""
        self._used.discard(int(address.rpartition(".")[2]))
