"""`--losses`: every evaluation's losses as a table that a spreadsheet reads."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Main, random_image

from impasto.images.writing import write_image
from impasto.painting import Progress
from impasto.runs.loss_table import FIRST, LossTable


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", random_image(24, 32))
    write_image("art.png", random_image(32, 24, seed=1))
    return tmp_path


def test_the_command_writes_a_row_for_each_evaluation(main: Main, folder: Path) -> None:
    options = ["-o", "out.png", "--losses", "losses.csv", "--size", "32"]
    assert main(["paint", "photo.jpg", "art.png", *options]) == 0
    rows = read(folder / "losses.csv")
    assert tuple(rows[0])[: len(FIRST)] == FIRST
    assert {"content", "style"} <= set(rows[0])
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert (rows[-1]["width"], rows[-1]["height"]) == ("32", "24")
    terms = [name for name in rows[0] if name not in FIRST]
    for row in rows:
        assert sum(float(row[name] or 0) for name in terms) == pytest.approx(float(row["total"]), rel=1e-3)


def test_a_painting_that_goes_on_adds_to_its_rows(tmp_path: Path) -> None:
    step = Progress(1, 2, 1, 9, {"style": 2.0, "total": 3.0}, random_image(6, 8))
    table = LossTable(tmp_path / "losses.csv")
    for number in (1, 2, 3):
        table.add(replace(step, step=number))
    table.write()
    table = LossTable(tmp_path / "losses.csv")
    for number in (3, 4):  # the step of the checkpoint comes again
        table.add(replace(step, step=number, losses={"style": 1.0, "matched": 0.5, "total": 2.0}))
    table.write()
    rows = read(tmp_path / "losses.csv")
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["matched"] for row in rows] == ["", "", "0.5", "0.5"]


@pytest.mark.parametrize("there", ["", "no,table\n1,2\n", "step,total\nmany,3\n", "\x00"])
def test_what_lies_there_and_is_no_table_of_ours_does_no_harm(tmp_path: Path, there: str) -> None:
    (tmp_path / "losses.csv").write_text(there)
    table = LossTable(tmp_path / "losses.csv")
    table.add(Progress(1, 1, 5, 9, {"total": 3.0}, random_image(6, 8)))
    table.write()
    assert [row["step"] for row in read(tmp_path / "losses.csv")] == ["5"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("table", "words"),
    [("losses.txt", "ends in .csv"), ("nowhere/losses.csv", "does not exist; create it"), ("art.csv", "is read")],
)
def test_the_command_refuses_before_the_work(
    main: Main, table: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("art.png").rename("art.csv")  # pictures are known by what is in them
    assert main(["paint", "photo.jpg", "art.csv", "-o", "out.png", "--losses", table]) == 2
    assert words in capsys.readouterr().err
    assert not Path("out.png").exists()
