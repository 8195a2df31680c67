"""The command line: settings and files in, a picture out, an exit status.

Exit status: 0 painted, 2 something the user can mend, 1 anything else, 128 + N stopped by signal N: 130 by Ctrl-C, 143
by SIGTERM. The picture's path or the JSON goes to standard output; progress, notes and errors to standard error. With
`--json` an error is an object on standard output as well: {"error": "...", "status": 2}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from impasto import __version__
from impasto.cli import films, judging, many, one, training
from impasto.cli.config import report, with_defaults
from impasto.cli.manual import manual
from impasto.cli.options import (
    FILES,
    OTHER,
    PICTURES,
    Files,
    HelpScreen,
    as_option,
    as_text,
    join_lists,
    option_name,
    with_settings,
    wrong_use,
)
from impasto.cli.painters import Painters, installed
from impasto.cli.pipes import PIPE, as_paths, piped, refuse_addresses
from impasto.cli.showing import open_file, refuse_what_cannot_be_shown, show_in_terminal
from impasto.cli.terminal import Terminal, give_up
from impasto.errors import ImpastoError, is_out_of_memory
from impasto.images.gallery import (
    SAMPLES,
    contact_sheet,
    find_style,
    network_facts,
    network_names,
    sample_path,
    style_facts,
    style_names,
)
from impasto.settings import PRESETS, TEXTURE_SETTINGS, Settings

if TYPE_CHECKING:
    from impasto.painting import Painter

DONE, FAILED, MENDABLE, INTERRUPTED = 0, 1, 2, 130
STOPPED = 128  # and the number of the signal
NOTHING_GIVEN = Files()
NEXT = """next:
  impasto styles                          the paintings that ship; --sheet styles.png draws them
  impasto paint YOURS.jpg wave            your own photograph
  impasto paint YOURS.jpg wave --strength 80 --size 1024
  impasto web                             the same on a page, with sliders and a brush
"""
"""What to try after the demo."""
Open = Annotated[bool, Parameter(name="--open", group=FILES, help="show the picture when it is done")]
Show = Annotated[bool, Parameter(name="--show", group=FILES, help="show it in the terminal when it is done")]

app = App(
    name="impasto",
    help="Paint a photograph in the style of a painting.",
    help_epilogue="With any command, --help-all lists every option, --debug shows where an error came from.",
    version=f"impasto {__version__}",
    help_formatter=HelpScreen(),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` says what it means
    default_parameter=Parameter(negative=()),
    group_arguments=PICTURES,
    group_parameters=OTHER,
)
app["--help"].group = app["--version"].group = OTHER


@app.command(sort_key=1)
@with_settings
def paint(
    content: Annotated[Path, Parameter(help="the photograph")],
    /,
    *style: Annotated[
        str,
        Parameter(
            required=True,
            help="the painting: a file, a folder of them, or a name from impasto styles; several are blended",
        ),
    ],
    files: Files = NOTHING_GIVEN,
    opened: Open = False,
    shown: Show = False,
    dry_run: many.DryRun = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Paint a photograph in the style of a painting."""
    if shown:
        refuse_what_cannot_be_shown()
    refuse_addresses([content, *style])
    refuse_two_sizes(files, given)
    if dry_run:
        return many.foretell_one(content, style, files, given, painter)
    with piped(content, files) as (photograph, real):
        settings = with_defaults(given, preset=real.preset, like=real.like)
        report = one.paint(photograph, style, real, settings, painter)
    return _painted(report, files, opened=opened, shown=shown)


