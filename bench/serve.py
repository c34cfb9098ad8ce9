"""How fast `mien serve` answers, beside `Recognizer.predict`: python bench/serve.py [--seconds 6] [--soak MINUTES].

The server has one core to itself, the load comes from another. Bodies are the same bytes for both: a rendered call with
several faces, and a face alone read with `crop`. Clients keep their connections and each sends its next picture when it
has its answer; they never sleep, as what waking a client takes is not the server's. `Recognizer.predict` reads the same
bytes on the server's core in turns with the load, while the server has nothing to do; rates are medians of the turns.
With --soak good and hostile requests come mixed for so many minutes to two workers, of which one is killed, and what
must hold is checked: answers, statuses, memory, and that /metrics counts what the clients have counted.
"""

import argparse
import asyncio
import json
import os
import random
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import serving  # noqa: E402  (what starts and asks a server in the tests)

SAMPLES = serving.SAMPLES
CLIENTS = (1, 8, 64)
TURNS = 6  # of the load and of `predict`, of a row
SCENE, FACE = "call.png", "happy-1.png"


@dataclass
class Tally:
    """What one load brought."""

    times: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return a quantile of the times, in ms."""
        ordered = sorted(self.times)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def count(self, what: str) -> None:
        """Count a status or a word."""
        self.statuses[what] = self.statuses.get(what, 0) + 1


def request(body: bytes, query: str = "", kind: str = "image/png", length: int | None = None) -> bytes:
    """Return the bytes of a request."""
    size = len(body) if length is None else length
    lines = (
        f"POST /v1/predict{query} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {size}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(size)


class Client:
    """Sends the same request again and again on one connection, at little cost: the server is to be what is slow."""

    def __init__(self, port: int, message: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.message = message

    def ask(self) -> None:
        """Send the request."""
        self.got, self.wanted, self.begun = b"", None, time.perf_counter()
        self.socket.sendall(self.message)

    def take(self, tally: Tally) -> bool:
        """Take in what came; count the answer and return True when it is whole."""
        self.got += self.socket.recv(1 << 18)
        if self.wanted is None and (end := self.got.find(b"\r\n\r\n")) > 0:
            self.wanted = end + 4 + int(re.search(rb"content-length: (\d+)", self.got)[1])
        if self.wanted is None or len(self.got) < self.wanted:
            return False
        tally.times.append(time.perf_counter() - self.begun)
        tally.count(self.got[9:12].decode())
        return True


def load(port: int, message: bytes, clients: int, seconds: float) -> tuple[Tally, float]:
    """Return what so many clients saw, and pictures a second."""
    tally, some = Tally(), [Client(port, message) for _ in range(clients)]
    with selectors.DefaultSelector() as waiting:
        for one in some:
            waiting.register(one.socket, selectors.EVENT_READ, one)
            one.ask()
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds:
            for key, _ in waiting.select(0):
                if key.data.take(tally):
                    key.data.ask()
        rate = len(tally.times) / (now - begun)
    for one in some:
        one.socket.close()
    return tally, rate


ALONE = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
from mien import Recognizer
recognizer = Recognizer()
for line in sys.stdin:
    path, crop, seconds = line.split()
    data, crop, seconds = open(path, "rb").read(), crop == "1", float(seconds)
    recognizer.predict(data, crop=crop)
    count, begun, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        recognizer.predict(data, crop=crop)
        count += 1
    print(count / (time.perf_counter() - begun), 1000 * (time.process_time() - used) / count, flush=True)
"""


