"""The commands for networks that learn a style: `impasto train` and `impasto export`."""

from __future__ import annotations

import json as to_text
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from impasto.cli.config import with_defaults
from impasto.cli.options import FILES, OTHER, PICTURES, between, with_settings
from impasto.cli.painters import Painters, installed
from impasto.cli.pipes import refuse_addresses
from impasto.cli.terminal import Terminal
from impasto.errors import ImpastoError
from impasto.images.gallery import find_style, network_file, network_names, sample_photographs
from impasto.settings import Settings

SETTINGS = (
    "size",
    "strength",
    "style_scale",
    "style_loss",
    "content_layers",
    "style_layers",
    "smoothness",
    "pooling",
    "seed",
    "device",
)
"""Those that a network can learn."""
DONE, STOPPED = 0, 128


def add_to(app: App) -> None:
    """Give the command line these commands."""
    app.command(train, sort_key=4)
    app.command(export, sort_key=4)


@partial(with_settings, names=SETTINGS)
def train(
    *painting: Annotated[
        str, Parameter(required=True, help="what it learns to paint after: files, folders, names from impasto styles")
    ],
    photos: Annotated[
        Path | None,
        Parameter(group=FILES, metavar="DIR", help="photographs to learn from; without it the few of scikit-image"),
    ] = None,
    output: Annotated[Path, Parameter(alias="-o", group=FILES, help="the network, .safetensors")],
    start: Annotated[
        str | None,
        Parameter(
            name="--from",
            group=FILES,
            help="a network to begin with, a file or one from impasto styles: several times faster",
        ),
    ] = None,
    weights: Annotated[
        Path | None, Parameter(group=FILES, help="file of VGG-19's weights; also from $IMPASTO_WEIGHTS")
    ] = None,
    again: Annotated[bool, Parameter(group=FILES, help="begin anew, where a training lies beside the output")] = False,
    steps: Annotated[
        int | None, Parameter(group=PICTURES, metavar="N", validator=Number(gte=1), help="end after so many  [4000]")
    ] = None,
    minutes: Annotated[
        float | None, Parameter(group=PICTURES, metavar="X", validator=Number(gt=0), help="end after so long")
    ] = None,
    patience: Annotated[
        int,
        Parameter(
            group=PICTURES,
            metavar="N",
            validator=Number(gte=0),
            help="validations without a gain that end it; 0 never",
        ),
    ] = 12,
    validations: Annotated[
        int, Parameter(group=PICTURES, metavar="N", validator=Number(gte=1), help="steps between two validations")
    ] = 100,
    crop: Annotated[
        int, Parameter(group=PICTURES, metavar="N", help="side of what is seen of a photograph, a multiple of 32")
    ] = 192,
    batch: Annotated[
        int,
        Parameter(group=PICTURES, metavar="N", validator=between(1, 64), help="pieces a step"),
    ] = 2,
    width: Annotated[
        int,
        Parameter(group=PICTURES, metavar="N", validator=between(4, 64), help="channels of its finest maps"),
    ] = 16,
    depthwise: Annotated[bool, Parameter(group=PICTURES, help="with fewer multiplications, for phones")] = False,
    json: Annotated[bool, Parameter(group=OTHER, help="print one JSON object instead of the network's path")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", group=OTHER, help="no progress, no notes")] = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Teach a network to paint after some paintings in one pass; the same command goes on with one that was stopped."""
    refuse_addresses(painting)
    known = {name: value for name, value in with_defaults(given, names=SETTINGS).items() if value is not None}
    settings = replace(Settings(), **known)
    paintings = tuple(find_style(text) for text in painting)
    terminal = Terminal(quiet=quiet)
    if photos is None:
        terminal.note(
            "without --photos it learns from the few photographs of scikit-image, and paints what is unlike them worse"
        )

    from impasto.methods.training import Recipe
    from impasto.network.transform import Shape
    from impasto.runs.training import STEPS, TrainingJob, find_photographs, train_file

    recipe = Recipe(settings, crop, batch, settings.seed, validations, patience)
    job = TrainingJob(
        paintings,
        tuple(sample_photographs() if photos is None else find_photographs(photos)),
        output,
        recipe,
        Shape(len(paintings), width, depthwise=depthwise),
        None if start is None else _file(start),
        STEPS if steps is None and minutes is None else steps,
        minutes,
        weights,
        again,
    )
    models = painter(weights).models
    with terminal:
        trained = train_file(job, models, terminal)
    if json:
        what = {name: str(value) if isinstance(value, Path) else value for name, value in vars(trained).items()}
        print(to_text.dumps(what))
    else:
        print(trained.output)
    return STOPPED + terminal.signal if trained.why == "stopped" and terminal.signal else DONE


def export(
    style: Annotated[str, Parameter(help="a network that impasto train wrote, as for impasto paint")],
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o", group=FILES, help="the file, .onnx")],
    strength: Annotated[
        float | None,
        Parameter(group=PICTURES, metavar="X", validator=between(0, 100), help="of the style"),
    ] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        Parameter(group=PICTURES, metavar="WORD", help="of its numbers: float32, float16, int8"),
    ] = "float32",
    json: Annotated[bool, Parameter(group=OTHER, help="print one JSON object instead of the file's path")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", group=OTHER, help="no progress, no notes")] = False,
) -> int:
    """Write a network for ONNX, which runs in browsers, phones and games (extra export)."""
    found = network_file(style)
    if found is None:
        raise ImpastoError(
            f"{style} is no network; give a file that impasto train wrote, .safetensors, or the name of one that "
            f"ships: {', '.join(network_names())}"
        )

    from impasto.network.models import Models
    from impasto.runs.export import export_file

    exported = export_file(found, output, Models(), strength=strength, precision=precision)
    if json:
        what = {name: str(value) if isinstance(value, Path) else value for name, value in vars(exported).items()}
        print(to_text.dumps(what))
        return DONE
    words = (
        f"{exported.size / 1e6:.2f} MB, opset {exported.opset}; differs from PyTorch by {exported.mean:.1g}, "
        f"{exported.greatest:.1g} at most, where white is 1"
    )
    Terminal(quiet=quiet).note(words)
    print(exported.output)
    return DONE


def _file(network: str) -> Path:
    """The file of a network to begin with; whether it holds one is said where it is read."""
    found = network_file(network)
    file = Path(network) if found is None else found[0]
    if not file.is_file():
        names = ", ".join(network_names())
        raise ImpastoError(f"from={network} is neither a file nor a network that ships; choose from: {names}")
    return file
