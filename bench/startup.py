"""Seconds until mien answers: python bench/startup.py [--rounds 10].

Medians of whole processes: bare Python, `import mien` (aim: at most 0.3 s), `mien --help` (aim: at most 0.5 s).
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import mien": [sys.executable, "-c", "import mien"],
    "mien --help": [sys.executable, "-m", "mien", "--help"],
}


def main() -> None:
    """Print a line a command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    seconds = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.3f} s")


if __name__ == "__main__":
    main()
