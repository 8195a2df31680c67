import pytest
import torch

from impasto import settings
from impasto.images.color import matrix_root
from impasto.objective.losses import (
    STYLE_LOSSES,
    content_loss,
    deviation_loss,
    gram_loss,
    gram_size,
    laplacian,
    square_size,
    total_variation,
    wasserstein_loss,
)
from impasto.objective.moments import Moments, moments


def gram_matrix(rows: list[list[float]]) -> Moments:
    return Moments(torch.ones(1), torch.zeros(1, 2), torch.tensor([rows]))


def test_content_loss_by_hand():
    assert content_loss(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 4.0, 4.0])) == 5.0


def test_gram_loss_by_hand():
    output, style = gram_matrix([[1.0, 2.0], [2.0, 3.0]]), gram_matrix([[1.0, 0.0], [0.0, 0.0]])
    assert gram_loss(output, style) == (4 + 4 + 9) / 4
    assert gram_size(style) == 1 / 4


def test_gram_loss_is_the_papers_up_to_its_constants():
    """Eq. 4 of Gatys et al. (2016) sums G over M positions and divides by 4 N² M²: a quarter of ours."""
    generator = torch.Generator().manual_seed(0)
    output, style = torch.rand(2, 1, 3, 4, 5, generator=generator, dtype=torch.float64)
    n, m = 3, 4 * 5
    grams = [x.flatten(2)[0] @ x.flatten(2)[0].mT for x in (output, style)]
    papers = (grams[0] - grams[1]).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close(gram_loss(moments(output), moments(style))[0] / 4, papers)


def normal(mean: list[float], covariance: list[list[float]]) -> Moments:
    """Moments of one position with this mean and covariance."""
    mu, c = torch.tensor([mean], dtype=torch.float64), torch.tensor([covariance], dtype=torch.float64)
    return Moments(torch.ones(1, dtype=torch.float64), mu, c + mu[:, :, None] * mu[:, None, :])


def cloud(seed: int, channels: int = 5, positions: int = 60) -> torch.Tensor:
    """Features (1, channels, positions, 1), correlated and off zero."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    return (mix @ torch.rand(channels, positions, generator=generator, dtype=torch.float64) + seed)[None, :, :, None]


def test_deviation_and_wasserstein_loss_by_hand():
    """Without correlation both are the sum of squared differences of means and of deviations."""
    output, style = normal([1, 2], [[4, 0], [0, 9]]), normal([3, 2], [[1, 0], [0, 25]])
    expected = 2**2 + 0 + (2 - 1) ** 2 + (3 - 5) ** 2
    assert float(deviation_loss(output, style)) == pytest.approx(expected, rel=1e-4)
    assert float(wasserstein_loss(output, style)) == pytest.approx(expected, rel=1e-3)
    assert float(square_size(style)) == 9 + 4 + 1 + 25


def test_correlation_is_seen_by_wasserstein_and_not_by_deviation():
    """Two normals on the two diagonals: tr A + tr B - 2 tr (A B)^1/2, with A B = 0."""
    output, style = normal([0, 0], [[1, 1], [1, 1]]), normal([0, 0], [[1, -1], [-1, 1]])
    assert float(deviation_loss(output, style)) == pytest.approx(0, abs=1e-12)
    assert float(wasserstein_loss(output, style)) == pytest.approx(4, rel=0.05)


def test_wasserstein_loss_slowly():
    """Bures' formula with square roots of matrices, and its gradient in closed form."""
    output, style = moments(cloud(1)), moments(cloud(2))
    a, b = output.covariance[0], style.covariance[0]
    root = matrix_root(b)
    inner = matrix_root(root @ a @ root)
    gap = (output.mean - style.mean).square().sum()
    expected = gap + torch.trace(a + b - 2 * inner)
    torch.testing.assert_close(wasserstein_loss(output, style)[0], expected, rtol=1e-3, atol=0)

    second = output.second.clone().requires_grad_()
    wasserstein_loss(Moments(output.count, output.first, second), style).backward()
    of_covariance = torch.eye(5, dtype=torch.float64) - root @ torch.linalg.inv(inner) @ root
    assert second.grad is not None
    close = torch.linalg.matrix_norm(second.grad[0] * 60 - of_covariance) / torch.linalg.matrix_norm(of_covariance)
    assert close < 0.05  # the ridge


def test_distances_in_feature_space_do_not_see_a_rotation():
    """Wasserstein's is that of the two clouds, however the axes lie; deviations are of single channels."""
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    turned = [moments((turn @ cloud(seed)[0, :, :, 0])[None, :, :, None]) for seed in (1, 2)]
    straight = [moments(cloud(seed)) for seed in (1, 2)]
    torch.testing.assert_close(wasserstein_loss(*turned), wasserstein_loss(*straight))
    assert abs(float(deviation_loss(*turned) / deviation_loss(*straight)) - 1) > 0.01


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_features_that_do_not_vary_have_finite_gradients(name: str):
    """Flat skies, dead channels, fewer positions than channels, twice the same eigenvalue; in float32."""
    flat = torch.ones(1, 5, 4, 4)
    dead = torch.rand(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    dead[:, 2:4] = 0
    few = dead[..., :1, :2]
    loss = STYLE_LOSSES[name]
    for style in (flat, dead, few, torch.zeros_like(flat)):
        for output in (flat, dead, few, torch.zeros_like(flat)):
            x = output.clone().requires_grad_()
            value = loss.distance(moments(x), moments(style))
            value.sum().backward()
            assert x.grad is not None
            assert value.isfinite().all()
            assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_vanish_on_the_style_itself_and_have_true_gradients(name: str):
    loss = STYLE_LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    output, style = torch.rand(2, 1, 3, 4, 5, generator=generator, dtype=torch.float64)
    target = moments(style)
    assert float(loss.distance(target, target)) == pytest.approx(0, abs=1e-12)
    assert loss.distance(moments(output), target) > 0
    assert loss.size(target) > 0
    assert torch.autograd.gradcheck(lambda x: loss.distance(moments(x), target), output.requires_grad_())


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_regions_are_compared_one_by_one(name: str):
    loss = STYLE_LOSSES[name]
    pairs = [(moments(cloud(seed)), moments(cloud(seed + 1))) for seed in (1, 2, 3)]
    stacked = [Moments(*(torch.cat([getattr(m, f) for m in side]) for f in ("count", "first", "second")))
               for side in zip(*pairs, strict=True)]  # fmt: skip
    torch.testing.assert_close(loss.distance(*stacked), torch.cat([loss.distance(*pair) for pair in pairs]))
    torch.testing.assert_close(loss.size(stacked[1]), torch.cat([loss.size(style) for _, style in pairs]))


def test_the_settings_know_every_style_loss():
    assert tuple(STYLE_LOSSES) == settings.STYLE_LOSS_NAMES


def test_laplacian_by_hand():
    """Cells of 2 x 2 pixels: 0 6 0 / 0 0 0, means over channels; the border repeats itself."""
    image = torch.zeros(1, 3, 5, 7)
    image[:, 1, 0:2, 2:4] = 18
    assert laplacian(image, 2).tolist() == [[[[-6.0, 18.0, -6.0], [0.0, -6.0, 0.0]]]]
    assert laplacian(torch.full((1, 3, 40, 56), 0.7), 4).abs().max() < 1e-6


def test_total_variation_by_hand():
    image = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 0.0, 3.0]]]])
    down, right = total_variation(image)
    assert (down.sum(), right.sum()) == (0 + 1 + 4, 1 + 0 + 0 + 9)
