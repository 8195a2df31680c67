"""Make the pictures of docs/controls.md: run the commands that stand beside them.

python benchmarks/controls.py FOLDER --only mask

The folder holds the photographs and paintings that the commands name; pictures are written into docs/images/controls.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path

from impasto.cli.commands import main as impasto

PAGE = Path(__file__).parent.parent / "docs" / "controls.md"


def commands() -> list[list[str]]:
    """The words of every command on the page, without the first, `impasto`."""
    lines = re.findall(r"^impasto (.*)$", PAGE.read_text(), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of photographs and paintings")
    parser.add_argument("--only", default="", help="those whose picture's name contains this")
    arguments = parser.parse_args()
    page = PAGE.parent.absolute()
    os.chdir(arguments.folder)
    for words in commands():
        output = words.index("-o") + 1
        if arguments.only in words[output]:
            words[output] = str(page / "images" / "controls" / words[output])
            if impasto([*words, "--size", "320", "--quality", "good", "--quiet"]):
                raise SystemExit(f"failed: {shlex.join(words)}")


if __name__ == "__main__":
    main()
