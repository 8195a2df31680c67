"""What everybody shares, shared out by address: threads for what takes long, and connections.

An address is that of a visitor's network. Whoever takes as much as may be from one leaves the rest to the others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

NETWORK_BITS = 64  # of an IPv6 address: one subscriber has all addresses of such a network
LONGEST = 60  # characters of what is no address, as a proxy may say

Found = TypeVar("Found")


def network_of(host: str | None) -> str:
    """Whom an address counts for: an IPv4 address itself, an IPv6 address its network; "" for nobody."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return (host or "")[:LONGEST]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:  # as a socket for both kinds says
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))


class FewThreads:
    """Threads for one kind of work; who comes when all are taken waits for their turn, without one.

    Args:
        threads: that work at once.
        by_address: of them for one address.
    """

    def __init__(self, threads: int, by_address: int) -> None:
        self._threads, self._by_address = CapacityLimiter(threads), by_address
        self._shares: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()  # of those who are here now

    async def run(self, address: str, work: Callable[[], Found]) -> Found:
        """Do some work for an address, once there is a thread for it."""
        share = self._shares.get(address)
        if share is None:
            share = self._shares[address] = CapacityLimiter(self._by_address)
        async with share:
            return await to_thread.run_sync(work, limiter=self._threads)
