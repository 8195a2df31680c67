"""The field's benchmark with painters that take a moment: what is run, judged, left and compared; votes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import random_image

from impasto.images.writing import write_image
from impasto.painting import Painter

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import field  # noqa: E402
import field_report  # noqa: E402
from field_statistics import Vote, bootstrapped, compared, frontier, gap, preferences  # noqa: E402

sys.path.remove(BENCHMARKS)

BLEND = """
import sys
from PIL import Image
content, style, output, share = sys.argv[1:]
photo = Image.open(content)
Image.blend(photo, Image.open(style).convert("RGB").resize(photo.size), float(share)).save(output)
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "blend tool.py").write_text(BLEND)
    for name, seed in (("a", 0), ("b", 1), ("x", 2)):
        write_image(tmp_path / f"{name}.png", random_image(48, 64, seed))
    return tmp_path


def tools(folder: Path) -> list[field.Tool]:
    program = f"{{python}} '{folder}/blend tool.py' {{content}} {{style}} {{output}}"
    return [
        field.Tool("weak", program + " {sweep:0.1,0.3}"),
        field.Tool("strong", program + " {share}"),
        field.Tool("broken", "{python} -c 'raise SystemExit(\"no such luck\")'"),
    ]


def run(folder: Path, painter: Painter) -> tuple[list[dict[str, Any]], list[field.Pair]]:
    pairs = field.prepared([(folder / f"{name}.png", folder / "x.png") for name in "ab"], 64, folder)
    return list(field.results(pairs, tools(folder), [20, 60], 64, folder, models=painter.models)), pairs


def test_every_tool_paints_every_pair_once(out: Path, tiny_painter: Painter) -> None:
    rows, pairs = run(out, tiny_painter)
    assert [(row["tool"], row["value"]) for row in rows[:5]] == [
        *(("weak", "0.1"), ("weak", "0.3"), ("strong", "20"), ("strong", "60"), ("broken", None))
    ]
    assert len(rows) == 10
    assert {row["error"] for row in rows} == {"", "no such luck"}
    contents = [row["scores"]["content"] for row in rows[:4]]
    assert contents[0] < contents[1] < contents[3]
    assert all(row["memory"] > 0 and row["seconds"] > 0 for row in rows[:4])
    kept = (out / "results.jsonl").read_text()
    assert run(out, tiny_painter)[0] == rows
    assert (out / "results.jsonl").read_text() == kept

    blind = field_report.write_blind_page(rows, pairs, out).read_text()
    assert not any(word in blind for word in ("weak", "strong", "broken", "a-x"))
    report = field_report.write_report(rows, pairs, out).read_text()
    assert "no such luck" in report
    assert "http://" not in report + blind
    assert "https://" not in report + blind


def test_an_unknown_word_in_braces_is_refused(out: Path) -> None:
    pair = field.Pair("p", out / "a.png", out / "x.png")
    with pytest.raises(SystemExit, match=r"the command of mine has .*picture.*, which is unknown"):
        field.Tool("mine", "paint {picture}").filled(pair, out / "o.png", None, 64)


def test_a_tool_that_hangs_is_ended_with_its_children() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert field.measured([sys.executable, "-c", child], timeout=0.1).status != 0


def test_votes_are_counted_by_who_is_behind_the_numbers(out: Path, tiny_painter: Painter) -> None:
    rows, pairs = run(out, tiny_painter)
    field_report.write_blind_page(rows, pairs, out)
    key = json.loads((out / "key.json").read_text())["pictures"]
    number = {(known["pair"], known["tool"]): picture for picture, known in key.items()}
    votes = [
        {"left": number[pair, "weak"], "right": number[pair, "strong"], "better": better, "time": time}
        for pair, better, time in (("a-x", "right", "1"), ("b-x", "neither", "2"), ("a-x", "left", "3"))
    ]
    (out / "votes").mkdir()
    for file in ("votes", "votes (1)"):  # saved twice
        (out / "votes" / f"{file}.json").write_text(json.dumps({"voter": "1", "votes": votes}))
    assert sorted(field_report.read_votes(out), key=lambda vote: vote.pair) == [
        Vote("a-x", "weak", "strong", 1.0),
        Vote("b-x", "weak", "strong", 0.5),
    ]
    field_report.write_blind_page(rows, pairs, out)
    assert json.loads((out / "key.json").read_text())["pictures"] == key  # old votes count
    assert "2 votes on 2 pairs" in field_report.write_report(rows, pairs, out).read_text()


