"""Random settings and random damage: a sentence or a sound result, never a crash, a hang or a flood of memory.

What was found here has become a test elsewhere; `pytest -m slow tests/test_fuzz.py` looks for more.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, random_image
from hostile import damaged, pictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impasto.errors import ImageError, ImpastoError
from impasto.images.metadata import clean_exif, settings_in
from impasto.images.reading import read_image, read_settings
from impasto.settings import QUALITIES, Settings

# Settings


def values(name: str) -> st.SearchStrategy[Any]:
    """Of one setting: mostly allowed ones, at their limits too, and now and then anything."""
    f = next(f for f in fields(Settings) if f.name == name)
    low, high, choices = (f.metadata[key] for key in ("minimum", "maximum", "choices"))
    kind = type(f.default)
    allowed = [st.just(f.default), *([st.sampled_from(choices)] if choices else [])]
    if kind is int and name != "size":
        allowed.append(st.integers(low, high))
    elif kind is float:
        allowed.append(st.floats(low, high))
        allowed.append(st.sampled_from([low, high]))
    anything = st.one_of(st.integers(), st.floats(), st.text(max_size=8), st.none(), st.booleans())
    return st.one_of(*allowed, *allowed, *allowed, anything)


LAYERS = st.lists(
    st.tuples(st.sampled_from(["relu1_1", "relu2_2", "relu3_1", "conv4_2", "pool3", "relu5_1", "relu9_9", ""]),
              st.sampled_from(["", "=1", "=0", "=0.001", "=10000", "=1e9", "=-1", "=nan", "=x"])),
    max_size=4,
).map(lambda parts: ",".join(name + weight for name, weight in parts))  # fmt: skip
MEMORY = st.sampled_from(["auto", "4GB", "200MB", "1kb", "none", "1e9", ""])
SPECIAL = {
    "size": st.sampled_from([64, 32, 16, 15, 0, "full", "half"]),
    "content_layers": st.one_of(st.just("relu4_2"), LAYERS),
    "style_layers": st.one_of(st.just("relu1_1=1,relu3_1=0.5"), LAYERS),
    "init": st.sampled_from(["content", "noise", "nothing.png"]),
    "memory": MEMORY,
    "evaluations": st.sampled_from([0, 1, 2, 9, -1, 10_001, 2.0, "many"]),  # more would take long
}
COMBINATIONS = st.fixed_dictionaries(
    {}, optional={f.name: SPECIAL[f.name] if f.name in SPECIAL else values(f.name) for f in fields(Settings)}
)
ANY_FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(given=COMBINATIONS)
@settings(max_examples=40, derandomize=True, suppress_health_check=ANY_FIXTURE)
def test_any_settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    refused_or_sound(monkeypatch, given)


@pytest.mark.slow
@given(given=COMBINATIONS)
@settings(max_examples=400, suppress_health_check=ANY_FIXTURE)
def test_many_settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    refused_or_sound(monkeypatch, given)


def refused_or_sound(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    for name, quality in QUALITIES.items():
        if quality.evaluations:
            monkeypatch.setitem(QUALITIES, name, replace(quality, evaluations=(3,), matched_evaluations=(3,)))
    photograph, painting = random_image(48, 64, seed=1), random_image(56, 40, seed=2)
    try:
        steps = TINY.steps(photograph, painting, Settings(**given))
    except ImpastoError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        return
    for now in steps:  # what begins must end well
        assert now.image.isfinite().all()
        assert 0 <= now.image.min() <= now.image.max() <= 1


# Files


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return pictures(tmp_path_factory.mktemp("originals"))


resource = pytest.importorskip("resource", reason="time and memory are measured as POSIX does")

PIXELS, SECONDS, MEMORY_GROWTH = 100_000, 20, 400 * 2**20  # limits on what one damaged file may cost


@contextmanager
def limited() -> Iterator[None]:
    """A case that hangs is a failure."""

    def hang(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still reading after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(path: Path, size: int | None) -> None:
    """A picture within the limits, or an error in one line that names the file."""
    message = ""
    try:
        image = read_image(path, size, max_pixels=PIXELS).image
    except ImageError as error:
        message = str(error)
    else:
        assert image.isfinite().all()
        assert image.shape[-2] * image.shape[-1] <= PIXELS
    assert not message or (str(path) in message and "\n" not in message)
    with contextlib.suppress(ImpastoError, ValueError):
        text = read_settings(path)
        if text is not None:
            Settings.from_json(text)


def peak_memory() -> int:
    """Of this process so far, in bytes."""
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@pytest.mark.parametrize("cases", [400, pytest.param(8_000, marks=pytest.mark.slow)])
def test_damaged_files(tmp_path: Path, originals: list[bytes], cases: int, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(cases)
    for original in originals:  # warm: codecs keep some memory
        (tmp_path / "picture").write_bytes(original)
        read_image(tmp_path / "picture")
    before = peak_memory()
    for case in range(cases):
        path = tmp_path / "picture"
        path.write_bytes(damaged(originals[case % len(originals)], random))
        try:
            with limited():
                read(path, [None, 20][case % 2])
        except BaseException:
            (Path.cwd() / "crashed-picture").write_bytes(path.read_bytes())
            raise
    assert capfd.readouterr() == ("", "")
    assert peak_memory() - before < MEMORY_GROWTH


def test_every_cut(tmp_path: Path, originals: list[bytes]) -> None:
    """Each file cut at thirty places, headers and data."""
    for original in originals:
        for share in np.linspace(0, 1, 30):
            (tmp_path / "picture").write_bytes(original[: int(len(original) * share**2)])
            with limited():
                read(tmp_path / "picture", None)


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=300, derandomize=True)
def test_any_metadata(block: bytes, keep: bool) -> None:
    for start in (b"", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"):
        clean_exif(start + block, keep_location=keep)


@pytest.mark.parametrize(
    "packet",
    [
        b'<?xml version="1.0" encoding="shift_jis"?><a xmlns:i="urn:impasto:" i:settings="{}"/>',
        b'<?xml version="1.0" encoding="no-such"?><a xmlns:i="urn:impasto:"/>',
        b'<?xml version="1.0" encoding="utf-32"?><a xmlns:i="urn:impasto:"/>',
        b"<a xmlns='urn:impasto:'>" + b"<b>" * 100_000,
        b'<!DOCTYPE a [<!ENTITY x "ha">' + b"".join(
            b'<!ENTITY x%d "%s">' % (n, b"&x%s;" % (b"" if n == 0 else b"%d" % (n - 1)) * 10) for n in range(12)
        ) + b"]><a xmlns:i='urn:impasto:' i:settings='&x11;'/>",
        b"\xff\xfe" + "<a xmlns='urn:impasto:'/>".encode("utf-16-le"),
        b"\0" * 1000 + b"urn:impasto:",
    ],
    ids=["unsupported", "unknown", "utf-32", "deep", "laughs", "utf-16", "zeros"],
)  # fmt: skip
def test_hostile_xmp(packet: bytes) -> None:
    with limited():
        settings_in(packet)


def test_the_tensor_of_a_damaged_file_owns_its_memory(tmp_path: Path, originals: list[bytes]) -> None:
    """What was read stays when the file goes."""
    path = tmp_path / "picture"
    path.write_bytes(originals[0])
    image = read_image(path).image
    before = image.clone()
    path.write_bytes(bytes(len(originals[0])))
    assert torch.equal(image, before)