@app.command(sort_key=2, usage="impasto demo [OPTIONS] [STYLE...]")
@with_settings
def demo(
    *style: Annotated[str, Parameter(help="as for impasto paint; without it the first of impasto styles")],
    photo: Annotated[
        str, Parameter(group=FILES, metavar="WORD", help="sample photograph: " + ", ".join(SAMPLES))
    ] = "rocket",
    files: Files = NOTHING_GIVEN,
    opened: Open = False,
    shown: Show = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Paint a sample photograph with a painting that ships: the first thing to try."""
    if shown:
        refuse_what_cannot_be_shown()
    refuse_addresses(style)
    refuse_two_sizes(files, given)
    with piped(sample_path(photo), files) as (photograph, real):
        settings = with_defaults(given, preset=real.preset, like=real.like)
        report = one.paint(photograph, style or list(style_names())[:1], real, settings, painter)
    if not (files.quiet or files.json or report["interrupted"]):
        print(NEXT, file=sys.stderr)
    return _painted(report, files, opened=opened, shown=shown)


many.add_to(app)
judging.add_to(app)
films.add_to(app)
training.add_to(app)


@app.command(sort_key=3)
@partial(with_settings, names=TEXTURE_SETTINGS)
def texture(
    *style: Annotated[
        str, Parameter(required=True, help="the painting: a file, a folder of them, or a name from impasto styles")
    ],
    output: Annotated[Path, Parameter(alias="-o", group=FILES, help="the picture")],
    seamless: Annotated[bool, Parameter(help="its edges go on from each other, so that it can be repeated")] = False,
    no_clobber: Annotated[bool, Parameter(group=FILES, help="refuse to replace a picture that is there")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress, no notes")] = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Make a square of a painting's texture, without a photograph."""
    refuse_addresses(style)
    given = with_defaults(given, names=TEXTURE_SETTINGS)
    settings = replace(Settings(), **{name: value for name, value in given.items() if value is not None})
    paintings = [find_style(text) for text in style]

    from impasto.runs.paint_file import texture_file

    terminal = Terminal(quiet=quiet)
    one.check_clobbers(output, terminal, no_clobber=no_clobber)
    with terminal:
        texture_file(paintings, output, settings, painter, terminal, seamless=seamless)
    print(output)
    return STOPPED + terminal.signal if terminal.signal else DONE


@app.command(sort_key=4, usage="impasto resume [OPTIONS] [DIR]")
def resume(
    folder: Annotated[
        Path | None, Parameter(name="DIR", help="the checkpoint; without it the newest in the cache")
    ] = None,
    /,
    *,
    show: Annotated[bool, Parameter(name="--list", help="list the checkpoints in the cache instead")] = False,
    forget: Annotated[bool, Parameter(help="remove the checkpoint instead; without DIR all in the cache")] = False,
    output: Annotated[Path | None, Parameter(alias="-o", help="write the picture here instead")] = None,
    json: Annotated[bool, Parameter(help="print one JSON object instead of the picture's path")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress, no notes")] = False,
    painter: Painters = installed,
) -> int:
    """Go on with a painting that was stopped, to the same picture."""
    from impasto.runs import checkpoint

    if show:
        rows = [_row(path) for path in checkpoint.checkpoints(folder)]
        if json:
            _print_json({"checkpoints": rows})
        else:
            _print_rows(rows)
        return DONE
    if forget:
        for path in [folder] if folder else checkpoint.checkpoints():
            checkpoint.forget(path)
        return DONE
    return _painted(one.resume(folder, output, painter, quiet=quiet), Files(json=json))


@app.command(sort_key=5)
def styles(
    *, sheet: Annotated[Path | None, Parameter(metavar="OUT.png", help="write a picture of the paintings")] = None
) -> int:
    """List the styles that ship: paintings, and networks that paint after one of them at once."""
    if sheet is None:
        for name in (*style_names(), *network_names()):  # for a person with titles, for a program without
            print(_style_in_words(name) if sys.stdout.isatty() else name)
        return DONE
    from impasto.images.writing import check_writable

    check_writable(sheet)
    contact_sheet().save(sheet)
    print(sheet)
    return DONE


@app.command(sort_key=6)
def presets() -> int:
    """List the presets: settings for a kind of picture."""
    for name, preset in PRESETS.items():
        given = " ".join(f"{option_name(key)} {as_text(value)}" for key, value in preset.settings.items())
        print(f"{name:10} {preset.help}\n{'':10} {given}")
    return DONE


@app.command(sort_key=7, usage="impasto info [OPTIONS] [PICTURE]")
def info(
    picture: Annotated[
        Path | None, Parameter(help="say how this picture was painted instead, if impasto painted it")
    ] = None,
    /,
    *,
    json: Annotated[bool, Parameter(help="print one JSON object")] = False,
    download: Annotated[bool, Parameter(help="fetch the network's weights into the cache")] = False,
) -> int:
    """Say what this installation has: versions, devices, weights, styles; or how a picture was painted."""
    if picture is not None:
        found = one.facts_of(picture)
        if json:
            _print_json(found)
        else:
            print("\n".join(one.facts_in_words(found)))
        return DONE
    if download:
        _download()
    from impasto.cli.installation import facts, print_facts

    if json:
        _print_json(facts())
    else:
        print_facts(facts())
    return DONE


@app.command(sort_key=8)
def web(
    *,
    host: Annotated[
        str, Parameter(metavar="NAME", help="where to listen; 0.0.0.0 lets everyone on the network in")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(metavar="N", help="0 takes a free one")] = 7860,
    auth: Annotated[
        str | None,
        Parameter(
            metavar="USER:PASSWORD", env_var="IMPASTO_AUTH", help="ask every visitor for it; also from $IMPASTO_AUTH"
        ),
    ] = None,
    device: Annotated[str, Parameter(metavar="WORD", help="where to compute (auto, cpu, cuda, mps)")] = "auto",
    networks: Annotated[
        Path | None,
        Parameter(metavar="DIR", help="offer every visitor the networks in this folder, those of impasto train"),
    ] = None,
    open: Annotated[
        bool, Parameter(negative="--no-open", help="open the page in the browser, where there is one to see it")
    ] = True,
) -> int:
    """Open the studio: a page on which anyone paints, and an HTTP API."""
    for package in ("fastapi", "uvicorn", "python_multipart"):
        if find_spec(package) is None:
            raise ImpastoError(f"impasto web needs {package}: pip install 'impasto[web]'")
    from impasto.web.opening import has_browser, open_page
    from impasto.web.server import is_loopback, serve

    def ready(url: str) -> None:
        print(f"impasto is at {url} (Ctrl-C ends it)", flush=True)
        if open and is_loopback(host) and has_browser():
            open_page(url)

    serve(host, port, auth, device=device, networks=networks, ready=ready)
    return DONE


@app.command(sort_key=9)
def config(*, json: Annotated[bool, Parameter(help="print one JSON object")] = False) -> int:
    """Say which files hold defaults of your own (impasto.toml), and which settings they set."""
    found = report()
    if json:
        _print_json(found)
        return DONE
    for file in found["files"]:
        print(file["path"] if file["exists"] else f"{file['path']} (not there)")
    for name, value in found["settings"].items():
        print(f"{name} = {value}")
    if not found["settings"]:
        print("no defaults of your own; a line of such a file is a setting by its name, as: size = 1024")
    return DONE


# cyclopts' script only defines a function, which zsh calls where a file of the function's own name is loaded, and never
# where the file is called _impasto or is sourced.
ZSH = """
if [ "$funcstack[1]" = _impasto ]; then _cyclopts_impasto "$@"; else compdef _cyclopts_impasto impasto; fi
"""


@app.command(sort_key=10)
def completion(shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], Parameter(help="the shell")], /) -> int:
    """Print what teaches a shell impasto's words, as in: source <(impasto completion bash)."""
    print(app.generate_completion(shell=shell), end=ZSH if shell == "zsh" else "\n")
    return DONE


