"""The command line's options, made from `Settings`; its help screens and its words for a wrong use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import CycloptsError, Group, MissingArgumentError, Parameter, UnknownOptionError
from cyclopts.validators import Number
from rich.table import Table
from rich.text import Text

from impasto.settings import Settings, number, parse

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

Command = TypeVar("Command", bound=Callable[..., Any])

PICTURES = Group("Pictures", sort_key=0)
FILES = Group("Files", sort_key=1)
PAINTING = Group("How it is painted", sort_key=2)
OTHER = Group("Other", sort_key=3)
SELDOM = (
    "precision",
    "cluster",
    "init",
    "content_layers",
    "style_layers",
    "style_loss",
    "smoothness",
    "evaluations",
    "optimizer",
    "pooling",
    "padding",
    "seed",
    "weights",
    "jpeg_quality",
    "losses",
    "preview_every",
    "yes",
    "checkpoint",
    "checkpoint_every",
)
"""Options that `--help` leaves to `--help-all`."""
ARGUMENTS = {
    "paint": "PHOTO PAINTING",
    "grid": "PHOTO PAINTING -o SHEET.png",
    "video": "FILM PAINTING -o OUT.mp4",
    "demo": "PAINTING",
    "texture": "PAINTING -o OUT.png",
}
"""Commands whose pictures are arguments, and how they are written."""
WITHOUT_OPTION = {
    **dict.fromkeys(("--style", "--styles", "--painting", "--style-image"), "the painting is given"),
    **dict.fromkeys(("--content", "--photo", "--photograph", "--content-image"), "the photograph is given first,"),
}
"""Options of other tools, and what stands in their place."""
METAVARS = {int: "N", float: "X", str: "WORD"}


def _whole(kind: type, tokens: Sequence[Any]) -> int:
    return int(tokens[0].value)  # cyclopts itself takes 1.5 for 1


def between(least: float, most: float) -> Callable[[Any, Any], None]:
    """A validator that names both ends, where that of cyclopts names the one that was passed."""

    def check(kind: Any, value: float | None) -> None:
        if value is not None and not least <= value <= most:
            raise ValueError(f"Choose a number from {least:g} to {most:g}")

    return check


@Parameter(name="*")
@dataclass(frozen=True)
class Files:
    """Where a picture goes and what goes with it: what is not a matter of painting."""

    output: Annotated[
        Path | None,
        Parameter(
            alias="-o", group=FILES, help="the picture; without it CONTENT-STYLE.png here, numbered if it exists"
        ),
    ] = None
    no_clobber: Annotated[bool, Parameter(group=FILES, help="refuse to replace a picture that is there")] = False
    print: Annotated[
        str | None,
        Parameter(
            group=FILES, metavar="SIZE", help="as many pixels as just fit on a print, in place of --size: 30x40cm, A3"
        ),
    ] = None
    dpi: Annotated[
        float | None,
        Parameter(
            group=FILES,
            metavar="X",
            validator=between(1, 65535),
            help="dots per inch, of --print and said in the file  [the photograph's; 300 of --print]",
        ),
    ] = None
    jpeg_quality: Annotated[
        int,
        Parameter(
            group=FILES,
            metavar="N",
            converter=_whole,
            validator=between(1, 100),
            help="of JPEG, WebP and AVIF: 1 to 100",
        ),
    ] = 95
    bits: Annotated[Literal[8, 16], Parameter(group=FILES, metavar="N", help="per channel of the output: 8 or 16")] = 8
    like: Annotated[
        Path | None, Parameter(group=FILES, help="take the settings from a picture that impasto painted")
    ] = None
    preset: Annotated[
        str | None,
        Parameter(group=PAINTING, metavar="WORD", help="settings for a kind of picture; impasto presets lists them"),
    ] = None
    weights: Annotated[
        Path | None, Parameter(group=FILES, help="file of VGG-19's weights; also from $IMPASTO_WEIGHTS")
    ] = None
    timelapse: Annotated[
        Path | None,
        Parameter(group=FILES, metavar="FILE", help="a film of the painting: .gif, .webp, or .mp4 (extra video)"),
    ] = None
    losses: Annotated[
        Path | None,
        Parameter(group=FILES, metavar="FILE", help="a table of the losses of every evaluation: .csv"),
    ] = None
    preview_every: Annotated[
        int,
        Parameter(
            group=FILES,
            metavar="N",
            converter=_whole,
            validator=Number(gte=0),
            help="evaluations between pictures so far, written beside the output as OUT.preview.png; 0 for none",
        ),
    ] = 0
    checkpoint: Annotated[
        Path | None,
        Parameter(
            group=FILES,
            metavar="DIR",
            help="keep here where the painting stands, for impasto resume; none for nowhere"
            "  [in the cache, of runs over five minutes]",
        ),
    ] = None
    checkpoint_every: Annotated[
        float,
        Parameter(
            group=FILES,
            metavar="X",
            validator=Number(gte=0),
            help="seconds between two checkpoints; 0 saves each evaluation",
        ),
    ] = 60.0
    keep_metadata: Annotated[
        bool, Parameter(group=FILES, help="keep the photograph's metadata (never its location)")
    ] = False
    keep_location: Annotated[bool, Parameter(group=FILES, help="keep the photograph's metadata and its location")] = (
        False
    )
    mask: Annotated[
        str | None,
        Parameter(
            group=PAINTING,
            metavar="FILE",
            help="regions of the photograph that are painted differently, by colour: a picture; or subject or faces, "
            "which are found and white (extra people)",
        ),
    ] = None
    style_mask: Annotated[
        tuple[str, ...],
        Parameter(
            group=PAINTING,
            metavar="FILE...",
            consume_multiple=True,
            help="for each painting, where in it those regions are; or the colour's name for a whole painting, or all",
        ),
    ] = ()
    protect: Annotated[
        str | None,
        Parameter(
            group=PAINTING,
            metavar="FILE",
            help="what stays as photographed: faces or subject, which are found (extra people); a picture, white where "
            "it stays; or a box, left,top,right,bottom, as 10%,20%,50%,60%",
        ),
    ] = None
    json: Annotated[bool, Parameter(group=OTHER, help="print one JSON object instead of the picture's path")] = False
    yes: Annotated[bool, Parameter(alias="-y", group=OTHER, help="ask nothing: what is unusual is meant")] = False
    quiet: Annotated[bool, Parameter(alias="-q", group=OTHER, help="no progress, no notes")] = False


def with_settings(command: Command, names: Sequence[str] | None = None) -> Command:
    """Give a command one option per field of `Settings`, or per name of some, in place of its last parameter `**given`.

    An option that is not given arrives as None.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(f))
        for f in fields(Settings)
        if names is None or f.name in names
    ]
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return command


