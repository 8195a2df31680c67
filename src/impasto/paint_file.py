"""From picture files to a picture file: what `impasto paint` does."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from impasto.errors import ImpastoError
from impasto.options import Files
from impasto.settings import Settings

if TYPE_CHECKING:
    from impasto.image import Picture
    from impasto.painting import Progress


def paint_file(content: Path, style: Sequence[str], files: Files, given: Mapping[str, Any]) -> dict[str, Any]:
    """Paint a photograph into a file; everything is checked before any work.

    Args:
        content: the photograph.
        style: files, folders, or names of paintings that ship.
        files: where the picture goes and what goes with it.
        given: settings that the user gave, by name; None is not given.

    Returns:
        What `--json` prints.

    Raises:
        ImpastoError: something that the user can mend.
    """
    from impasto.gallery import find_style, style_pictures

    settings = _settings(files, given)
    paintings = [find_style(text) for text in style]
    output = files.output or _free_name(content, paintings)
    pictures = [picture for painting in paintings for picture in style_pictures(painting)]
    _check_output(output, [content, *pictures, *files.guide_files], files.bits)
    settings.for_each("style_weight", len(paintings))  # before anything is read
    settings.for_each("style_scale", len(paintings))
    console = Console(stderr=True, quiet=files.quiet)

    from impasto.device import pick_device
    from impasto.image import read_image, resize
    from impasto.image_writing import check_writable, write_image
    from impasto.weights import find_weights

    device = pick_device(settings.device)
    find_weights(files.weights)
    photograph = read_image(content, settings.longer_side)
    height, width = photograph.image.shape[-2:]
    check_writable(output, bits=files.bits, longer_side=max(height, width))  # formats have limits
    begun = time.monotonic()
    evaluations: Counter[int] = Counter()
    last, interrupted = _last_step(photograph, paintings, settings, files, output, console, evaluations)
    write_image(
        output,
        # Stopped at a coarse scale, the picture is enlarged to the size that was asked for.
        resize(last.image, height, width),
        alpha=photograph.alpha,
        settings=settings.to_json(),
        metadata=photograph.metadata if files.keep_metadata or files.keep_location else None,
        keep_location=files.keep_location,
        bits=files.bits,
    )
    seconds = time.monotonic() - begun
    if interrupted:
        words = f"stopped at evaluation {last.step} of {last.steps}; the picture so far is kept"
        console.print(words, highlight=False, soft_wrap=True)
    return {
        "output": str(output),
        "size": [width, height],
        "seconds": round(seconds, 3),
        "evaluations": [evaluations[scale] for scale in sorted(evaluations)],
        "losses": {name: value if math.isfinite(value) else None for name, value in last.losses.items()},
        "device": str(device),
        "seed": settings.seed,
        "settings": asdict(settings),
        "interrupted": interrupted,
    }


def _last_step(
    photograph: Picture,
    paintings: list[Path],
    settings: Settings,
    files: Files,
    output: Path,
    console: Console,
    evaluations: Counter[int],
) -> tuple[Progress, bool]:
    """Paint; the last step, and whether Ctrl-C made it the last. Counts the evaluations of each scale."""
    from impasto.image_writing import write_image
    from impasto.painting import paint_steps
    from impasto.terminal import Interruption, shown

    preview = output.with_suffix(f".preview{output.suffix}")
    steps = paint_steps(photograph, paintings, settings, weights=files.weights, **files.guides)
    steps = shown(steps, console)
    with Interruption(console) as interruption, contextlib.closing(steps):
        for now in steps:
            interruption.armed = True
            evaluations[now.scale] += 1
            if files.preview_every and now.step % files.preview_every == 0:
                write_image(preview, now.image)
            if interruption.asked:
                break
    preview.unlink(missing_ok=True)
    return now, interruption.asked


def _settings(files: Files, given: Mapping[str, Any]) -> Settings:
    """The defaults, or those of a painted picture, with the options that were given."""
    base = Settings()
    if files.like is not None:
        base = _settings_in(files.like)
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _settings_in(path: Path) -> Settings:
    """The settings that a picture was painted with."""
    from impasto.image import read_settings

    text = read_settings(path)
    if text is None:
        raise ImpastoError(f"--like {path} does not say how it was painted; give a picture that impasto painted")
    try:
        return Settings.from_json(text)
    except ValueError as error:  # of JSON, or of a setting that this version does not have
        raise ImpastoError(f"--like {path} holds settings that this version cannot use: {error}") from error


def _free_name(content: Path, paintings: Sequence[Path]) -> Path:
    """CONTENT-STYLE.png in the working directory, numbered if there is one: nothing is overwritten unasked."""
    stem = "-".join([content.stem, *(painting.resolve().stem for painting in paintings)])[:200]
    path, number = Path(f"{stem}.png"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path


def _check_output(output: Path, inputs: Sequence[Path], bits: int) -> None:
    from impasto.image_writing import check_writable

    for path in inputs:
        if not path.exists():
            raise ImpastoError(f"{path} does not exist; give the path of a picture")
        if output.exists() and output.samefile(path):
            raise ImpastoError(f"--output {output} would overwrite the picture that is read; give another name")
    check_writable(output, bits=bits)