@app.command(sort_key=11)
def man() -> int:
    """Print the manual page, as in: impasto man | man -l -."""
    print(manual(app, __version__), end="")
    return DONE


def _style_in_words(name: str) -> str:
    facts = style_facts(name) if name in style_names() else network_facts(name)
    return f"{name:14} {facts.title}. {facts.description}"


def refuse_two_sizes(files: Files, given: dict[str, Any]) -> None:
    """Raise where both a size in pixels and one on paper were typed."""
    if files.print is not None and given.get("size") is not None:
        raise ImpastoError("--print and --size both say how large the picture is; leave one out")


def _painted(report: dict[str, Any], files: Files, *, opened: bool = False, shown: bool = False) -> int:
    if report["output"] and files.output != PIPE:
        if opened:
            open_file(Path(report["output"]))
        if shown:
            show_in_terminal(Path(report["output"]))
    if files.json:
        _print_json(report)
    elif files.output != PIPE:
        print(report["output"] or report["checkpoint"])
    return STOPPED + getattr(signal, report["signal"]) if report["signal"] else DONE


def _row(folder: Path) -> dict[str, Any]:
    """A checkpoint, for `resume --list`."""
    from impasto.runs.checkpoint import changed, job_in, size

    job = job_in(folder)
    return {
        "checkpoint": str(folder),
        "output": job.get("output"),
        "evaluations": [_sum(job.get("evaluations")), job.get("steps")],
        "saved": datetime.fromtimestamp(changed(folder)).isoformat(" ", "seconds"),
        "bytes": size(folder),
    }


