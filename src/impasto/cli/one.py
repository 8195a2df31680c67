"""One picture: from what was typed to its job, and from what became of it to words."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.intent import check_paintings
from impasto.cli.options import Files, as_text, option_name
from impasto.cli.terminal import Terminal, duration
from impasto.errors import ImpastoError
from impasto.images import printing
from impasto.images.areas import GUIDES, words_in
from impasto.images.gallery import find_style
from impasto.images.printing import on_paper
from impasto.settings import INITS, PRESETS, Settings, preset

if TYPE_CHECKING:
    from impasto.runs.paint_file import Outcome, Painters

NOWHERE = "none"  # --checkpoint none
MUCH = 4  # times as many pixels across in the photograph as in the picture


def paint(
    content: Path, style: Sequence[str], files: Files, given: Mapping[str, Any], painter: Painters
) -> dict[str, Any]:
    """Paint a photograph into a file; everything is checked before any work.

    Args:
        content: the photograph.
        style: files, folders, or names of paintings that ship.
        files: where the picture goes and what goes with it.
        given: settings that the user gave, by name; None is not given.
        painter: who paints, by the file of the network's weights.

    Returns:
        What `--json` prints.

    Raises:
        ImpastoError: something that the user can mend.
    """
    terminal = Terminal(quiet=files.quiet)
    meant = files.yes or bool(files.mask) or any(isinstance(value, tuple) for value in given.values())
    settings, paintings, areas = planned(content, style, files, given, terminal)
    check_paintings(content, style, meant=meant)

    from impasto.runs.autosave import Saving
    from impasto.runs.job import Job
    from impasto.runs.paint_file import check_overwrites, paint_file

    job = Job(
        content,
        tuple(paintings),
        settings,
        files.output or _free_name(content, paintings),
        **_guides(files, areas, len(paintings), terminal),
        weights=files.weights,
        bits=files.bits,
        keep_metadata=files.keep_metadata,
        keep_location=files.keep_location,
        density=files.dpi or (printing.DENSITY if files.print else None),
        jpeg_quality=files.jpeg_quality,
        timelapse=files.timelapse,
        losses=files.losses,
        preview_every=files.preview_every,
    )
    terminal.announce(f"{content} after {' and '.join(map(str, style))}, into {job.output}")
    if not _goes_on(job.output, files):
        check_clobbers(job.output, terminal, no_clobber=files.no_clobber)
    if files.like:
        check_overwrites(f"output={job.output}", job.output, [files.like])
    enabled = str(files.checkpoint) != NOWHERE
    saving = Saving(files.checkpoint if enabled else None, files.checkpoint_every, enabled=enabled)
    with terminal:
        outcome = paint_file(job, painter, terminal, saving)
    return _reported(outcome, terminal)


def resume(folder: Path | None, output: Path | None, painter: Painters, *, quiet: bool) -> dict[str, Any]:
    """Go on with a picture that was stopped, to the same end.

    Args:
        folder: its checkpoint; None for the newest in the cache.
        output: write the picture here instead.
        painter, quiet: as of `paint`.

    Returns, raises:
        As `paint`.
    """
    from impasto.runs.paint_file import resume_file

    with Terminal(quiet=quiet) as terminal:
        outcome = resume_file(folder, painter, terminal, output=output)
    return _reported(outcome, terminal)


def planned(
    content: Path, style: Sequence[str], files: Files, given: Mapping[str, Any], terminal: Terminal
) -> tuple[Settings, list[Path], dict[str, Any]]:
    """How to paint, what is painted from, and the areas that the picture of --like names.

    All is checked as far as can be without decoding pictures.

    Raises:
        ImpastoError: a setting is wrong, a painting is not there, or the photograph is none.
    """
    settings, areas = _settings(files, given, terminal)
    paintings = [find_style(text) for text in style]
    for name in ("style_weight", "style_scale", "strokes"):  # before anything is read
        settings.for_each(name, len(paintings))
    if files.print is not None:
        printing.paper(files.print)  # which refuses what is none, before torch is imported
    from impasto.images.reading import dimensions, fit

    height, width = dimensions(content)
    if files.print is not None:
        dpi = files.dpi or printing.DENSITY
        settings = replace(settings, size=printing.longer_side(files.print, dpi, height, width))
        pixels = fit(height, width, int(settings.size))
        terminal.announce(f"note: {pixels[1]} × {pixels[0]} pixels, printed {on_paper(*pixels, dpi)}")
    _note_size(settings, max(height, width), chosen=given.get("size") is not None, terminal=terminal)
    return settings, paintings, areas


def _note_size(settings: Settings, there: int, *, chosen: bool, terminal: Terminal) -> None:
    """Say where the output has more pixels than the photograph, or by default far fewer."""
    size = settings.longer_side or there
    if size > there:
        terminal.announce(f"note: {size} px are more than the photograph's {there}: enlarged, it gains no detail")
    elif size * MUCH <= there and not chosen and settings == replace(settings, size=Settings().size):
        terminal.announce(f"note: {size} px of the photograph's {there}; --size 2048 paints more, --size full all")


def check_clobbers(output: Path, terminal: Terminal, *, no_clobber: bool) -> None:
    """Say that a picture will be replaced, or refuse to.

    Raises:
        ImpastoError: it is there, and shall stay.
    """
    try:
        there = output.exists()
    except (OSError, ValueError):  # a name that cannot be: who checks the output says so
        return
    if not there:
        return
    if no_clobber:
        raise ImpastoError(f"--output {output} is there already, and --no-clobber keeps it; give another name")
    terminal.announce(f"note: {output} is there, and will be replaced by this picture; --no-clobber would keep it")


def _goes_on(output: Path, files: Files) -> bool:
    """Whether the picture that is there is the run's own, so far."""
    from impasto.runs.checkpoint import job_in

    if files.checkpoint is None or str(files.checkpoint) == NOWHERE:
        return False
    return job_in(files.checkpoint).get("output") == str(output.absolute())


