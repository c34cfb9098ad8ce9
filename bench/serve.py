"""How fast `mien serve` answers, beside `Recognizer.predict`: python bench/serve.py [--seconds 6] [--soak MINUTES].

The server has one core to itself, the load comes from another. Bodies are the same bytes for both: a rendered call with
several faces, and a face alone read with `crop`. Clients keep their connections and each sends its next picture when it
has its answer; they never sleep, as what waking a client takes is not the server's. `Recognizer.predict` reads the same
bytes on the server's core in turns with the load, while the server has nothing to do; rates are medians of the turns.
With --soak good and bad requests come mixed for so many minutes, and what must hold is checked.
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
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "src" / "mien" / "serve" / "samples"
CLIENTS = (1, 8, 64)
TURNS = 6  # of the load and of `predict`, of a row
REST = 0.3  # seconds, for the server to be done with what nobody waits for any more
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


class Server:
    """`mien serve` on a core."""

    def __init__(self, core: int, *options: str) -> None:
        command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
        pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pin)
        self.port = int(re.search(r":(\d+)/", self.process.stdout.readline())[1])

    def resident(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def used(self) -> float:
        """Return the CPU time that it has used, in ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        """Stop it gracefully; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


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
        time.sleep(REST)
    rate, base, cost = map(statistics.median, (rates, bases, costs))
    used /= len(all_of_it.times)
    told = f"{rate:8.1f}  {base:8.1f}  {rate / base:12.0%}  {used:8.2f}  {cost:8.2f}  {cost / used:4.0%}"
    times = f"{all_of_it.quantile(0.5):6.1f}  {all_of_it.quantile(0.99):6.1f}"
    return f"{words:16}  {clients:6}  {told}  {times}"


def throughput(server_core: int, own_core: int, seconds: float) -> None:
    """Print a row for each kind of picture and number of clients."""
    os.sched_setaffinity(0, {own_core})
    server, predict = Server(server_core), Alone(server_core)
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
            for clients in CLIENTS:
                print(row(words, clients, server, predict, path, crop, message, seconds), flush=True)
    finally:
        server.stop()
        predict.stop()


def png_head(width: int, height: int) -> bytes:
    """Return a PNG that says how large it is and holds nothing: a bomb, where that is large."""
    parts = b""
    for name, data in ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
                       (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):  # fmt: skip
        parts += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + parts


def kinds() -> list[tuple[str, bytes, set[int], object]]:
    """Return requests as (words, bytes, statuses that are right, answer's pictures or None)."""
    from mien import Recognizer
    from mien.pictures import decode
    from mien.predict.rows import told

    recognizer, busy = Recognizer(), {429, 503}

    def right(data: bytes, crop: bool) -> list:
        height, width = decode(data, color=True).pixels.shape[:2]
        answer = told("picture 1", recognizer.predict(data, crop=crop), (width, height))
        return [json.loads(json.dumps(answer))]

    scene, face = ((SAMPLES / name).read_bytes() for name in (SCENE, FACE))
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n%s\r\n' * 2 + b"--b--\r\n"
    mixed = request(form % (face, scene[:999]), kind="multipart/form-data; boundary=b")
    asked = (("scene", scene, ""), ("face", face, ""), ("crop", face, "?crop=1"))
    good = [
        (f"good {words}", request(data, query), {200} | busy, right(data, bool(query)))
        for words, data, query in asked
    ]
    return [
        *good * 3,
        ("two, one damaged", mixed, {200} | busy, None),
        ("explained", request(face, "?crop=true&explain=true"), {200} | busy, None),
        ("truncated", request(scene[: len(scene) // 2]), {422} | busy, None),
        ("bomb", request(png_head(30000, 30000)), {422} | busy, None),
        ("small bomb", request(png_head(5000, 5000)), {422} | busy, None),
        ("no picture", request(bytes(range(256)) * 40), {415} | busy, None),
        ("wrong type", request(b"{}", kind="application/json"), {415} | busy, None),
        ("empty", request(b""), {422} | busy, None),
        ("too large", request(b"x" * 1000, length=10**9), {413} | busy, None),
        ("wrong parameter", request(face, "?corp=true"), {422}, None),
        ("nothing there", b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}, None),
        ("no HTTP", b"\x16\x03\x01\x00\r\n\r\n", {400}, None),
    ]


async def visitor(port: int, number: int, until: float, every: list, tally: Tally) -> None:
    """Send requests of all kinds, each on a connection of its own; now and then slowly, or go away in the middle."""
    chance = random.Random(number)
    while time.perf_counter() < until:
        words, message, statuses, pictures = chance.choice(every)
        manner = chance.choices(("whole", "slow", "cut", "leave"), (80, 6, 7, 7))[0]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if manner == "slow":
                for start in range(0, min(len(message), 2000), 500):
                    writer.write(message[start : start + 500])
                    await asyncio.sleep(0.3)
                writer.write(message[2000:])
            else:
                writer.write(message[: len(message) // 2] if manner == "cut" else message)
            if manner in ("whole", "slow"):
                status, body = await answer(reader)
                tally.count(str(status))
                if status not in statuses:
                    tally.wrong.append(f"{words}, {manner}: {status}")
                elif status == 200 and pictures is not None and json.loads(body)["pictures"] != pictures:
                    tally.wrong.append(f"{words}, {manner}: another answer")
            else:
                await asyncio.sleep(0.05)
                tally.count(manner)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError) as fault:
            tally.count("connection lost")
            if words not in ("too large", "no HTTP"):
                tally.wrong.append(f"{words}, {manner}: {type(fault).__name__}")


async def burst(port: int, until: float, message: bytes, tally: Tally) -> None:
    """Send far too much at once, every ten seconds."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message)
        status, _ = await answer(reader)
        tally.count(f"burst {status}")
        if status not in (200, 429, 503):
            tally.wrong.append(f"burst: {status}")
        writer.close()

    while time.perf_counter() < until:
        await asyncio.gather(*(one() for _ in range(150)))
        await asyncio.sleep(10)


def soak(server_core: int, own_core: int, minutes: float) -> None:
    """Print every tenth of the time what came and how much memory the server takes; exit 1 where something is wrong."""
    os.sched_setaffinity(0, {own_core})
    every, server, resident = kinds(), Server(server_core), []
    tally, end = Tally(), time.perf_counter() + 60 * minutes

    async def all_of_it() -> None:
        crop = next(message for words, message, *_ in every if words == "good crop")
        visitors = [visitor(server.port, n, end, every, tally) for n in range(8)]
        everything = asyncio.gather(*visitors, burst(server.port, end, crop, tally))
        for tenth in range(1, 11):
            await asyncio.sleep(max(0, end - time.perf_counter() - 6 * minutes * (10 - tenth)))
            resident.append(server.resident())
            print(f"{tenth * minutes / 10:5.1f} min  {resident[-1]:6.1f} MB  {dict(sorted(tally.statuses.items()))}",
                  flush=True)  # fmt: skip
        await everything

    asyncio.run(all_of_it())
    asyncio.run(asyncio.sleep(1))
    status, last = None, server.resident()
    status = server.stop()
    warm = resident[1]
    print(
        f"\nmemory {warm:.1f} MB after a fifth of the time, {last:.1f} MB at the end: {last / warm - 1:+.1%}"
    )
    print(f"exit status {status}; {len(tally.wrong)} answers that are not right")
    for line in tally.wrong[:20]:
        print(f"  {line}")
    fine = not tally.wrong and abs(last / warm - 1) <= 0.05 and status == 0
    sys.exit(0 if fine else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    wanted = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if wanted.soak:
        soak(cores[-1], cores[0], wanted.soak)
    else:
        throughput(cores[-1], cores[0], wanted.seconds)


if __name__ == "__main__":
    main()