def join_lists(arguments: Sequence[str]) -> list[str]:
    """`--style-weight 70 30` as `--style-weight 70,30`: the values for several paintings may stand apart."""
    several = {option_name(f.name): f for f in fields(Settings) if f.metadata["several"]}
    joined: list[str] = []
    for argument in arguments:
        option, _, before = " ".join(joined[-2:]).replace("=", " ").rpartition(" ")
        f = several.get(option.split(" ")[-1])
        if f is not None and _is_value(f, before.split(",")[-1]) and _is_value(f, argument):
            joined[-1] += "," + argument
        else:
            joined.append(argument)
    return joined


def _is_value(f: Field[Any], text: str) -> bool:
    return text in f.metadata["choices"] or not isinstance(number(type(f.default), text), str)


def option_name(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def as_option(message: str) -> str:
    """An error of `Settings` in the command line's words: 'size=3 is ...' becomes '--size 3 is ...'."""
    name, equals, rest = message.partition("=")
    return (
        f"{option_name(name)} {rest}"
        if equals and name in {f.name for f in (*fields(Settings), *fields(Files))}
        else message
    )


def _annotation(f: Field[Any]) -> Any:
    kind: type = type(f.default)
    help = f.metadata["help"] + _limits(f)
    if kind is bool:
        return Annotated[bool | None, Parameter(help=help, group=PAINTING, show_default=str(f.default))]
    parameter = Parameter(
        help=help,
        group=PAINTING,
        show_default=as_text(f.default) or False,
        show_choices=False,
        metavar=METAVARS.get(kind, "TEXT") if kind is not str or f.metadata["choices"] else "TEXT",
        # What is no number stays text: `Settings` itself says what is allowed.
        converter=lambda _, tokens: parse(f.name, tokens[0].value),
    )
    # No type that cyclopts could check wherever pydantic is imported; of the choices only shells are told, to complete.
    choices = f.metadata["choices"]
    return Annotated[Literal[choices] | Any if choices else Any, parameter]


def as_text(value: Any) -> str:
    """A default as a user would type it."""
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _limits(f: Field[Any]) -> str:
    """What may be given, as the end of a help sentence."""
    low, high, choices = f.metadata["minimum"], f.metadata["maximum"], f.metadata["choices"]
    if isinstance(f.default, str):
        return f" ({', '.join(choices)})" if choices else ""
    return f" ({low:.10g} to {high:.10g})" if low is not None and high is not None else ""


class HelpScreen:
    """How a help screen looks: bold titles over two columns, no boxes.

    Args:
        everything: or without what few people need.
    """

    def __init__(self, *, everything: bool = False) -> None:
        self.hidden = () if everything else tuple(map(option_name, SELDOM))

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        entries = [entry for entry in panel.entries if not {*entry.positive_names} & {*self.hidden}]
        hidden = len(panel.entries) - len(entries)
        if not entries:
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, width=23)
        table.add_column(max_width=72, overflow="fold")
        for entry in entries:
            table.add_row(Text("  " + _names(entry), style="cyan"), _description(entry))
        if hidden:
            table.add_row(Text("  --help-all", style="cyan"), Text(f"{hidden} more, which few need"))
        console.print(Text(str(panel.title), style="bold"), table, Text(), sep="\n")

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        console.print(Text("Usage  ", style="bold").append(str(usage).strip(), style="not bold"), Text(), sep="\n")