def _reported(outcome: Outcome, terminal: Terminal) -> dict[str, Any]:
    """What became of a picture, for a program; a stopped one's user is told."""
    if outcome.stopped:
        words = f"stopped at evaluation {outcome.step} of {outcome.steps}"
        words += "" if outcome.seconds_left is None else f", about {duration(outcome.seconds_left)} before its end"
        words += "; the picture so far is kept" if outcome.output else ""
        terminal.say(words + (f"; {terminal.how_to_resume(outcome.checkpoint)}" if outcome.checkpoint else ""))
    return {
        "output": str(outcome.output) if outcome.output else None,
        "size": [outcome.width, outcome.height],
        "seconds": round(outcome.seconds, 3),
        "evaluations": list(outcome.evaluations),
        "losses": outcome.losses,
        "device": outcome.device,
        "seed": outcome.job.settings.seed,
        "settings": asdict(outcome.job.settings),
        "interrupted": outcome.stopped,
        "signal": terminal.signal.name if terminal.signal and outcome.stopped else None,
        "checkpoint": str(outcome.checkpoint) if outcome.checkpoint else None,
    }


def _settings(files: Files, given: Mapping[str, Any], terminal: Terminal) -> tuple[Settings, dict[str, Any]]:
    """The defaults, or those of a painted picture, then those of a preset, then the options that were given.

    And the areas that the painted picture names.
    """
    base, areas, ignored = (Settings(), {}, ()) if files.like is None else _said_in(files.like, f"--like {files.like}")
    if ignored:
        terminal.note(f"--like {files.like}: ignored its {', '.join(ignored)}, which a picture may not decide")
    if files.preset is not None:
        preset(files.preset)  # which refuses an unknown name
        base = replace(base, **PRESETS[files.preset].settings)
    return replace(base, **{name: value for name, value in given.items() if value is not None}), areas


