"""One picture: from what was typed to its job, and from what became of it to words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options import Files
from impasto.cli.terminal import Terminal
from impasto.errors import ImpastoError
from impasto.images.gallery import find_style
from impasto.settings import INITS, PRESETS, Settings, preset

if TYPE_CHECKING:
    from impasto.runs.paint_file import Outcome, Painters

NOWHERE = "none"  # --checkpoint none


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
    settings, paintings = planned(style, files, given, terminal)

    from impasto.runs.autosave import Saving
    from impasto.runs.job import Job
    from impasto.runs.paint_file import check_overwrites, paint_file

    job = Job(
        content,
        tuple(paintings),
        settings,
        files.output or _free_name(content, paintings),
        mask=files.mask,
        style_mask=files.style_mask,
        protect=files.protect,
        weights=files.weights,
        bits=files.bits,
        keep_metadata=files.keep_metadata,
        keep_location=files.keep_location,
        preview_every=files.preview_every,
    )
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
    style: Sequence[str], files: Files, given: Mapping[str, Any], terminal: Terminal
) -> tuple[Settings, list[Path]]:
    """How to paint, and what is painted from, checked as far as can be without looking into pictures.

    Raises:
        ImpastoError: a setting is wrong, or a painting is not there.
    """
    settings = _settings(files, given, terminal)
    paintings = [find_style(text) for text in style]
    for name in ("style_weight", "style_scale", "strokes"):  # before anything is read
        settings.for_each(name, len(paintings))
    return settings, paintings


def _reported(outcome: Outcome, terminal: Terminal) -> dict[str, Any]:
    """What became of a picture, for a program; a stopped one's user is told."""
    if outcome.stopped:
        words = f"stopped at evaluation {outcome.step} of {outcome.steps}"
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


def _settings(files: Files, given: Mapping[str, Any], terminal: Terminal) -> Settings:
    """The defaults, or those of a painted picture, then those of a preset, then the options that were given."""
    base, ignored = (Settings(), ()) if files.like is None else _settings_in(files.like)
    if ignored:
        terminal.note(f"--like {files.like}: ignored its {', '.join(ignored)}, which a picture may not decide")
    if files.preset is not None:
        preset(files.preset)  # which refuses an unknown name
        base = replace(base, **PRESETS[files.preset].settings)
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _settings_in(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """The settings that a picture was painted with, and the names of those that are ignored."""
    from impasto.images.reading import read_settings

    text = read_settings(path)
    if text is None:
        raise ImpastoError(f"--like {path} does not say how it was painted; give a picture that impasto painted")
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"{text[:40]} is no object")
        # What comes from a picture is data: it decides nothing about this machine, and names none of its files.
        ignored = [f.name for f in fields(Settings) if f.metadata["machine"] and f.name in found]
        if found.get("init", INITS[0]) not in INITS:
            ignored.append("init")
        kept = {name: value for name, value in found.items() if name not in ignored}
        return Settings(**Settings.known(kept)), tuple(ignored)
    except (ValueError, TypeError, RecursionError) as error:  # of JSON, or of a setting that this version does not have
        raise ImpastoError(f"--like {path} holds settings that this version cannot use: {error}") from error


def _free_name(content: Path, paintings: Sequence[Path]) -> Path:
    """CONTENT-STYLE.png in the working directory, numbered if there is one: nothing is overwritten unasked."""
    stem = "-".join([content.stem, *(painting.resolve().stem for painting in paintings)])
    stem = os.fsencode(stem)[:200].decode(errors="ignore")  # a name has at most 255 bytes
    path, number = Path(f"{stem}.png"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path
