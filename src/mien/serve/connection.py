"""One client's connection: uvicorn's, on h11, with the bounds that it does not have. Knows no route.

uvicorn waits forever for the head of a request and for the rest of a body that was refused, takes any number of
connections, hangs up on a client that has closed its sending half, and counts nothing that is no HTTP. (A client that
does not read is the kernel's: `launch.STALL_SECONDS`.)
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.serve import problems
from mien.serve.metrics import count_request
from mien.serve.middleware import HEADERS, OTHER
from mien.serve.settings import trusts
from mien.system import allow_open_files

HEAD_SECONDS = 15.0  # for the head of a request, and for the rest of a body that nobody wants
HEAD_BYTES = 16 * 1024
MOST_CONNECTIONS = 2000  # of a process, half of them of one address
BACKLOG = 512  # that the kernel keeps for us, and asyncio accepts at once
OTHER_FILES = 64  # that a process opens beside its connections


def connections_allowed() -> tuple[int, int]:
    """Return how many connections and how large a backlog the open files of this process allow."""
    enough = MOST_CONNECTIONS + BACKLOG + OTHER_FILES
    files = allow_open_files(enough)
    return (files // 4, files // 8) if files < enough else (MOST_CONNECTIONS, BACKLOG)


class Connection(H11Protocol):
    """A connection; uvicorn makes one for each client. `proxy` may have all there are, another address half."""

    deadline: asyncio.TimerHandle | None = None
    half_closed = False

    def __init__(self, *args, most: int, proxy: str | None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.most = most
        self.proxy = proxy

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; where too many connections are open, say so and close."""
        super().connection_made(transport)
        own = self.client[0] if self.client else ""
        same = sum(
            other.client[0] == own
            for other in self.connections
            if isinstance(other, Connection) and other.client
        )
        if len(self.connections) > self.most or same > self.most // 2 and not trusts(self.proxy, own):
            self._refuse(503, "too many connections are open; try again")
        else:
            self._expect_head()

    def handle_events(self) -> None:
        """Go on with what the client sent; while it is answered the client need send nothing."""
        super().handle_events()
        if self.busy:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        super().on_response_complete()
        if not self.busy:
            self._expect_head()
            if self.half_closed:
                self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that has sent all and waits for its answer."""
        self.half_closed = True
        return self.busy and not self.cycle.more_body

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP/1.1, or has too long a head; uvicorn calls it."""
        if self.busy:
            self.scope.setdefault("state", {})[problems.BROKEN] = True  # the application counts the request
        words = f"this is no HTTP/1.1 that can be read, or its head has more than {HEAD_BYTES:,} bytes"
        self._refuse(400, words)

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem where no answer has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            if not self.busy:
                count_request(OTHER, status)
            body = problems.body(status, detail)
            headers = HEADERS | {"content-type": problems.MEDIA_TYPE, "content-length": str(len(body))}
            headers["connection"] = "close"
            head = h11.Response(status_code=status, headers=list(headers.items()))
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _expect_head(self) -> None:
        self._stop_waiting()
        self.deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
