"""Who watches a run: a bar, a notebook, a function, a log."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Iterator

import pytest
from conftest import random_image

from impasto import Painter, Progress
from impasto.methods import watching
from impasto.methods.watching import as_html, watched


def steps(count: int = 3) -> Iterator[Progress]:
    for n in range(1, count + 1):
        note = ("a note",) if n == 1 else ()
        yield Progress(1, 1, n, count, {"total": 1 / n}, random_image(32, 48), 3.0, note, None, n / count)


def test_a_function_sees_every_step_before_whoever_asked(tiny_painter: Painter) -> None:
    seen: list[Progress] = []
    photo, style = random_image(32, 48), random_image(40, 32, seed=1)
    painted = tiny_painter.paint(photo, style, size=48, quality="draft", progress=seen.append)
    assert [p.step for p in seen] == list(range(1, 19))
    assert seen[-1].image.equal(painted)
    quiet = tiny_painter.paint(photo, style, size=48, quality="draft")
    assert quiet.equal(painted)


def test_what_a_function_raises_ends_the_run(tiny_painter: Painter) -> None:
    def enough(now: Progress) -> None:
        if now.step == 2:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        tiny_painter.paint(random_image(32, 48), random_image(40, 32), size=48, quality="draft", progress=enough)
    with pytest.raises(LookupError, match="enough"):
        tiny_painter.texture(random_image(40, 40), size=32, quality="draft", progress=enough)


def test_a_bar_is_shown_in_a_terminal_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(list(watched(steps(), True))) == 3
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    assert len(list(watched(steps(), True))) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "48×32 (1/1)" in said.err


def test_a_notebook_shows_the_picture_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class ZMQInteractiveShell:
        pass

    handle = types.SimpleNamespace(update=shown.append)
    display = types.SimpleNamespace(HTML=str, display=lambda thing, display_id: handle)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=ZMQInteractiveShell, display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert len(list(watched(steps(), True))) == 3
    assert 'value="1.000"' in shown[-1]
    assert "data:image/jpeg;base64," in shown[-1]
    assert "48×32 (1/1), 100%, 3 s left" in as_html(list(steps())[-1])


def test_a_log_hears_scales_and_notes(tiny_painter: Painter, caplog: pytest.LogCaptureFixture) -> None:
    photo, style = random_image(32, 48), random_image(40, 32)
    with caplog.at_level(logging.INFO, "impasto"):
        next(tiny_painter.steps(photo, style, size=48, quality="reference", keep_lines=20))
    assert "quality=reference leaves out: keep_lines" in caplog.messages
    assert any(message.startswith("scale 1 of 1, 48×32") for message in caplog.messages)
    assert not any(message.startswith("step") for message in caplog.messages)
    with caplog.at_level(logging.DEBUG, "impasto"):
        tiny_painter.paint(photo, style, size=48, quality="draft")
    assert any(message.startswith("step 18 of 18, ") and "style=" in message for message in caplog.messages)


def test_a_library_says_nothing_unasked(tiny_painter: Painter, capsys: pytest.CaptureFixture[str]) -> None:
    next(tiny_painter.steps(random_image(32, 48), random_image(40, 32), size=48, quality="reference", keep_lines=20))
    assert capsys.readouterr() == ("", "")
    assert watching.LOG.handlers == []
