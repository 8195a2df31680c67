"""How long the studio says that a picture takes: as long as the last ones took here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from impasto.settings import QUALITIES
from impasto.web.pace import COMMON, KEPT, MATCHED, TWO_CORES, Pace


def test_before_any_picture_it_is_what_was_measured_on_two_cores() -> None:
    pace = Pace()
    assert not pace.measured
    for name, seconds in pace.seconds().items():
        assert seconds == pytest.approx(TWO_CORES[name] * (MATCHED if QUALITIES[name].matched else 1))


def test_the_table_is_that_of_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "speed.md").read_text()
    means = text[text.index("| **mean** |") :].split("\n\n")[0]
    found = dict(re.findall(r"\| ([a-z]+) \| ([\d.]+) \|", means))
    assert list(found) == list(TWO_CORES) == list(QUALITIES)
    assert all(float(found[name]) == pytest.approx(TWO_CORES[name], abs=0.3) for name in found)
    moments, matched = re.findall(r"([\d.]+), ([\d.]+) s (?:by statistics|with matched)", text)
    ratios = [float(b) / float(a) for a, b in zip(moments, matched, strict=True)]
    assert pytest.approx(sum(ratios) / 2, abs=0.01) == MATCHED


def test_pictures_of_this_machine_count_and_say_what_the_others_will_take() -> None:
    pace, before = Pace(), Pace().seconds()
    pace.add("draft", COMMON * 4, before["draft"] * 12)  # four times the pixels in twelve times the seconds
    after = pace.seconds()
    assert pace.measured
    assert all(after[name] == pytest.approx(before[name] * 3) for name in QUALITIES)
    pace.add("good", COMMON, 5.0)
    assert pace.seconds()["good"] == 5.0
    assert pace.seconds()["draft"] == after["draft"]


def test_a_small_picture_says_little() -> None:
    pace = Pace()
    pace.add("good", 64 * 43, 5.0)
    assert not pace.measured


def test_the_last_pictures_count() -> None:
    pace = Pace()
    for seconds in [100.0] * KEPT + [10.0] * (KEPT // 2 + 1):
        pace.add("good", COMMON, seconds)
    assert pace.seconds()["good"] == 10.0


def test_it_outlives_the_server(tmp_path: Path) -> None:
    Pace(tmp_path / "kept" / "pace.json").add("good", COMMON, 5.0)
    assert Pace(tmp_path / "kept" / "pace.json").seconds()["good"] == 5.0


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"good": "lots"}', '{"good": 3}', '{"good": ["x"]}', '{"good": [-1]}']
)
def test_a_file_that_is_none_of_ours_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "pace.json").write_text(text)
    assert Pace(tmp_path / "pace.json").seconds() == Pace().seconds()


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pace = Pace(tmp_path / "file" / "pace.json")
    pace.add("good", COMMON, 5.0)
    assert pace.seconds()["good"] == 5.0
