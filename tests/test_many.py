"""`impasto batch` and `impasto grid`: what is asked for in words, what comes out, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Main, random_image
from PIL import Image

from impasto.errors import ImpastoError, SettingsError
from impasto.images.writing import write_image
from impasto.painting import Painter
from impasto.runs.batch import plan
from impasto.runs.forecast import Forecaster
from impasto.runs.grid import cells, paint_cells, sheet
from impasto.runs.manifest import read_manifest
from impasto.runs.overview import overview
from impasto.settings import Settings

SMALL = ["--size", "32", "--quality", "draft"]
SETTINGS = Settings(size=32, quality="draft")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photographs in one folder and paintings in another."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("photos/a", 0), ("photos/b", 1), ("styles/x", 2), ("styles/y", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / f"{name}.png", random_image(24, 32, seed))
    return tmp_path


def test_folders_and_patterns_are_painted_and_noted(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", "photos/*.png", "--style", "styles", "-o", "out", *SMALL]
    assert main(command) == 0
    said = capsys.readouterr()
    assert [Path(line).name for line in said.out.splitlines()] == ["a-x.png", "a-y.png", "b-x.png", "b-y.png"]
    assert "painted" in said.err
    assert main([*command, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ["there"] * 4
    noted = folder / "out" / "batch.jsonl"
    assert len(noted.read_text().splitlines()) == 4  # what was there already is not noted again
    noted.write_text(noted.read_text() + '{"torn')  # by kill -9
    (folder / "photos" / "c.png").write_bytes(b"no picture")
    assert main([*command, "--quiet"]) == 1
    lines = noted.read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines[5:]] == ["failed", "failed"]
    assert "c.png" in json.loads(lines[5])["error"]


def test_what_a_batch_notes_is_a_list_that_paints_the_same(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", "photos/a.png", "--style", "styles/x.png", "-o", "out", *SMALL, "-q"]) == 0
    assert main(["batch", "--manifest", "out/batch.jsonl", "-o", "out", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "there"


def test_a_list_gives_pairs_and_settings(folder: Path) -> None:
    (folder / "list.csv").write_text(
        "content,style,strength,output\nphotos/a.png,styles/x.png;styles/y.png,70,\nphotos/b.png,nocturne,,own.jpg\n"
    )
    one, other = read_manifest(folder / "list.csv", SETTINGS, Path("out"))
    assert one.output == Path("out/a-x-y.png")
    assert [path.name for path in one.style] == ["x.png", "y.png"]
    assert (one.settings.strength, other.settings.strength) == (70, 50)
    assert (other.output, other.style[0].name) == (Path("out/own.jpg"), "nocturne.jpg")


def test_a_sheet_has_photographs_at_the_left_and_paintings_above(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(folder / "photos" / "c.png", random_image(48, 32, 5))  # upright
    (folder / "photos" / "d.png").write_bytes(b"no picture")
    command = ["batch", "photos", "--style", "styles", "-o", "out", "--sheet", "sheet.png", *SMALL]
    assert main(command) == 1  # of one that cannot be read
    margin, line = 4, 17
    with Image.open("sheet.png") as sheet:
        top = 24 + line + 2 * margin  # the paintings and their names
        assert sheet.size == (3 * (32 + margin) + margin, top + 24 + 24 + 48 + 3 * (line + margin))  # c was shrunk
        for file, left, upper in [
            ("styles/x.png", 1, margin),
            ("styles/y.png", 2, margin),
            ("photos/a.png", 0, top),
            ("out/a-x.png", 1, top),
            ("out/a-y.png", 2, top),
            ("out/b-y.png", 2, top + 24 + line + margin),
        ]:
            at = margin + left * (32 + margin)
            with Image.open(file) as picture:
                assert sheet.crop((at, upper, at + 32, upper + 24)).tobytes() == picture.convert("RGB").tobytes(), file
    capsys.readouterr()
    for other in ("photos/a.png", "out/a-x.png"):
        assert main(["batch", "photos", "--style", "styles", "-o", "out", "--sheet", other, *SMALL]) == 2
        assert f"--sheet {other} is a picture of the batch as well" in capsys.readouterr().err


def test_pictures_of_a_list_are_each_above_their_painting(main: Main, folder: Path) -> None:
    (folder / "list.csv").write_text(
        "content,style\nphotos/a.png,styles/x.png\nphotos/b.png,styles/x.png;styles/y.png\n"
    )
    assert main(["batch", "--manifest", "list.csv", "-o", "out", "--sheet", "sheet.png", "-q", *SMALL]) == 0
    with Image.open("sheet.png") as sheet, Image.open("photos/a.png") as photo:
        assert sheet.crop((4, 4, 36, 28)).tobytes() == photo.tobytes()
        below = sheet.crop((40, 29, 72, 45)).getcolors(10000)
        assert below is not None
        assert len(below) > 2  # letters


def test_many_photographs_stand_beside_each_other(folder: Path) -> None:
    for number in range(30):
        write_image(folder / "photos" / f"{number}.png", random_image(96, 128, number))
    photographs = sorted((folder / "photos").glob("*.png"))
    tasks = plan(photographs, [Path("styles/x.png")], SETTINGS, Path("photos"))
    tasks = [replace(task, output=task.content) for task in tasks]
    paper = overview(tasks, {task.output for task in tasks})
    assert 1 < paper.width / paper.height < 2
    few = plan(photographs[:1], [Path(f"styles/{i}.png") for i in range(20)], SETTINGS, Path("photos"))
    few = [replace(task, output=task.content) for task in few]
    paper = overview(few, {photographs[0]})  # no row of 21
    assert 0.7 < paper.width / paper.height < 2


def test_metadata_and_density_of_the_photographs_are_kept(main: Main, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Camera 1"
    exif.get_ifd(0x8825)[1] = "N"
    with Image.open("photos/a.png") as photo:
        photo.save("photos/a.jpg", exif=exif, dpi=(300, 300))
    command = ["batch", "photos/a.jpg", "--style", "styles/x.png", "-o", "out", "--format", "jpg", "-q", *SMALL]
    for options, camera, place in [
        ([], None, {}),
        (["--keep-metadata"], "Camera 1", {}),
        (["--keep-location"], "Camera 1", {1: "N"}),
    ]:
        assert main([*command, *options]) == 0  # painted anew, where other metadata is wanted
        with Image.open("out/a-x.jpg") as painted:
            found = painted.getexif()
            assert (found.get(0x0110), dict(found.get_ifd(0x8825))) == (camera, place)
            assert painted.info["dpi"] == (300, 300)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("content,style\nphotos/a.png,\n", "line 2: style is missing"),
        ("content,style,strength\nphotos/a.png,nocturne,300\n", "line 2: strength=300.0 is out of range"),
        ("content,style,strong\nphotos/a.png,nocturne,3\n", "line 2: there is no setting 'strong'"),
        ("content,style,seed\na.png,nocturne,1\na.png,nocturne,2\n", "line 3: a-nocturne.png is the name of another"),
        ("content,style\n", "lists no pictures"),
    ],
)
def test_a_wrong_list_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / "list.csv").write_text(text)
    with pytest.raises(ImpastoError, match="--manifest") as caught:
        read_manifest(folder / "list.csv", SETTINGS, Path("out"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"content": "a.png", "style": "ink", "settings": 5}', "line 1: settings are an object"),
        ('{"content": "a.png", "style": "ink", "settings": {"size": [' + "1, " * 500 + "1]}}", "is not allowed"),
        ("[" * 100_000, "cannot be read"),
    ],
    ids=["settings", "long", "deep"],
)
def test_an_odd_list_is_refused_in_a_line(folder: Path, text: str, words: str) -> None:
    (folder / "list.jsonl").write_text(text)
    with pytest.raises(ImpastoError, match=words) as caught:
        read_manifest(folder / "list.jsonl", SETTINGS, Path("out"))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["batch", "photos", "-o", "out"], "give photographs and --style, or --manifest"),
        (["batch", "none.png", "--style", "styles", "-o", "out"], "none.png does not exist"),
        (["batch", "photos/*.gif", "--style", "styles", "-o", "out"], "no file matches photos/*.gif"),
        (["batch", "photos", "--style", "nokturn", "-o", "out"], "did you mean nocturne?"),
        (["batch", "photos", "--style", "styles", "-o", "photos"], "photos is a folder that pictures are read from"),
        (["batch", "photos", "--style", "styles", "-o", "photos/a.png"], "is a file; give the name of a folder"),
        (
            ["batch", "photos", "--style", "styles", "-o", "out", "--strength", "300"],
            "--strength 300.0 is out of range",
        ),
        (["batch", "photos", "--style", "styles", "-o", "out", "--jobs", "0"], "--jobs"),
        (["batch", "photos", "--style", "styles", "-o", "out", "--jobs", "2", "--cluster", "auto"], "give one of them"),
        (["grid", "photos/a.png", "styles/x.png", "-o", "g.png"], "varies one or two things, not 0"),
        (
            ["grid", "photos/a.png", "styles/x.png", "-o", "g.png", "--vary", "strength"],
            "write for example strength=20",
        ),
        (["grid", "photos/a.png", "styles/x.png", "-o", "g.png", "--vary", "strong=1"], "there is no setting 'strong'"),
        (["grid", "photos/a.png", "styles/x.png", "-o", "g.png", "--vary", "keep_lines=0,50"], "leaves out keep_lines"),
        (["grid", "photos/a.png", "styles/x.png", "-o", "photos/a.png", "--vary", "strength=1,2"], "would overwrite"),
    ],
)
def test_wrong_use_is_refused_before_any_work(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_dry_run_paints_nothing(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "b.png").write_bytes(b"no picture")
    assert main(["batch", "photos", "--style", "styles/x.png", "-o", "out", "--dry-run", *SMALL]) == 1
    said = capsys.readouterr().out
    assert "a-x.png: 32 × 24, about" in said
    assert "1 to paint, 1 cannot be painted; about" in said
    assert not (folder / "out").exists()


def test_one_picture_is_foretold_too(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["paint", "photos/a.png", "styles/x.png", "styles/y.png", "-o", "out.png", "--dry-run", "--size", "64"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["width"], found["height"], found["evaluations"]) == (64, 48, 24)  # good has 24 at its only scale
    assert found["seconds"] > 0
    assert found["memory"] > 0
    assert main([*command, "--style-weight", "1,2,3"]) == 2
    assert not (folder / "out.png").exists()


def test_a_forecast_grows_with_the_work(folder: Path, tiny_painter: Painter) -> None:
    foretell = Forecaster(tiny_painter)
    small, large = (
        foretell(Path("photos/a.png"), [Path("styles/x.png")], Settings(size=size, quality="draft"))
        for size in (32, 256)
    )
    assert (large.height, large.width) == (192, 256)
    assert large.seconds > 10 * small.seconds > 0
    assert large.memory is not None
    assert small.memory is not None
    assert large.memory > small.memory > 0


def test_a_grid_shows_each_value_above_its_label(folder: Path, tiny_painter: Painter) -> None:
    these, columns = cells([Path("styles/x.png")], SETTINGS, {"strength": [20.0, 80.0], "style_scale": [0.5, 1.0, 2.0]})
    assert columns == 3
    assert [cell.label for cell in these[:2]] == ["strength 20, style scale 0.5", "strength 20, style scale 1"]
    assert (these[4].settings.strength, these[4].settings.style_scale) == (80, 1)
    pictures = list(paint_cells(tiny_painter, Path("photos/a.png"), these[:2]))
    assert pictures[0].size == (32, 24)
    paper = sheet(pictures, [cell.label for cell in these[:2]], 2)
    assert paper.crop((4, 4, 36, 28)).tobytes() == pictures[0].tobytes()
    below = paper.crop((4, 29, 36, paper.height)).getcolors(10000)
    assert below is not None
    assert len(below) > 2  # letters


def test_several_paintings_are_something_varied() -> None:
    paintings = [Path(f"{letter}.jpg") for letter in "abcde"]
    these, columns = cells(paintings, SETTINGS)
    assert ([cell.label for cell in these], columns) == (list("abcde"), 3)
    with pytest.raises(SettingsError, match="not 3"):
        cells(paintings, SETTINGS, {"seed": [1, 2], "strength": [1, 2]})


def test_the_command_writes_a_grid(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["grid", "photos/a.png", "styles", "-o", "grid.png", "--vary", "strength=20,80", *SMALL]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.out == "grid.png\n"
    assert said.err.splitlines() == [  # without a terminal a line for each
        "1 of 4 painted: x, strength 20",
        "2 of 4 painted: x, strength 80",
        "3 of 4 painted: y, strength 20",
        "4 of 4 painted: y, strength 80",
    ]
    with Image.open(folder / "grid.png") as found:
        assert found.width > 2 * 32
        assert found.height > 2 * 24


def test_what_changes_nothing_is_said_once(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--size", "32", "--quality", "reference", "--keep-lines", "30", "--seed", "4", "--dry-run"]
    assert main(["batch", "photos", "--style", "styles", "-o", "out", *given]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "note: quality=reference leaves out: keep_lines",
        "note: seed=4 changes nothing: only a start from noise (init) has random numbers",
    ]
    grid = ["grid", "photos/a.png", "styles/x.png", "-o", "grid.png", "--vary", "strength=20,80", *SMALL]
    assert main([*grid, "--style-weight", "5"]) == 0
    assert capsys.readouterr().err.startswith("note: style_weight changes nothing: it is each painting's share")
    assert main([*grid, "--style-weight", "5", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_seed_is_varied_where_there_is_one() -> None:
    paintings, seeds = [Path("x.png")], {"seed": [1, 2]}
    with pytest.raises(SettingsError, match="leaves out seed: give init=noise, or vary another"):
        cells(paintings, SETTINGS, seeds)
    assert len(cells(paintings, Settings(init="noise", quality="draft"), seeds)[0]) == 2
    with pytest.raises(SettingsError, match="leaves out seed"):
        cells(paintings, Settings(init="noise", quality="instant"), seeds)
