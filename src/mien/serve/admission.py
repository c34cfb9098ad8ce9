"""How much may be held and computed at once, in all and of one address. Knows nothing about HTTP and pictures.

All of it lives in one event loop, so nothing needs a lock.
"""

import asyncio
from collections import Counter, deque
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


class Turns:
    """So many places; those who wait have the next free one in turns by client, however much one has sent."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by client, the next one first

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Hold a place."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it has just come
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give a place to the next client, whose other requests come after those of all others."""
        while self._waiting:
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._free += 1
