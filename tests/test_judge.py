"""`impasto score`: the numbers of any tool's pictures, as a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from conftest import Main, random_image
from test_lpips import random_lpips

from impasto.cli.judging import MEASURED
from impasto.images.writing import write_image


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("photo", 0), ("painting", 1), ("other", 2)):
        write_image(tmp_path / f"{name}.png", random_image(72, 96, seed))
    write_image(tmp_path / "square.png", random_image(96, 96))
    return tmp_path


COMMAND = ["score", "photo.png", "painting.png", "photo.png", "other.png", "--size", "96"]


def test_the_photograph_is_nearest_to_itself(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--json"]) == 0
    same, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert MEASURED.keys() - {"lpips"} <= same.keys()
    assert "lpips" not in same  # without its weights it is not replaced by anything
    assert same["content"] < 1e-5 < other["content"]
    assert (same["width"], same["height"]) == (96, 72)
    assert main([*COMMAND, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["result"] for row in rows] == ["photo.png", "other.png"]
    assert float(rows[1]["style"]) == other["style"]


def test_the_table_says_what_is_optimised(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in MEASURED if name != "lpips")
    assert "minimises none of them" in " ".join(said.split())


@pytest.mark.parametrize("columns", ["60", "200"])
def test_every_number_has_a_line_at_any_width(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(COMMAND) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.split()[:1] == ["completeness"] for line in lines) == 1
    assert any("completeness" in line and "of the painting's patches" in line for line in lines)


def test_lpips_is_measured_with_the_weights_that_are_given(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(random_lpips("alex"), folder / "alexnet.pth")
    assert main([*COMMAND, "--json", "--lpips", "alexnet.pth"]) == 0
    same, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert same["lpips"] < 1e-6 < other["lpips"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["other.png", "--lpips", "none.pth"], "--lpips none.pth cannot be read"),
        (["other.png", "--lpips", "photo.png"], "--lpips photo.png is no file of weights"),
        (["square.png"], "another shape (96 × 72)"),
        (["none.png"], "none.png"),
        (["other.png", "--json", "--csv"], "give one of them"),
        (["other.png", "--size", "8"], "--size"),
        ([], "results is missing"),
    ],
)
def test_wrong_use_is_refused(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["score", "photo.png", "painting.png", "--size", "96", *arguments]) == 2
    assert words.lower() in capsys.readouterr().err.lower()
