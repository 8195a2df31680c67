from dataclasses import replace

import pytest
import torch
from conftest import random_image

from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.objective.moments import moments
from impasto.objective.objective import Objective, TermWeights, style_moments

WEIGHTS = TermWeights(
    content_layers={"relu4_2": 1.0, "relu2_2": 0.5},
    style_layers={"relu1_1": 1.0, "relu3_1": 0.5, "relu5_1": 2.0},
    content=0.7,
    style=3.0,
    smoothness=0.2,
)
CONTENT, STYLE, IMAGE = (random_image(40, 56, seed, torch.float64) for seed in range(3))


def objective(network: VGG19, weights: TermWeights = WEIGHTS) -> Objective:
    return Objective(network, CONTENT, style_moments(network, STYLE, list(WEIGHTS.style_layers)), weights)


def test_the_papers_equations_slowly(tiny_network: VGG19):
    """Equations 1, 3, 4, 5 and 7 of Gatys et al. (2016), entry by entry, with our constants."""
    layers = [*WEIGHTS.content_layers, *WEIGHTS.style_layers]
    f, p, a = (tiny_network(x, layers) for x in (IMAGE, CONTENT, STYLE))
    content = sum(w * ((f[k] - p[k]) ** 2).mean() for k, w in WEIGHTS.content_layers.items())
    style = 0.0
    for k, w in WEIGHTS.style_layers.items():
        x, y = f[k][0].flatten(1), a[k][0].flatten(1)
        n = len(x)
        for i in range(n):
            for j in range(n):
                gap = (x[i] * x[j]).mean() - (y[i] * y[j]).mean()
                style = style + w * gap**2 / n**2
    rough = ((IMAGE[..., 1:] - IMAGE[..., :-1]) ** 2).sum() + ((IMAGE[..., 1:, :] - IMAGE[..., :-1, :]) ** 2).sum()
    evaluation = objective(tiny_network, replace(WEIGHTS, relative=False))(IMAGE)
    torch.testing.assert_close(evaluation.terms["content"], 0.7 * content)
    torch.testing.assert_close(evaluation.terms["style"], 3.0 * style)
    torch.testing.assert_close(evaluation.terms["smoothness"], 0.2 * rough / (40 * 56))
    torch.testing.assert_close(evaluation.loss, torch.stack(list(evaluation.terms.values())).sum())


def test_the_gradient_is_that_of_the_loss(tiny_network: VGG19):
    f = objective(tiny_network)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(IMAGE.shape, generator=generator, dtype=torch.float64)
    step = 1e-6
    slope = (f(IMAGE + step * direction).loss - f(IMAGE - step * direction).loss) / (2 * step)
    torch.testing.assert_close((f(IMAGE).gradient * direction).sum(), slope, rtol=1e-6, atol=0)


def test_the_photograph_has_no_content_loss_and_the_painting_no_style_loss(tiny_network: VGG19):
    f = objective(tiny_network)
    assert f(CONTENT).terms["content"] == 0
    assert f(STYLE).terms["style"] == pytest.approx(0, abs=1e-20)


def test_relative_terms_do_not_see_the_features_scale(tiny_network: VGG19):
    """One strength for every painting: targets twice as large give the same loss."""
    target = style_moments(tiny_network, STYLE, list(WEIGHTS.style_layers))
    f = objective(tiny_network)
    doubled = {k: type(m)(m.count, 2**0.5 * m.first, 2 * m.second) for k, m in target.items()}
    g = Objective(tiny_network, CONTENT, doubled, WEIGHTS)
    m = {k: moments(x) for k, x in tiny_network(IMAGE, WEIGHTS.style_layers).items()}
    scaled = {k: type(x)(x.count, 2**0.5 * x.first, 2 * x.second) for k, x in m.items()}
    torch.testing.assert_close(f.style_terms(m)["style"], g.style_terms(scaled)["style"])


def test_black_targets_do_not_divide_by_zero(vgg: VGG19):
    black = torch.zeros(1, 3, 40, 56)
    weights = TermWeights({"relu4_2": 1.0}, {"relu1_1": 1.0})
    evaluation = Objective(vgg, black, style_moments(vgg, black, ["relu1_1"]), weights)(random_image(40, 56))
    assert evaluation.loss.isfinite()
    assert evaluation.gradient.isfinite().all()