def test_pictures_are_shown_at_the_nearest_content() -> None:
    rows = [
        {"tool": tool, "scores": {"content": content}}
        for tool, content in (("a", 0.1), ("a", 0.3), ("b", 0.28), ("b", 0.9), ("c", 0.5))
    ]
    chosen = field_report.at_equal_content(rows, ["a", "b", "c", "painted nothing"])
    assert {tool: row["scores"]["content"] for tool, row in chosen.items()} == {"a": 0.3, "b": 0.28, "c": 0.5}
    assert field_report.at_equal_content([], ["a"]) == {}


def test_a_frontier_is_what_nothing_beats() -> None:
    assert frontier([(0.3, 0.5), (0.1, 0.9), (0.2, 0.95), (0.4, 0.5)]) == [(0.1, 0.9), (0.3, 0.5)]


def test_gaps_are_taken_where_both_reach() -> None:
    theirs = [(0.1, 1.0), (0.5, 0.6)]
    found = gap([(0.3, 0.4), (0.9, 0.1)], theirs)
    assert found is not None
    assert found.everywhere
    middle = gap([(0.3, 0.4)], theirs)  # a single point, where the other one has 0.8
    assert middle is not None
    assert middle.ratio == pytest.approx(0.5)
    assert gap([(0.6, 0.4)], theirs) is None
    crossing = gap([(0.1, 0.9), (0.5, 0.7)], theirs)
    assert crossing is not None
    assert not crossing.everywhere


def test_pairs_are_the_unit() -> None:
    theirs = {str(i): [(0.0, 1.0), (1.0, 1.0)] for i in range(8)}
    same = compared({pair: [(0.0, 0.5), (1.0, 0.5)] for pair in theirs}, theirs)
    assert (same.pairs, same.everywhere) == (8, 8)
    assert (same.ratio.low, same.ratio.value, same.ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    mixed = compared({pair: [(0.0, 0.5 + int(pair) / 8)] for pair in theirs}, theirs)
    assert mixed.everywhere == 4
    assert mixed.ratio.low < mixed.ratio.value < mixed.ratio.high


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = [float(i) for i in range(100)]
    (found,) = bootstrapped(values, lambda drawn: sum(drawn) / len(drawn))
    assert found.value == 49.5
    assert (found.low, found.high) == pytest.approx((49.5 - 1.96 * 2.887, 49.5 + 1.96 * 2.887), abs=0.6)
    (alone,) = bootstrapped([3.0], lambda drawn: sum(drawn) / len(drawn))
    assert str(alone) == "3.00"  # of one pair nothing is known about others


def test_preferences_recover_strengths() -> None:
    """Bradley and Terry: with strengths 4, 2, 1, wins are in these proportions."""
    counts = {("a", "b"): (40, 20), ("b", "c"): (40, 20), ("a", "c"): (48, 12)}
    votes = [
        Vote(f"pair {number % 6}", one, other, 1.0 if number < won else 0.0)
        for (one, other), (won, lost) in counts.items()
        for number in range(won + lost)
    ]
    found = preferences(votes)
    assert found["a"].value == pytest.approx((4 / 6 + 4 / 5) / 2, abs=0.02)
    assert found["b"].value == pytest.approx((2 / 6 + 2 / 3) / 2, abs=0.02)
    assert found["c"].low <= found["c"].value <= found["c"].high
    assert 0.5 < preferences([Vote("p", "a", "b", 1.0)] * 3)["a"].value < 1  # never lost
