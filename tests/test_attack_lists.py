"""Lists, animations, folders of frames and networks that mean harm: a sentence, and nothing of what they ask for.

What was found so far; `test_attack_files.py` makes up more of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bounded import Unpainted
from conftest import Main, random_image
from hostile import animated_webp, apng, gif, png
from test_transform import ABOUT, lively

from impasto.errors import ImageError, ImpastoError, SettingsError, WeightsError
from impasto.images.reading import write_image
from impasto.network.transform import Shape
from impasto.network.transform_file import LONGEST_NAME, About, load_transform, name_of, to_bytes
from impasto.runs.film import film_file
from impasto.runs.grid import cells
from impasto.runs.manifest import MOST_BYTES, read_manifest
from impasto.settings import Settings

LINE: dict[str, Any] = {"content": "a.png", "style": "ink", "settings": {"size": 32, "quality": "draft"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_image("a.png", random_image(24, 32))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"content": "a\0.png"}, r"line 1: content 'a\\x00.png' is no path"),
        ({"output": "a\0.png"}, r"line 1: output 'a\\x00.png' is no path"),
        ({"content": "\ud800.png"}, r"line 1: content '\\ud800.png' is no path"),
        ({"style": "\ud800.png"}, r"line 1: style '\\ud800.png' is no path"),
        ({"output": "../evil.png"}, r"line 1: output '../evil.png' lies outside of --output out; give a name in that"),
        ({"output": "x/../../evil.png"}, "lies outside"),
        ({"output": "/evil.png"}, "lies outside"),
        ({"style": ["ink"] * 1001}, "line 1: style names 1,001 paintings; at most 1,000 are blended"),
        ({"settings": {"cluster": "10.9.9.9:6379"}}, "line 1: cluster is not for a list to say"),
        ({"cluster": "auto"}, "line 1: cluster is not for a list to say"),
        ({"settings": {"size": 10**9}}, "line 1: size=1000000000 is out of range"),
    ],
)
def test_what_a_list_may_not_say(
    folder: Path, main: Main, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], words: str
) -> None:
    (folder / "list.jsonl").write_text(json.dumps({**LINE, **changed}))
    with pytest.raises(ImpastoError, match=words):
        read_manifest(Path("list.jsonl"), Settings(), Path("out"))
    assert main(["batch", "--manifest", "list.jsonl", "-o", "out"]) == 2
    assert "fault of impasto" not in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "list.jsonl"]


def test_a_table_with_what_is_no_path(folder: Path) -> None:
    (folder / "list.csv").write_bytes(b"content,style\na\0.png,ink\n")
    with pytest.raises(ImpastoError, match=r"list.csv, line 2: content 'a\\x00.png' is no path"):
        read_manifest(Path("list.csv"), Settings(), Path("out"))


def test_a_list_of_results_is_a_list_again(folder: Path, main: Main) -> None:
    """Its outputs are whole paths, in the folder."""
    (folder / "list.jsonl").write_text(json.dumps({**LINE, "output": "sub/one.png"}))
    assert main(["batch", "--manifest", "list.jsonl", "-o", "out"]) == 0
    (task,) = read_manifest(Path("out/batch.jsonl"), Settings(), Path("out"))
    assert task.output.samefile("out/sub/one.png")
    with pytest.raises(ImpastoError, match="lies outside of --output other"):
        read_manifest(Path("out/batch.jsonl"), Settings(), Path("other"))


def test_lists_without_end_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.runs.manifest.MOST_ROWS", 3)
    (folder / "list.jsonl").write_text("\n".join([json.dumps(LINE)] * 4))
    with pytest.raises(ImpastoError, match=r"list.jsonl lists more than 3 pictures; split it"):
        read_manifest(Path("list.jsonl"), Settings(), Path("out"))
    os.truncate("list.jsonl", MOST_BYTES + 1)  # a hole, which takes no room
    with pytest.raises(ImpastoError, match="bytes, and 67,108,864 at most are read"):
        read_manifest(Path("list.jsonl"), Settings(), Path("out"))
    with pytest.raises(ImpastoError, match="cannot be read: it is no file"):
        read_manifest(Path(os.devnull), Settings(), Path("out"))


@pytest.mark.parametrize("content", [os.devnull, "folder"])
def test_a_photograph_that_is_no_file_fails_alone(
    folder: Path, main: Main, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """One that never ends, as /dev/zero, would be hashed for ever."""
    (folder / "folder").mkdir()
    lines = [{**LINE, "content": content, "output": "bad.png"}, {**LINE, "output": "good.png"}]
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert main(["batch", "--manifest", "list.jsonl", "-o", "out"]) == 1
    assert f"bad.png: {content} is no file; give a picture" in capsys.readouterr().err.replace("\n", "")
    assert (folder / "out" / "good.png").exists()
    assert main(["batch", "--manifest", "list.jsonl", "-o", "out", "--dry-run"]) == 1
    assert f"{content} is no file" in capsys.readouterr().out


def test_a_grid_without_end_is_refused() -> None:
    many = [0.001 * number for number in range(40_000)]
    with pytest.raises(SettingsError, match="a grid of 1,600,000,000 pictures is too large"):
        cells([Path("a.png")], Settings(), {"strength": many, "style_scale": many})


def painted(clip: Path) -> int:
    output = clip.with_name("out.mp4")
    return film_file(clip, ["ink"], output, Settings(), Unpainted(), every=lambda number, _: number < 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [gif(5100, 5100, 2), apng(5100, 5100, 2, 2, (20, 20)), animated_webp(5100, 5100, 2)],
    ids=["gif", "png", "webp"],
)
def test_an_animation_of_giant_frames_is_no_film(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip").write_bytes(content)
    with pytest.raises(ImageError, match=r"clip has frames of 5100 × 5100 pixels; at most 25 million are read"):
        painted(tmp_path / "clip")


@pytest.mark.parametrize("content", [gif(40, 30, 4), apng(40, 30, 4, 2**31 - 1, (40, 30)), animated_webp(40, 30, 4)])
def test_an_animation_whose_frames_last_no_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip").write_bytes(content)
    assert painted(tmp_path / "clip") == 4


def test_a_frame_that_is_too_small_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(gif(9, 40, 2))
    with pytest.raises(ImageError, match=r"frame 1 of .*clip: .* at least 16 are needed"):
        painted(tmp_path / "clip")


def test_a_folder_of_giant_frames_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").write_bytes(png(20_000, 2001))
    with pytest.raises(ImageError, match=r"1.png has 20000 × 2001 pixels, 40 million; at most 40 million are read"):
        painted(tmp_path / "frames")


@pytest.mark.parametrize("name", ["\x1b[2Jink", "in\nk", "", "x" * (LONGEST_NAME + 1)])
def test_a_network_says_nothing_that_cannot_be_shown(tmp_path: Path, name: str) -> None:
    network = lively(Shape(1, width=4, blocks=1))
    for about in (About((name,)), About(("ink",), made=f"{name}\n")):
        (tmp_path / "style.safetensors").write_bytes(to_bytes(network, about))
        with pytest.raises(WeightsError, match="what it says about itself is wrong") as caught:
            load_transform(tmp_path / "style.safetensors")
        assert str(caught.value).isprintable()
    (tmp_path / "style.safetensors").write_bytes(to_bytes(network, About((name_of(name) or "ink",))))
    load_transform(tmp_path / "style.safetensors")  # a painting of such a name is learnt, and called otherwise


def test_what_a_network_says_is_not_repeated_at_length(tmp_path: Path) -> None:
    content = to_bytes(lively(Shape(2, width=4, blocks=1)), ABOUT)
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    odd = json.loads(header)
    about = json.loads(odd["__metadata__"]["impasto-style"])
    odd["__metadata__"]["impasto-style"] = json.dumps({**about, "steps": "x" * 100_000})
    text = json.dumps(odd).encode()
    (tmp_path / "style.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + content[8 + len(header) :])
    with pytest.raises(WeightsError, match="steps 'xxx") as caught:
        load_transform(tmp_path / "style.safetensors")
    assert len(str(caught.value)) < 500