def test_terms_of_weight_zero_are_not_computed(tiny_network: VGG19):
    weights = replace(WEIGHTS, content=0.0, smoothness=0.0)
    assert weights.layers == ["relu1_1", "relu3_1", "relu5_1"]
    assert list(objective(tiny_network, weights)(IMAGE).terms) == ["style"]


MASKS = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_guided_gram_matrices_slowly(tiny_network: VGG19):
    """Gatys et al. (2017, eq. 4 and 5): Gram matrices of each region, position by position, averaged over regions."""
    weights = TermWeights(content_layers={}, style_layers={"relu2_1": 1.0}, relative=False)
    grams = []
    for image in (IMAGE, STYLE):
        f = tiny_network(image, ["relu2_1"])["relu2_1"][0]
        per_region = []
        for mask in MASKS:
            gram, count = torch.zeros(len(f), len(f), dtype=torch.float64), 0.0
            for y in range(20):
                for x in range(28):
                    m = mask[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
                    gram, count = gram + m * torch.outer(f[:, y, x], f[:, y, x]), count + m
            per_region.append(gram / count)
        grams.append(torch.stack(per_region))
    target = style_moments(tiny_network, STYLE, ["relu2_1"], masks=MASKS)
    loss = Objective(tiny_network, CONTENT, target, weights, masks=MASKS)(IMAGE).loss
    torch.testing.assert_close(loss, (grams[0] - grams[1]).square().mean())


def test_one_region_of_everything_is_no_mask(tiny_network: VGG19):
    everything = torch.ones(1, 40, 56, dtype=torch.float64)
    target = style_moments(tiny_network, STYLE, list(WEIGHTS.style_layers))
    guided = style_moments(tiny_network, STYLE, list(WEIGHTS.style_layers), masks=everything)
    plain, masked = (
        Objective(tiny_network, CONTENT, t, WEIGHTS, masks=m) for t, m in ((target, None), (guided, everything))
    )
    torch.testing.assert_close(plain(IMAGE).loss, masked(IMAGE).loss)
    torch.testing.assert_close(plain(IMAGE).gradient, masked(IMAGE).gradient)


def test_a_region_that_vanishes_at_coarse_layers_stays_finite(tiny_network: VGG19):
    corner = torch.zeros(2, 40, 56, dtype=torch.float64)
    corner[0], corner[1, 38:, 54:] = 1, 1  # floor pooling drops it from relu5_1 on
    target = style_moments(tiny_network, STYLE, list(WEIGHTS.style_layers), masks=corner)
    evaluation = Objective(tiny_network, CONTENT, target, WEIGHTS, masks=corner)(IMAGE)
    assert evaluation.loss.isfinite()
    assert evaluation.gradient.isfinite().all()


def test_what_is_protected_is_not_moved_and_counts_for_no_style(tiny_network: VGG19):
    protected = torch.rand(1, 1, 40, 56, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    protected[..., 10:20] = 1
    target = style_moments(tiny_network, STYLE, list(WEIGHTS.style_layers))
    f = Objective(tiny_network, CONTENT, target, WEIGHTS, protected=protected)
    g = Objective(tiny_network, CONTENT, target, WEIGHTS, masks=1 - protected[0])
    torch.testing.assert_close(f(IMAGE).loss, g(torch.lerp(IMAGE, CONTENT, protected)).loss)
    assert f(IMAGE).gradient[..., 10:20].abs().max() == 0
    direction = torch.randn(IMAGE.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = (f(IMAGE + 1e-6 * direction).loss - f(IMAGE - 1e-6 * direction).loss) / 2e-6
    torch.testing.assert_close((f(IMAGE).gradient * direction).sum(), slope, rtol=1e-6, atol=0)


def test_half_precision_points_the_same_way():
    """The network in bfloat16, sums and losses in float32: what a graphics card does, run here on the CPU."""
    content, style, image = (random_image(64, 96, seed) for seed in range(3))
    weights = TermWeights({"relu3_1": 1.0}, {"relu1_1": 1.0, "relu3_1": 1.0})
    evaluations = []
    for dtype in (torch.float32, torch.bfloat16):
        network = VGG19(load_vgg(), dtype=dtype)
        f = Objective(network, content, style_moments(network, style, list(weights.style_layers)), weights)
        evaluations.append(f(image))
    exact, half = evaluations
    assert half.loss.dtype == half.gradient.dtype == torch.float32
    torch.testing.assert_close(half.loss, exact.loss, rtol=0.02, atol=0)
    assert torch.cosine_similarity(half.gradient.flatten(), exact.gradient.flatten(), dim=0) > 0.98
