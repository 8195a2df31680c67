from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from conftest import TINY, random_image
from PIL import Image

import impasto
from impasto import Settings, SettingsError
from impasto.images.color import color_moments, match_colors
from impasto.images.reading import read_image, resize, write_image
from impasto.methods.coarse_to_fine import narrowed, spread, trimmed
from impasto.methods.schedule import schedule
from impasto.methods.styles import mix_strokes, read_paintings
from impasto.network.device import present_devices
from impasto.objective.memory import in_use
from impasto.objective.objective import style_moments
from impasto.painting import Painter, paint, paint_steps

CONTENT, STYLE = random_image(48, 64, seed=1), random_image(56, 40, seed=2)
QUICK = Settings(size=64, quality="draft", style_layers="relu1_1,relu2_1", content_layers="relu2_2")


def test_a_tensor_gives_a_tensor_of_the_photographs_shape():
    painted = TINY.paint(CONTENT, STYLE, QUICK)
    assert painted.shape == (1, 3, 48, 64)
    assert painted.isfinite().all()
    assert 0 <= painted.min() <= painted.max() <= 1
    assert (painted.cpu() - CONTENT).abs().mean() > 0.01


def test_pictures_arrays_and_paths_give_a_pillow_image(tmp_path):
    array = (CONTENT[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "photo.png")
    for content in (Image.fromarray(array), array, tmp_path / "photo.png", str(tmp_path / "photo.png")):
        painted = paint(content, STYLE, QUICK, strength=0)
        assert (painted.width, painted.height) == (64, 48)


def test_what_is_returned_can_be_saved_and_painted_like(tmp_path):
    write_image(tmp_path / "photo.jpg", CONTENT, density=300)
    with (tmp_path / "photo.jpg").open("rb") as photo:
        picture = TINY.paint(photo, (tmp_path / "photo.jpg").read_bytes(), QUICK, strength=60, protect=(0, 0, 10, 10))
    for name in ("out.png", "out.jpg"):
        picture.save(tmp_path / name)
        found = read_image(tmp_path / name)
        assert Settings.from_json(found.settings).strength == 60
        assert found.density == pytest.approx(300, abs=0.1)


def test_transparency_is_kept_and_not_painted():
    array = np.full((48, 64, 4), 200, np.uint8)
    array[..., 3] = 255
    array[:, :20, 3] = 0
    painted = TINY.paint(Image.fromarray(array), STYLE, QUICK)
    assert painted.mode == "RGBA"
    assert (np.asarray(painted)[:, :19, 3] == 0).all()
    assert (np.asarray(painted)[:, 21:, 3] == 255).all()


def test_the_same_seed_paints_the_same_picture():
    one, two = (TINY.paint(CONTENT, STYLE, QUICK, init="noise", seed=7) for _ in range(2))
    other = TINY.paint(CONTENT, STYLE, QUICK, init="noise", seed=8)
    assert one.equal(two)
    assert not one.equal(other)


def test_strength_0_is_the_photograph_and_more_is_farther_from_it():
    assert paint(CONTENT, STYLE, QUICK, strength=0).cpu().equal(CONTENT)
    pictures = [paint(CONTENT, STYLE, QUICK, strength=strength).cpu() for strength in (5, 30, 90)]
    distances = [float((picture - CONTENT).square().mean()) for picture in pictures]
    assert distances == sorted(distances)


def test_progress_counts_scales_steps_and_time():
    seen = list(TINY.steps(random_image(144, 192), STYLE, Settings(size=192, quality="draft")))
    assert {p.scales for p in seen} == {2}
    assert [p.step for p in seen] == sorted(p.step for p in seen)
    assert seen[-1].step <= seen[0].steps
    assert seen[0].image.shape == (1, 3, 72, 96)
    assert seen[-1].image.shape == (1, 3, 144, 192)
    assert all(p.losses["total"] == pytest.approx(p.losses["content"] + p.losses["style"], rel=1e-4) for p in seen)
    assert seen[-1].seconds_left == 0
    assert seen[-1].share == 1


def test_the_loss_falls():
    seen = list(TINY.steps(CONTENT, STYLE, QUICK))
    assert seen[-1].losses["total"] < seen[0].losses["total"] / 2


def test_stopping_is_leaving_the_loop():
    steps = TINY.steps(CONTENT, STYLE, QUICK)
    assert next(steps).step == 1
    steps.close()  # type: ignore[attr-defined]
    assert list(steps) == []


def test_several_paintings_are_blended():
    other = random_image(50, 50, seed=9)
    both = TINY.paint(CONTENT, [STYLE, other], QUICK)
    assert not both.equal(TINY.paint(CONTENT, STYLE, QUICK))
    assert not both.equal(TINY.paint(CONTENT, other, QUICK))


def test_the_weights_of_paintings_are_shares():
    other = random_image(50, 50, seed=9)
    one = TINY.paint(CONTENT, STYLE, QUICK)
    assert TINY.paint(CONTENT, [STYLE, other], QUICK, style_weight=(3, 0)).equal(one)
    assert TINY.paint(CONTENT, [STYLE, STYLE], QUICK, style_weight=(70, 30)).allclose(one, atol=0.02)
    mostly, hardly = (TINY.paint(CONTENT, [STYLE, other], QUICK, style_weight=w) for w in ((90, 10), (10, 90)))
    assert (mostly - one).abs().mean() < (hardly - one).abs().mean()


def test_a_folder_is_one_style_with_one_share(tmp_path):
    images = [random_image(50, 50, seed) for seed in (2, 9)]
    for name, image in zip("ab", images, strict=True):
        write_image(tmp_path / f"{name}.png", image, bits=16)
    (tmp_path / "notes.txt").write_text("not a picture")
    folder = [p.weight for p in read_paintings([tmp_path, STYLE], CONTENT, Settings(style_weight=(70, 30)))]
    assert [weight / sum(folder) for weight in folder] == pytest.approx([0.35, 0.35, 0.3])


def test_strokes_have_a_size_of_their_own_for_each_painting():
    content, style = random_image(120, 160, seed=1), random_image(200, 200, seed=2)
    for painting, scale in zip(
        read_paintings([style, style], content, Settings(style_scale=(1, 0.5))), (1, 0.5), strict=True
    ):
        for photograph in (content, content[..., ::2, ::2]):
            pixels, wanted = painting.beside(photograph).image[0, 0].numel(), photograph[0, 0].numel() * scale**2
            assert pixels == pytest.approx(wanted, rel=0.05)
    with pytest.raises(SettingsError, match="style_scale=2,1 has 2 values for 1 painting"):
        paint_steps(CONTENT, STYLE, Settings(style_scale=(2, 1)))


@pytest.mark.parametrize("color", ["photo", "match", "histogram", "lab"])
@pytest.mark.parametrize("quality", ["instant", "draft"])
def test_the_photographs_colours_are_kept(color: str, quality: str):
    """Mean colours: the photograph is bluish, the painting reddish."""
    blue, red = torch.tensor([0.3, 0.4, 0.6])[:, None, None], torch.tensor([0.6, 0.3, 0.2])[:, None, None]
    photograph, style = 0.5 * CONTENT + 0.5 * blue, 0.5 * STYLE + 0.5 * red
    settings = replace(QUICK, quality=quality, strength=60)
    theirs, ours = (paint(photograph, style, settings, color=c).mean((0, 2, 3)) for c in ("painting", color))
    assert theirs[0] > theirs[2]
    assert ours[0] < ours[2]


HALVES = torch.cat([torch.zeros(1, 3, 48, 32), torch.ones(1, 3, 48, 32)], dim=3)


@pytest.mark.parametrize("quality", ["instant", "draft"])
def test_two_paintings_side_by_side(quality: str):
    """Left in reds, right in blues; and what borders on the one is not painted like the other."""
    red, blue = torch.tensor([0.8, 0.3, 0.2])[:, None, None], torch.tensor([0.2, 0.3, 0.8])[:, None, None]
    paintings = [0.3 * STYLE + 0.7 * red, 0.3 * STYLE + 0.7 * blue]
    settings = replace(QUICK, quality=quality, strength=80)
    painted = paint(CONTENT, paintings, settings, mask=HALVES, style_mask=["black", "white"])
    left, right = painted[..., :28].mean((0, 2, 3)), painted[..., 36:].mean((0, 2, 3))
    assert left[0] > left[2] + 0.1
    assert right[2] > right[0] + 0.1


def test_a_blank_mask_changes_nothing():
    blank = torch.ones(1, 3, 30, 30)
    assert TINY.paint(CONTENT, STYLE, QUICK, mask=blank, style_mask="all").equal(TINY.paint(CONTENT, STYLE, QUICK))


@pytest.mark.parametrize("quality", ["instant", "draft"])
@pytest.mark.parametrize("color", ["painting", "photo"])
def test_what_is_protected_stays_as_photographed_at_every_step(quality: str, color: str):
    settings = replace(QUICK, quality=quality, color=color, strength=90)
    for progress in paint_steps(CONTENT, STYLE, settings, protect="25%,25%,50%,75%"):
        if progress.image.shape[-1] == 64:
            torch.testing.assert_close(progress.image[..., 12:36, 16:32].cpu(), CONTENT[..., 12:36, 16:32])
    assert (progress.image.cpu() - CONTENT)[..., 40:].abs().mean() > 0.02


@pytest.mark.parametrize("quality", ["draft", "reference"])
def test_half_protected_is_half_the_photograph_and_not_more(quality: str):
    black, half = torch.zeros(1, 3, 48, 64), torch.full((1, 3, 48, 64), 0.5)
    settings = replace(QUICK, quality=quality, init="noise")
    shown = [now.image.max() for now in islice(TINY.steps(black, STYLE, settings, protect=half), 3)]
    assert min(shown) > 0.4  # of noise up to 1; twice the half would be a quarter
    assert max(shown) <= 0.5


@pytest.mark.parametrize(
    ("guides", "words"),
    [
        (
            {"mask": HALVES},
            "there are 0 style masks for 1 painting; give each painting a mask, or the name of the colour",
        ),
        ({"style_mask": HALVES}, "style_mask needs mask"),
        ({"mask": HALVES, "style_mask": ["all", "all"]}, "there are 2 style masks for 1 painting"),
        ({"mask": HALVES, "style_mask": "red"}, "mask has a white region, but no painting has"),
        ({"mask": HALVES, "style_mask": "orange"}, "orange does not exist"),
        ({"protect": "1,2,3"}, "protect=1,2,3 is not a box in the photograph of 64 × 48 pixels"),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
)
def test_masks_that_make_no_sense_are_refused_before_the_work(guides: dict[str, object], words: str):
    with pytest.raises(impasto.ImpastoError, match=words):
        paint_steps(CONTENT, STYLE, QUICK, **guides)


def test_the_strokes_of_one_painting_and_the_forms_of_another():
    """The mixture is nearer to the fine painting at fine layers, and looks like the coarse one from afar."""
    network = Painter().models.vgg()
    coarse, fine = read_paintings([STYLE, random_image(200, 200, seed=9)[..., ::4, ::4]], CONTENT, Settings())
    (mixed,) = mix_strokes(network, [replace(coarse, strokes="coarse"), replace(fine, strokes="fine")])
    assert mixed.image.shape == coarse.image.shape

    def gram(x: torch.Tensor) -> torch.Tensor:
        return style_moments(network, x, ["relu2_1"])["relu2_1"].gram

    wanted = gram(match_colors(fine.image, color_moments(coarse.image)))
    assert (gram(mixed.image) - wanted).norm() < 0.2 * (gram(coarse.image) - wanted).norm()
    afar = [torch.nn.functional.avg_pool2d(x, 8) for x in (mixed.image, coarse.image)]
    assert (afar[0] - afar[1]).abs().mean() < 0.1
    assert paint(CONTENT, [STYLE, STYLE], QUICK, strokes=("coarse", "fine")).isfinite().all()


@pytest.mark.parametrize("quality", ["instant", "reference"])
def test_what_a_quality_does_not_know_is_said(quality: str):
    settings = Settings(size=64, quality=quality, keep_lines=30)
    notes = next(iter(paint_steps(CONTENT, STYLE, settings))).notes
    assert f"quality={quality} leaves out: keep_lines" in notes


def test_strokes_count_without_a_share():
    shares = {"strokes": ("coarse", "fine"), "style_weight": (100, 0)}
    assert TINY.paint(CONTENT, [STYLE, STYLE], QUICK, **shares).isfinite().all()


def test_painting_does_not_mind_whether_gradients_are_wanted():
    with torch.no_grad():
        unwanted = TINY.paint(CONTENT, STYLE, QUICK)
    assert torch.equal(unwanted, TINY.paint(CONTENT, STYLE, QUICK))
    for make in (lambda: TINY.paint(CONTENT, STYLE, QUICK), lambda: TINY.texture(STYLE, QUICK)):
        with torch.inference_mode(), pytest.raises(SettingsError, match="inference_mode"):
            make()


def test_the_reference_starts_from_the_photograph():
    first = next(TINY.steps(CONTENT, STYLE, Settings(size=64, quality="reference")))
    assert first.image.cpu().equal(CONTENT)
    assert first.losses["content"] == 0


def test_the_reference_pools_as_the_paper_may():
    settings = Settings(size=64, quality="reference", evaluations=5)
    steps = {pooling: list(TINY.steps(CONTENT, STYLE, settings, pooling=pooling)) for pooling in ("max", "average")}
    assert not steps["max"][-1].image.equal(steps["average"][-1].image)
    assert steps["average"][0].notes == ()
    network = TINY.models.vgg("cpu", pooling="average", winograd=False)
    gram = network(CONTENT, ["relu2_1"])["relu2_1"]
    assert not gram.equal(TINY.models.vgg("cpu", winograd=False)(CONTENT, ["relu2_1"])["relu2_1"])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_pictures_are_painted_without_nan(value: float):
    flat = torch.full((1, 3, 48, 64), value)
    for content, style in ((flat, STYLE), (CONTENT, flat), (flat, flat)):
        assert TINY.paint(content, style, QUICK).isfinite().all()


def test_unknown_settings_are_refused_with_the_list():
    with pytest.raises(SettingsError, match=r"stregth.*strength"):
        impasto.paint(CONTENT, STYLE, stregth=70)


def test_everything_is_checked_before_the_first_step(tmp_path):
    with pytest.raises(impasto.ImageError, match=r"absent\.jpg"):
        paint_steps(tmp_path / "absent.jpg", STYLE)
    with pytest.raises(SettingsError, match="nocturnal"):
        paint_steps(CONTENT, "nocturnal")


@pytest.mark.parametrize(("height", "width"), [(16, 100), (30, 48), (24, 200)])
def test_panoramas_and_tiny_pictures(height: int, width: int):
    assert TINY.paint(random_image(height, width), STYLE, size="full", quality="draft").shape == (1, 3, height, width)


def test_a_picture_too_narrow_for_the_network_is_refused():
    with pytest.raises(SettingsError, match=r"64 × 2 pixels.*16 or more"):
        paint(random_image(20, 640), STYLE, size=64)


def test_a_long_run_is_foretold():
    """About how long, and how it fits in memory, with the first step; a short one says nothing."""
    photo = random_image(300, 400)
    memory = f"{in_use(torch.device('cpu')) + 10**9}B"
    steps = TINY.steps(photo, STYLE, Settings(size=1200, quality="good", memory=memory))
    first = next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert any("pixels; about" in note and "1200 × 900" in note for note in first.notes)
    assert any("1200 × 900 in tiles of" in note for note in first.notes)
    assert next(TINY.steps(photo, STYLE, QUICK)).notes == ()


@pytest.mark.parametrize("device", present_devices())
def test_every_device_paints_the_same(device: str):
    """A small picture: later steps amplify rounding."""
    steps = [list(TINY.steps(CONTENT, STYLE, QUICK, device=name)) for name in ("cpu", device)]
    for ours, theirs in zip(*(s[:4] for s in steps), strict=True):
        assert (ours.image - theirs.image.cpu()).abs().mean() < 1e-3
        assert theirs.losses == pytest.approx(ours.losses, rel=1e-2)


def test_what_bleeds_is_cut_off_where_it_was_added():
    for scale in schedule(101, 700, Settings(), bleeds=True):
        picture = random_image(*scale.picture)
        wide = spread(picture, scale)
        assert wide.shape[-2:] == (scale.height, scale.width)
        assert torch.equal(trimmed(wide, scale), picture)
        smaller = trimmed(wide[..., ::2, ::2], scale)  # as a cluster shows it
        assert torch.equal(smaller, picture[..., ::2, ::2][..., : smaller.shape[-2], : smaller.shape[-1]])


def test_no_more_bleeds_than_the_next_scale_paints():
    scales = schedule(700, 1010, Settings(quality="best"), bleeds=True)
    assert [scale.bleed for scale in scales] == [2, 4, 8, 8, 8, 16, 16, 16, 16]
    half_of_the_next_ones_or_all_between_rounds = [2, 4, 8, 8, 8, 16, 8, 16]
    for (scale, following), beyond in zip(pairwise(scales), half_of_the_next_ones_or_all_between_rounds, strict=True):
        picture = random_image(*scale.picture)
        wide = narrowed(spread(picture, scale), scale, following)
        assert torch.equal(wide, spread(picture, replace(scale, bleed=beyond)))


def test_what_bleeds_less_than_twice_as_much_stays_in_its_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("impasto.methods.schedule.MOST_BLEED", 4)  # at 256 px as at 128
    photo = resize(random_image(9, 12, seed=1), 192, 256)
    settings = Settings(size=256, quality="draft", strength=1, evaluations=2, device="cpu")
    assert (TINY.paint(photo, STYLE, settings) - photo).abs().mean() < 0.004  # ten times as much out of place