class Alone:
    """`Recognizer.predict` in a process of its own, on a core."""

    def __init__(self, core: int) -> None:
        command = [sys.executable, "-c", ALONE, str(core)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, path: Path, crop: bool, seconds: float) -> tuple[float, float]:
        """Return pictures a second, and ms of the core's time a picture."""
        self.process.stdin.write(f"{path} {int(crop)} {seconds}\n")
        self.process.stdin.flush()
        rate, used = map(float, self.process.stdout.readline().split())
        return rate, used

    def stop(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


class Server(serving.Server):
    """`mien serve` on a core, or on two."""

    def __init__(self, cores: set[int], *options: str) -> None:
        pin = lambda: os.sched_setaffinity(0, cores)  # noqa: E731
        process = subprocess.Popen(
            serving.command(*options), stdout=subprocess.PIPE, text=True, preexec_fn=pin
        )
        super().__init__(process, int(re.search(r":(\d+)/", process.stdout.readline())[1]))

    def used(self) -> float:
        """Return the CPU time that its processes have used, in ms."""
        ticks = sum(
            sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))
            for process in (self.process.pid, *serving.descendants(self.process.pid))
        )
        return 1000 * ticks / os.sysconf("SC_CLK_TCK")

    def finish(self) -> None:
        """Wait until the server is done with what nobody waits for any more."""
        serving.soon(lambda: not self.metric("mien_pictures_waiting"), seconds=60)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the requests that /metrics has counted, by route and status."""
        pattern = r'^mien_requests_total{route="(.*)",status="(.*)"} (\S+)$'
        rows = re.findall(pattern, self.ask("/metrics").body.decode(), re.MULTILINE)
        return {(route, status): int(float(count)) for route, status, count in rows}

    def kill_worker(self) -> None:
        """Kill one of its workers."""
        lines = {
            process: Path(f"/proc/{process}/cmdline").read_bytes()
            for process in serving.children(self.process.pid)
        }
        os.kill(next(process for process, line in lines.items() if b"spawn_main" in line), signal.SIGKILL)


def row(words: str, clients: int, server: Server, predict: Alone, path: Path, crop: bool, message: bytes,
        seconds: float) -> str:  # fmt: skip
    """Return a row of the table: the server under load beside `Recognizer.predict`, in turns."""
    rates, bases, costs, all_of_it, used = [], [], [], Tally(), 0.0
    for _ in range(TURNS):
        base, cost = predict.measure(path, crop, seconds / TURNS)
        began = server.used()
        tally, rate = load(server.port, message, clients, seconds / TURNS)
        used += server.used() - began
        assert set(tally.statuses) == {"200"}, tally.statuses
        all_of_it.times += tally.times
        rates.append(rate)
        bases.append(base)
        costs.append(cost)
        server.finish()
    rate, base, cost = map(statistics.median, (rates, bases, costs))
    used /= len(all_of_it.times)
    told = f"{rate:8.1f}  {base:8.1f}  {rate / base:12.0%}  {used:8.2f}  {cost:8.2f}  {cost / used:4.0%}"
    times = f"{all_of_it.quantile(0.5):6.1f}  {all_of_it.quantile(0.99):6.1f}"
    return f"{words:16}  {clients:6}  {told}  {times}"


def throughput(server_core: int, own_core: int, seconds: float) -> None:
    """Print a row for each kind of picture and number of clients."""
    os.sched_setaffinity(0, {own_core})
    server, predict = Server({server_core}, "--processes", "1"), Alone(server_core)
    print(
        f"server on core {server_core}, load from core {own_core}; a row: {seconds:g} s of load, as many of "
        f"predict, in {TURNS} turns"
    )
    print(
        "\n                          pictures a second            of      CPU ms a picture    of    answer, ms"
    )
    print(
        "pictures         clients    server   predict       predict    server   predict   CPU   p50     p99"
    )
    try:
        for name, crop, words in ((SCENE, False, "six faces, found"), (FACE, True, "a face, crop")):
            path, query = SAMPLES / name, "?crop=true" if crop else ""
            message = request(path.read_bytes(), query)
            load(server.port, message, 4, 0.5)
            server.finish()
            for clients in CLIENTS:
                print(row(words, clients, server, predict, path, crop, message, seconds), flush=True)
    finally:
        server.stop()
        predict.stop()


Kind = tuple[
    str, bytes, set[int], Any
]  # words, bytes, statuses that are right, the answer's pictures or None
BUSY = {429, 503}
VISITORS = 8
KILL_SECONDS = 5.0  # after the middle of the time


def kinds() -> list[Kind]:
    """Return good and hostile requests."""
    from mien import Recognizer
    from mien.pictures import decode
    from mien.predict.rows import picture_object

    recognizer = Recognizer()

    def right(data: bytes, crop: bool) -> list:
        answer = picture_object(
            "picture 1", recognizer.predict(data, crop=crop), decode(data, color=True).size
        )
        return [json.loads(json.dumps(answer))]

    scene, face = ((SAMPLES / name).read_bytes() for name in (SCENE, FACE))
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n%s\r\n' * 2 + b"--b--\r\n"
    kind = "multipart/form-data; boundary=b"
    signs = b'--b\r\nContent-Disposition: form-data;"' + b";" * 4000 + b"\r\n\r\n\r\n"
    asked = (("scene", scene, ""), ("face", face, ""), ("crop", face, "?crop=1"))
    good = [
        (f"good {words}", request(data, query), {200} | BUSY, right(data, bool(query)))
        for words, data, query in asked
    ]
    return [
        *good * 6,
        ("two, one damaged", request(form % (face, scene[:999]), kind=kind), {200} | BUSY, None),
        ("explained", request(face, "?crop=true&explain=true"), {200} | BUSY, None),
        ("truncated", request(scene[: len(scene) // 2]), {422} | BUSY, None),
        ("bomb", request(serving.png_head(30000, 30000)), {422} | BUSY, None),
        ("small bomb", request(serving.png_head(5000, 5000)), {422} | BUSY, None),
        ("large", request(serving.flat("GIF"), "?crop=1", "image/gif"), {200, 422} | BUSY, None),
        ("many scans", request(serving.many_scans(), kind="image/jpeg"), {200, 422} | BUSY, None),
        ("many signs", request(signs * 300, kind=kind), {422} | BUSY, None),
        ("deep JSON", request(b'{"pictures": ' + b"[" * 10**6, kind="application/json"), {413} | BUSY, None),
        ("no picture", request(bytes(range(256)) * 40), {415} | BUSY, None),
        ("wrong type", request(b"{}", kind="text/plain"), {415} | BUSY, None),
        ("empty", request(b""), {422} | BUSY, None),
        ("too large", request(b"x" * 1000, length=10**9), {413} | BUSY, None),
        ("wrong parameter", request(face, "?corp=true"), {422}, None),
        ("nothing there", b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}, None),
        ("no HTTP", b"\x16\x03\x01\x00\r\n\r\n", {400}, None),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}, None),
    ]


class Soak:
    """Clients that send requests of all kinds, some slowly, some going away in the middle, and what they count."""

    def __init__(self, server: Server, until: float) -> None:
        self.server = server
        self.until = until
        self.kinds = kinds()
        self.tally = Tally()
        self.statuses: dict[tuple[str, int], int] = {}  # that clients received, by kind of route
        self.gone = self.lost = (
            0  # requests for predictions that broke off, or that a killed worker took along
        )
        self.running = asyncio.Event()
        self.idle = asyncio.Semaphore(VISITORS)
        self.running.set()

    async def open(self, chance: random.Random):
        """Return a connection from one of many addresses."""
        address = f"127.0.0.{chance.randint(2, 9)}", 0
        return await asyncio.open_connection("127.0.0.1", self.server.port, local_addr=address)

    def note(self, message: bytes, status: int) -> None:
        """Count a status that a client received."""
        route = "/v1/predict" if message.startswith(b"POST /v1/predict") else "other"
        self.statuses[route, status] = self.statuses.get((route, status), 0) + 1
        self.tally.count(str(status))

    async def visit(self, number: int) -> None:
        """Send requests, each on a connection of its own."""
        chance = random.Random(number)
        while time.perf_counter() < self.until:
            await self.running.wait()
            async with self.idle:
                await self.once(chance)

    async def once(self, chance: random.Random) -> None:
        """Send a request, or half of one, or abandon a download."""
        words, message, right, pictures = chance.choice(self.kinds)
        manner = chance.choices(("whole", "slow", "cut", "leave", "abandon"), (80, 6, 5, 4, 5))[0]
        try:
            reader, writer = await self.open(chance)
            if manner == "abandon":
                writer.write(
                    b"GET /page/vendor/ort-wasm-simd-threaded.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n"
                )
                await asyncio.sleep(0.3)
                self.tally.count(manner)
            elif manner in ("cut", "leave"):
                whole = self.kinds[0][1]
                writer.write(whole[: len(whole) // 2] if manner == "cut" else whole)
                await writer.drain()
                self.gone += 1
                self.tally.count(manner)
            else:
                await self.whole(reader, writer, message, manner, words, right, pictures)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.lost += 1
            self.tally.count("connection lost")
            self.tally.wrong.append(f"{words}, {manner}: {type(error).__name__}")

    async def whole(
        self, reader, writer, message: bytes, manner: str, words: str, right: set[int], pictures
    ) -> None:
        """Send a whole request and compare its answer."""
        with suppress(ConnectionError):  # of a refusal before all was sent
            for start in range(0, min(len(message), 2000), 500) if manner == "slow" else ():
                writer.write(message[start : start + 500])
                await asyncio.sleep(0.3)
            writer.write(message[2000:] if manner == "slow" else message)
            await writer.drain()
        status, body = await answer(reader)
        self.note(message, status)
        if status not in right:
            self.tally.wrong.append(f"{words}, {manner}: {status}")
        elif status == 200 and pictures is not None and json.loads(body)["pictures"] != pictures:
            self.tally.wrong.append(f"{words}, {manner}: another answer")

    async def burst(self) -> None:
        """Send far too much at once, every ten seconds."""
        words, message, right, pictures = next(kind for kind in self.kinds if kind[0] == "good crop")

        async def one(number: int) -> None:
            try:
                reader, writer = await self.open(random.Random(number))
                await self.whole(reader, writer, message, "whole", f"burst, {words}", right, pictures)
                writer.close()
            except (ConnectionError, asyncio.IncompleteReadError):
                self.lost += 1
                self.tally.wrong.append("burst: a connection was lost")

        while time.perf_counter() < self.until:
            await self.running.wait()
            async with self.idle:
                await asyncio.gather(*map(one, range(150)))
            await asyncio.sleep(10)

    async def agree(self, slack: int) -> None:
        """Note where /metrics and the clients disagree, when nothing is in flight."""
        for _ in range(VISITORS):
            await self.idle.acquire()
        await asyncio.sleep(2)
        counted = await asyncio.to_thread(self.server.counts)
        for route in ("/v1/predict", "other"):
            received = {status: count for (at, status), count in self.statuses.items() if at == route}
            there = {int(status): count for (at, status), count in counted.items() if at == route}
            more = sum(there.values()) - sum(received.values()) - (self.gone if route == "/v1/predict" else 0)
            unseen = {200, 499, 429, 503}  # what one who went away may have been answered
            short = [s for s, count in received.items() if there.get(s, 0) < count - slack
                     or s not in unseen and there.get(s, 0) > count + slack]  # fmt: skip
            words = (
                f"{route}: {sum(there.values())} counted, {sum(received.values())} received, {self.gone} gone"
            )
            print(f"       /metrics: {words}, difference {more}", flush=True)
            if abs(more) > slack or short:
                self.tally.wrong.append(f"/metrics: {words}; received {received}, counted {there}")
        for _ in range(VISITORS):
            self.idle.release()

    async def run(self, minutes: float) -> list[float]:
        """Send for so many minutes; return the server's memory after each tenth of the time."""
        everything = asyncio.gather(*map(self.visit, range(VISITORS - 1)), self.burst())
        resident = []
        for tenth in range(1, 11):
            await asyncio.sleep(max(0, self.until - time.perf_counter() - 6 * minutes * (10 - tenth)))
            resident.append(self.server.resident() / 1e6)
            seen = dict(sorted(self.tally.statuses.items()))
            print(f"{tenth * minutes / 10:5.1f} min  {resident[-1]:6.1f} MB  {seen}", flush=True)
            if tenth == 5:
                self.running.clear()
                await self.agree(slack=0)
                self.running.set()
                await asyncio.sleep(KILL_SECONDS)
                print("       a worker is killed", flush=True)
                before = len(self.tally.wrong)
                self.server.kill_worker()
                await asyncio.sleep(KILL_SECONDS)
                self.killed = [
                    line for line in self.tally.wrong[before:] if "lost" in line or "Error" in line
                ]
                self.tally.wrong = [line for line in self.tally.wrong if line not in self.killed]
        await everything
        await self.agree(slack=self.lost + VISITORS)
        await asyncio.sleep(3)
        return [*resident, self.server.resident() / 1e6]


def soak(cores: list[int], minutes: float) -> None:
    """Print every tenth of the time what came and how much memory the server takes; exit 1 where something is wrong."""
    server = Server(set(cores), "--workers", "2", "--processes", "1", "--time-limit", "15")

    async def attack() -> tuple[list[float], Soak]:
        soaking = Soak(server, time.perf_counter() + 60 * minutes)
        return await soaking.run(minutes), soaking

    resident, soaking = asyncio.run(attack())
    status = server.stop()
    warm, last = max(resident[1:4]), resident[-1]
    print(
        f"\nmemory {warm:.1f} MB at most in tenths two to four, {last:.1f} MB at the end: {last / warm - 1:+.1%}"
    )
    print(f"{len(soaking.killed)} connections lost with the worker that was killed")
    print(f"exit status {status}; {len(soaking.tally.wrong)} answers that are not right")
    for line in soaking.tally.wrong[:20]:
        print(f"  {line}")
    sys.exit(0 if not soaking.tally.wrong and last <= 1.1 * warm and status == 0 else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    wanted = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if wanted.soak:
        soak(cores, wanted.soak)
    else:
        throughput(cores[-1], cores[0], wanted.seconds)


if __name__ == "__main__":
    main()
