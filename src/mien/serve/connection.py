"""One client's connection: uvicorn's HTTP/1.1 with patience that ends. Knows no route.

uvicorn itself waits forever for the head of a request, for a client that reads nothing, and for the rest of a body that
was refused, and takes a head of any length. Here each of these has a bound, and so have connections. Bodies are timed
in `uploads.py`.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mien.serve import problems
from mien.serve.guard import HEADERS
from mien.serve.uploads import WHOLE

HEAD_SECONDS = 15.0  # for the head of a request, and for the rest of a body that nobody wants
STALL_SECONDS = 60.0  # for a client to read on
MOST_CONNECTIONS = 1000  # of a process
HEAD_BYTES = 16 * 1024
PACKET_BYTES = 64 * 1024  # of what is sent along with a head; more would be copied for little


class HeadTooLong(Exception):
    """Raised in the parser's callbacks, to end the parsing."""


class Connection(HttpToolsProtocol):
    """A connection; uvicorn makes one for each client."""

    head_timer = stall_timer = None
    in_head = in_body = body_came = False  # of the request that is on its way
    head_bytes = 0  # since the last byte of a body: what stands between chunks and behind them counts, too

    def connection_made(self, transport) -> None:
        """Begin to wait for a request; where too many wait already, say so and close."""
        super().connection_made(_Together(transport))
        if len(self.connections) > MOST_CONNECTIONS:
            self._say(503, f"{MOST_CONNECTIONS} connections are open; try again")
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self.head_bytes = 0 if self.body_came else self.head_bytes + len(data)
        self.body_came = False
        if (self.in_head or self.in_body) and self.head_bytes > HEAD_BYTES:
            self.send_400_response("")
        self._watch()

    def on_message_begin(self) -> None:
        """Begin with a request's head."""
        super().on_message_begin()
        self.in_head, self.head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind a body tells nothing that is wanted here, and would never end."""
        if not self.in_head:
            raise HeadTooLong
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self.body_came = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        if self.parser.should_upgrade() and self.parser.get_method() == b"POST":
            self._say(400, "no upgrade of HTTP is taken; ask in HTTP/1.1 without one (curl --http1.1)")
            return  # the parser takes no body behind such a head
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            raise HeadTooLong
        self.in_head, self.in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole, before its answering begins where it came in one go."""
        self.in_body = False
        if self.transport.is_closing():
            return
        self.scope[WHOLE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for the rest of this one."""
        self.transport.flush()
        super().on_response_complete()
        self.head_timer = _stopped(self.head_timer)
        if self.in_body:
            self._watch()

    def _watch(self) -> None:
        """Keep a timer running while nothing is answered: a head, or a body that nobody wants, is on its way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.head_timer = _stopped(self.head_timer)
        elif self.head_timer is None and not self.transport.is_closing():
            self.head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        self.stall_timer = self.stall_timer or self.loop.call_later(STALL_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        """Note that it does."""
        super().resume_writing()
        self.stall_timer = _stopped(self.stall_timer)

    def connection_lost(self, exc) -> None:
        """Stop all timers."""
        self.head_timer, self.stall_timer = _stopped(self.head_timer), _stopped(self.stall_timer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too long a head."""
        self._say(
            400, f"this is no HTTP/1.1 that can be read, or its head has more than {HEAD_BYTES:,} bytes"
        )

    def _say(self, status: int, detail: str) -> None:
        """Write a problem and close, past the parser, which may have given up on this connection."""
        told = problems.body(status, detail)
        head = {**HEADERS, "content-type": problems.MEDIA_TYPE, "content-length": str(len(told))}
        lines = [f"HTTP/1.1 {status} {problems.title(status)}", *(f"{n}: {v}" for n, v in head.items())]
        self.transport.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + told)
        self.transport.close()

    def _give_up(self) -> None:
        self.transport.abort()


class _Together:
    """A transport that sends an answer's head along with what follows it: one packet, one waking of the client."""

    def __init__(self, transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str):
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes; a head, which uvicorn writes by itself, is kept until more comes or the answer is complete."""
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head += data
        elif len(data) <= PACKET_BYTES:
            self._transport.write(self._taken() + data)
        else:
            self.flush()
            self._transport.write(data)

    def flush(self) -> None:
        """Send what is kept."""
        if self._head:
            self._transport.write(self._taken())

    def close(self) -> None:
        """Send what is kept and close."""
        self.flush()
        self._transport.close()

    def _taken(self) -> bytes:
        head, self._head = self._head, b""
        return head


def _stopped(timer) -> None:
    if timer is not None:
        timer.cancel()