def _guides(files: Files, areas: Mapping[str, Any], paintings: int, terminal: Terminal) -> dict[str, Any]:
    """What says where what is painted: the options, or else the `areas` that the picture of --like names."""
    given = {"mask": files.mask, "style_mask": files.style_mask, "protect": files.protect}
    if files.protect is None:
        given["protect"] = areas.get("protect")
    regions = tuple(areas.get("style_mask", ()))
    if "mask" in areas and len(regions) != paintings:
        terminal.note(f"--like {files.like}: ignored its mask, which is for {len(regions)} paintings")
    elif "mask" in areas and files.mask is None and not files.style_mask:
        given |= {"mask": areas["mask"], "style_mask": regions}
    return {name: None if value == NOWHERE else value for name, value in given.items()}


def facts_of(picture: Path) -> dict[str, Any]:
    """What a picture says of itself, for a program.

    Raises:
        ImpastoError: it is no picture, or none of ours.
    """
    from impasto.images.reading import read_image

    settings, words, _ = _said_in(picture, str(picture))
    found = read_image(picture)
    return {
        "picture": str(picture),
        "size": [found.full_width, found.full_height],
        "dpi": found.density,
        **(asdict(found.origin) if found.origin else {}),
        "settings": asdict(settings),
        "areas": words,
    }


def facts_in_words(facts: Mapping[str, Any]) -> list[str]:
    """The same for a person: what differs from the defaults, and how to paint alike."""
    usual = asdict(Settings())
    changed = {name: value for name, value in facts["settings"].items() if value != usual[name]} | facts["areas"]
    width, height = facts["size"]
    dpi = facts["dpi"] or 72
    return [
        f"{facts['picture']}: {width} × {height} pixels, {on_paper(height, width, dpi)}",
        *_origin_in_words(facts),
        "painted with " + ("the defaults" if not changed else "these settings, and else the defaults:"),
        *(f"  {option_name(name):18} {_typed(value)}" for name, value in changed.items()),
        f"alike: impasto paint PHOTO PAINTING --like {shlex.quote(facts['picture'])}",
    ]


def _origin_in_words(facts: Mapping[str, Any]) -> list[str]:
    """From what a picture was painted, and whether it is whole; nothing of one that does not say."""
    if not facts.get("paintings"):
        return []
    after = " and ".join(facts["paintings"])
    far = f"at evaluation {facts['evaluations']} of {facts['planned']}" if facts["planned"] else "before its end"
    stopped = [f"not finished: stopped {far}"] if facts["stopped"] else []
    return [f"{facts['photograph']} after {after}" if facts["photograph"] else f"a texture of {after}", *stopped]


def _typed(value: Any) -> str:
    return ",".join(as_text(one) for one in (value if isinstance(value, list | tuple) else [value]))


def _said_in(path: Path, what: str) -> tuple[Settings, dict[str, Any], tuple[str, ...]]:
    """The settings that a picture was painted with, the areas that were named, and the names of what is ignored."""
    from impasto.images.reading import read_settings

    text = read_settings(path)
    if text is None:
        raise ImpastoError(f"{what} does not say how it was painted; give a picture that impasto painted")
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"{text[:40]} is no object")
        # What comes from a picture is data: it decides nothing about this machine, and names none of its files.
        ignored = [f.name for f in fields(Settings) if f.metadata["machine"] and f.name in found]
        if found.get("init", INITS[0]) not in INITS:
            ignored.append("init")
        kept, words = words_in({name: value for name, value in found.items() if name not in ignored})
        ignored += [name for name in GUIDES if found.get(name) and name not in words]
        return Settings(**Settings.known(kept)), words, tuple(ignored)
    except (ValueError, TypeError, RecursionError) as error:  # of JSON, or of a setting that this version does not have
        raise ImpastoError(f"{what} holds settings that this version cannot use: {error}") from error


def _free_name(content: Path, paintings: Sequence[Path]) -> Path:
    """CONTENT-STYLE.png in the working directory, numbered if there is one: nothing is overwritten unasked."""
    stem = "-".join([content.stem, *(painting.resolve().stem for painting in paintings)])
    stem = os.fsencode(stem)[:200].decode(errors="ignore")  # a name has at most 255 bytes
    path, number = Path(f"{stem}.png"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path
