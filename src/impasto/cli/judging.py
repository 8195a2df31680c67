"""The command that says which of several pictures is better, as far as numbers can: `impasto score`."""

from __future__ import annotations

import csv
import json as to_text
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from impasto.cli.options import FILES, OTHER, between
from impasto.cli.painters import Painters, installed
from impasto.cli.pipes import refuse_addresses
from impasto.errors import SettingsError
from impasto.images.gallery import find_style

MEASURED = {
    "style": "to the painting: VGG-19's features at layers that are not optimised, and colours",
    "content": "to the photograph: how features relate to each other, and edges",
    "color": "to the painting's colours",
    "edges": "to the photograph's edges",
    "patches": "to the painting's patches of pixels (no network)",
    "filters": "to the painting's strokes by breadth and direction (no network)",
    "coherence": "of the picture's patches to the painting's nearest; read it with the next",
    "completeness": "of the painting's patches to the picture's nearest",
    "forms": "to the photograph's forms (no network)",
    "lpips": "to the photograph, as people were found to judge (with your weights)",
    "grain": "deviation of the finest noise",
    "specks": "share of pixels that stand out from those around them",
    "border": "of the colours at the border to those within",
    "checkers": "a chessboard of single pixels",
    "blocks": "steps between blocks of 8 px, beyond the usual",
}
CAVEAT = (
    "All are distances or faults: less is better. impasto minimises none of them. But style and content are taken from "
    "VGG-19, whose other layers it does minimise, as most tools do: trust what needs no network as well. A picture "
    "that forgets the photograph has the least style, so read style and content together."
)


def add_to(app: App) -> None:
    """Give the command line this command."""
    app.command(score, sort_key=4)


def score(
    photograph: Annotated[Path, Parameter(help="the photograph")],
    painting: Annotated[str, Parameter(help="the painting: a file, or a name from impasto styles")],
    /,
    *results: Annotated[Path, Parameter(required=True, help="pictures painted from them, by any tool")],
    size: Annotated[
        int,
        Parameter(group=OTHER, metavar="N", validator=between(64, 4096), help="longer side at which they are compared"),
    ] = 512,
    weights: Annotated[
        Path | None, Parameter(group=FILES, help="file of VGG-19's weights; also from $IMPASTO_WEIGHTS")
    ] = None,
    lpips: Annotated[
        Path | None,
        Parameter(
            group=FILES, help="torchvision's file of AlexNet or VGG-16, to measure LPIPS too; needs the wheel lpips"
        ),
    ] = None,
    json: Annotated[bool, Parameter(group=OTHER, help="print a JSON object for each picture")] = False,
    as_csv: Annotated[bool, Parameter(name="--csv", group=OTHER, help="print a table for a spreadsheet")] = False,
    painter: Painters = installed,
) -> int:
    """Measure pictures by any tool against their photograph and painting: style, content, artefacts."""
    refuse_addresses([photograph, painting, *results])
    if json and as_csv:
        raise SettingsError("--json and --csv both want standard output; give one of them")

    from impasto.network.lpips import load_lpips
    from impasto.runs.judge import judge

    rows = []
    learned = load_lpips(lpips) if lpips else None  # before any work
    models = painter(weights).models
    for judgement in judge(models, photograph, find_style(painting), results, size=size, lpips=learned):
        rows.append(judgement.row())
        if json:
            print(to_text.dumps(rows[-1], ensure_ascii=False), flush=True)
    if as_csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not json:
        _print(rows)
    return 0


def _print(rows: list[dict[str, Any]]) -> None:
    """A line for each measure, a column for each picture, the best in bold; what they are, beside or below."""
    known = {
        name: words for name, words in MEASURED.items() if name in rows[0]
    }  # some need weights that were not given
    console = Console()
    wide = _table(rows, known)
    if console.measure(wide, options=console.options.update(width=10_000)).maximum <= console.width:
        console.print(wide)
    else:
        console.print(_table(rows, dict.fromkeys(known, "")))
        for name, words in known.items():
            console.print(f"{name}: {words}", style="dim", highlight=False)
    console.print(CAVEAT, style="dim")


def _table(rows: list[dict[str, Any]], known: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("less is better", no_wrap=True)
    for row in rows:
        table.add_column(Path(row["result"]).name, justify="right", overflow="fold")
    if any(known.values()):
        table.add_column("distance, or fault", style="dim")
    for name, words in known.items():
        values = [row[name] for row in rows]
        best = min(values) if len(set(values)) > 1 else None
        cells = [f"[bold]{value:.3f}[/]" if value == best else f"{value:.3f}" for value in values]
        table.add_row(name, *cells, *([words] if words else []))
    return table