def _names(entry: HelpEntry) -> str:
    shorts = [*entry.positive_shorts, *entry.positive_names]
    names = [*([entry.positional_label] if entry.positional_label else []), *shorts]
    return ", ".join(names) + (f" {entry.metavar}" if entry.metavar and not entry.positional_label else "")


def _description(entry: HelpEntry) -> Text:
    description = entry.description
    text = Text(getattr(getattr(description, "primary_renderable", description), "plain", str(description or "")))
    if entry.default not in (None, "False", "()"):
        text.append(f"  [{entry.default}]", style="dim")
    return text


def wrong_use(error: CycloptsError) -> str:
    """An error of the command line's grammar in one plain line, and where to read on."""
    command = " ".join(["impasto", *(error.command_chain or ())])
    return f"{_plain(error)}\nsee {command} --help"


def _plain(error: CycloptsError) -> str:
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        keyword = error.keyword or next((t.keyword for t in error.argument.tokens if t.keyword), None)
        return f"{keyword} needs a value" if keyword else f"{error.argument.name} is missing"
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or error.token.value).partition("=")[0]
        command = (error.command_chain or ("",))[-1]
        if option in WITHOUT_OPTION and command in ARGUMENTS:
            what, without = ARGUMENTS[command], WITHOUT_OPTION[option]
            return f"there is no {option} here: {without} without an option: impasto {command} {what}"
    error.verbose = False
    return str(error).rstrip(".").replace('"', "'")
