"""How much may be held and computed at once, in all and of one address. Knows nothing about HTTP and pictures.

All of it lives in one event loop, so nothing needs a lock.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import Gauge

from mien.serve.problems import Problem


class Share:
    """An amount of something of which one address may have half, or as much as its largest request takes."""

    def __init__(self, unit: str, total: int, largest: int, gauge: Gauge) -> None:
        self._unit = unit
        self._total = total
        self._of_one = max(total // 2, largest)
        self._gauge = gauge
        self._used: Counter[str] = Counter()

    def check(self, client: str, amount: int) -> None:
        """Raise Problem where a client cannot have so much more now."""
        used, total = self._used[client], self._used.total()
        if used and used + amount > self._of_one:
            raise Problem(
                429, f"{used:,} {self._unit} of this address wait; send more when these are answered"
            )
        if total + amount > self._total:
            raise Problem(503, f"{total:,} {self._unit} wait already; try again")

    @contextmanager
    def hold(self, client: str) -> Iterator[Callable[[int], None]]:
        """Yield what takes an amount for a client, or raises Problem; all that it took is given back at the end."""
        held = 0

        def take(amount: int) -> None:
            nonlocal held
            self.check(client, amount)
            held += amount
            self._used[client] += amount
            self._gauge.inc(amount)

        try:
            yield take
        finally:
            self._used[client] -= held
            self._used += Counter()  # forgets who holds nothing
            self._gauge.dec(held)


class Slots:
    """Places of which one client may have all but one, so nobody who sends much shuts out who sends little."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._of_one = max(1, total - 1)
        self._used: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Hold a place; who waits longest has the next one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._free and self._used[client] < self._of_one)
            self._free -= 1
            self._used[client] += 1
        try:
            yield
        finally:
            self._free += 1
            self._used[client] -= 1
            self._used += Counter()
            async with self._changed:
                self._changed.notify_all()
