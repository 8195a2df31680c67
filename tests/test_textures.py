import pytest
import torch
from conftest import Main, random_image
from PIL import Image

import impasto
from impasto import SettingsError
from impasto.images.reading import to_image
from impasto.methods.textures import enlarge
from impasto.network.vgg import VGG19
from impasto.objective.memory import in_use
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.painting import Painter, texture, texture_steps

STYLE = random_image(70, 90, seed=2)
QUICK = impasto.Settings(size=64, quality="draft", style_layers="relu1_1,relu2_1")


def test_a_texture_has_the_paintings_style_and_the_asked_size():
    steps = list(texture_steps(STYLE, QUICK))
    assert steps[-1].image.shape == (1, 3, 64, 64)
    assert steps[-1].losses["style"] < steps[0].losses["style"] / 3
    assert "content" not in steps[-1].losses
    assert texture(STYLE, QUICK).size == (64, 64)


def test_the_same_seed_makes_the_same_texture():
    first, second, other = (next(texture_steps(STYLE, QUICK.__class__(size=64, seed=seed))).image for seed in (0, 0, 1))
    assert first.equal(second)
    assert not first.equal(other)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_small_texture_is_no_checkerboard(tiny_painter: Painter, seed: int):
    """Single pixels of noise at the start would stay behind as one: neighbours as far from each other as strangers."""
    steps = list(tiny_painter.texture_steps(STYLE, size=64, quality="draft", seed=seed))
    image = steps[0].image
    near = (image[..., 1:] - image[..., :-1]).square().mean()
    far = (image[..., 16:] - image[..., :-16]).square().mean()
    assert near < 0.4 * far


def test_a_seamless_texture_goes_on_across_its_edges():
    """Steps between neighbours across the seam are as those within; without it they are larger."""
    style = random_image(96, 96, seed=4)
    image = list(texture_steps(style, QUICK, seamless=True))[-1].image
    inner = (image[..., 1:] - image[..., :-1]).abs().mean((0, 1, 2))
    seam = (image[..., 0] - image[..., -1]).abs().mean()
    assert seam < inner.quantile(0.9)
    cut = list(texture_steps(style, QUICK))[-1].image
    assert (cut[..., 0] - cut[..., -1]).abs().mean() > 1.15 * (cut[..., 1:] - cut[..., :-1]).abs().mean()


def test_a_rolled_seamless_texture_has_the_same_loss(vgg: VGG19):
    """The objective itself wraps around: it does not know where the edges are."""
    network = vgg.varied(pooling="max", padding="circular")
    image = random_image(64, 64, seed=1)
    layers = {"relu1_1": 1.0, "relu3_1": 1.0, "relu5_1": 1.0}
    target = style_moments(network, random_image(48, 80, seed=2), list(layers))
    f = Objective(network, image, target, TermWeights({}, layers))
    rolled = image.roll((16, -32), dims=(2, 3))
    torch.testing.assert_close(f(rolled).loss, f(image).loss, rtol=1e-4, atol=0)
    torch.testing.assert_close(f(rolled).gradient, f(image).gradient.roll((16, -32), dims=(2, 3)), rtol=0.01, atol=1e-5)


def test_enlarging_a_wrapped_image_wraps():
    image = random_image(16, 32)
    larger = enlarge(image, 32, 64, wrapped=True)
    rolled = enlarge(image.roll((4, 7), dims=(2, 3)), 32, 64, wrapped=True)
    torch.testing.assert_close(rolled, larger.roll((8, 14), dims=(2, 3)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 100}, "size=100 cannot be seamless; give a multiple of 16, as 96"),
        ({"quality": "instant"}, "quality='instant' makes no textures"),
        ({"style_weight": (1, 2)}, "style_weight=1,2 has 2 values for 1 painting"),
        ({"size": 4096}, "does not fit in memory whole"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_work(changes: dict[str, object], words: str):
    memory = f"{in_use(torch.device('cpu')) + 4 * 10**9}B"
    with pytest.raises(SettingsError, match=words):
        texture(STYLE, QUICK, seamless=True, memory=memory, **changes)


def test_the_command(main: Main, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), "navy").save("a.png")
    options = ["--size", "64", "--quality", "draft", "--style-layers", "relu1_1", "-q"]
    assert main(["texture", "a.png", "-o", "t.png", "--seamless", *options]) == 0
    assert capsys.readouterr().out == "t.png\n"
    assert to_image("t.png").image.shape == (1, 3, 64, 64)
    for arguments, said in (
        (["texture", "a.png"], "--output is missing"),
        (["texture", "a.png", "-o", "a.png"], "would overwrite a file that is read"),
        (["texture", "b.png", "-o", "t.png"], "'b.png' is neither a file nor a style"),
        (["texture", "a.png", "-o", "t.png", "--strength", "3"], "Unknown option: --strength"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
