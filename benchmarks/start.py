"""How long the commands take until they answer, beside the start of Python and the import of torch that they need.

    python benchmarks/start.py [--rounds 5]

`impasto --help` beside `python -c pass`; `impasto web`, until its page has been answered, beside an import of torch. In
turns, so that what else the machine does falls on both. On a busy machine trust the processor's seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import urllib.request

PAIRS = {
    "impasto --help": (["-m", "impasto", "--help"], ["-c", "pass"]),
    "impasto web": (["-m", "impasto", "web", "--port", "0", "--no-open"], ["-c", "import torch"]),
}


def measure(arguments: list[str]) -> tuple[float, float]:
    """Seconds of the processor, and of the clock, of a Python process until it ends or its page has been answered."""
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if "web" in arguments:
        address = process.stdout.readline().split()[3]
        urllib.request.urlopen(address).read()
        clock = time.monotonic() - begun
        process.terminate()
        process.stdout.read()
    else:
        process.stdout.read()
        clock = time.monotonic() - begun
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| command | beside | processor | difference | clock | difference |\n| --- | --- | --- | --- | --- | --- |")
    for name, (command, peer) in PAIRS.items():
        pairs = [(measure(command), measure(peer)) for _ in range(rounds + 1)][1:]  # the first fills caches
        cells = []
        for which in (0, 1):
            cells.append(statistics.median(ours[which] for ours, _ in pairs))
            cells.append(statistics.median(ours[which] - theirs[which] for ours, theirs in pairs))
        print(f"| {name} | python {' '.join(peer)} | {' | '.join(f'{cell:.2f} s' for cell in cells)} |")


if __name__ == "__main__":
    main()