def _sum(numbers: Any) -> int | None:
    """Of what a checkpoint says, which may be anything; None if those are no numbers."""
    return sum(numbers) if isinstance(numbers, list) and all(type(one) is int for one in numbers) else None


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        done, planned = row["evaluations"]
        print(row["checkpoint"])
        print(f"  {row['output']}, {done} of {planned} evaluations, {row['saved']}, {row['bytes'] / 1e6:,.0f} MB")


def main(arguments: Sequence[str] | None = None, *, painter: Callable[[Path | None], Painter] = installed) -> int:
    """Run the command line; returns the exit status.

    Args:
        arguments: what was typed; None for the process's own.
        painter: who paints, by the file of the network's weights; tests bring a quick one.
    """
    # read when torch is loaded: threads that wait for work give the processor up soon, or two paintings at once take
    # many times as long as one after the other
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    own = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    status = FAILED
    for stream in (sys.stdout, sys.stderr):  # a picture's name need not fit the terminal's encoding
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    interrupt = signal.getsignal(signal.SIGINT)
    app.help_formatter = HelpScreen(everything="--help-all" in arguments)
    arguments = ["--help" if argument == "--help-all" else argument for argument in arguments]
    try:
        tokens = join_lists(as_paths([a for a in arguments if a != "--debug"]))
        command, bound, unparsed = app.parse_args(tokens, print_error=False, exit_on_error=False)
        status = command(*bound.args, **bound.kwargs, **({"painter": painter} if "painter" in unparsed else {}))
        if sys.stdout is None:  # closed by who started us
            return int(status or FAILED)
        sys.stdout.flush()
        status = int(status or DONE)
        return status
    except BaseException as error:
        if debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
        status = _failed(error)
        if "--json" in arguments and status in (FAILED, MENDABLE) and not _is_of_a_stream(error):
            _print_json({"error": _message(error), "status": status})
        return status
    finally:
        with contextlib.suppress(ValueError, TypeError):  # in a thread; or a handler that is not Python's
            # ignored once a second Ctrl-C was heard; and while a process ends, further ones would show its inside
            over = own and status == INTERRUPTED
            signal.signal(signal.SIGINT, signal.SIG_IGN if over else interrupt)


def _failed(error: BaseException) -> int:
    """Say what went wrong, in as few words as help; returns the exit status."""
    if isinstance(error, SystemExit):
        return int(error.code or DONE)
    if isinstance(error, KeyboardInterrupt):
        return _say("stopped; nothing was written", INTERRUPTED)
    if _is_of_a_stream(error):  # after the work: a picture that was painted is written
        give_up(sys.stdout)
        left = isinstance(error, BrokenPipeError)  # whoever read our output, and does not want to know
        return FAILED if left else _say(f"error: standard output: {getattr(error, 'strerror', error)}", FAILED)
    of_a_file = isinstance(error, OSError) and error.filename  # a name that is too long, ...
    mendable = of_a_file or isinstance(error, CycloptsError | ImpastoError | ImportError)
    return _say(f"error: {_message(error)}", MENDABLE if mendable else FAILED)


def _is_of_a_stream(error: BaseException) -> bool:
    """Whether standard output could not be written: files have names."""
    codes = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EINVAL)
    return type(error) in (OSError, BrokenPipeError) and not error.filename and error.errno in codes  # type: ignore[attr-defined]


def _message(error: BaseException) -> str:
    """What went wrong, and what was kept all the same."""
    if isinstance(error, CycloptsError):
        words = wrong_use(error)
    elif isinstance(error, ImpastoError):
        words = as_option(str(error))
    elif isinstance(error, ImportError):
        words = f"{error}; install impasto anew, as its README says"
    elif isinstance(error, OSError) and error.filename:
        words = f"{error.filename}: {error.strerror}"
    elif is_out_of_memory(error):
        words = "out of memory; give a smaller --memory or --size, or close other programs"
    else:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        words = f"{what}\nrun with --debug to see where; this is a fault of impasto, please report it"
    return "\n".join([words, *getattr(error, "__notes__", [])])


def _say(message: str, status: int) -> int:
    try:
        print(message, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # the terminal may be gone
        give_up(sys.stderr)
    return status


def _download() -> None:
    """Fetch the weights unless verified ones are here."""
    from rich.progress import Progress as Bar

    from impasto.network import download, weights

    try:
        weights.find_weights()
        return
    except ImpastoError:
        pass
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(weights.VGG.name, total=weights.VGG.size)
        download.download(report=lambda received: bar.update(task, completed=received))


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))
