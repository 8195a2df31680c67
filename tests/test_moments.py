import pytest
import torch

from impasto.objective.moments import Moments, blend, moments


def by_hand() -> torch.Tensor:
    return torch.tensor([[[[3.0, 0.0, 3.0]], [[0.0, 3.0, 3.0]]]])  # B=1 C=2 H=1 W=3


def assert_same(a: Moments, b: Moments) -> None:
    for name in ("count", "first", "second"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name))


def test_moments_by_hand():
    m = moments(by_hand())
    torch.testing.assert_close(m.count, torch.tensor([3.0]))
    torch.testing.assert_close(m.first, torch.tensor([[6.0, 6.0]]))
    torch.testing.assert_close(m.second, torch.tensor([[[18.0, 9.0], [9.0, 18.0]]]))
    torch.testing.assert_close(m.gram, torch.tensor([[[6.0, 3.0], [3.0, 6.0]]]))
    torch.testing.assert_close(m.mean, torch.tensor([[2.0, 2.0]]))
    torch.testing.assert_close(m.covariance, torch.tensor([[[2.0, -1.0], [-1.0, 2.0]]]))
    torch.testing.assert_close(m.deviation, torch.tensor([[2.0, 2.0]]).sqrt())


def test_moments_forget_positions():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 5, 6, 7, dtype=torch.float64, generator=generator)
    order = torch.randperm(6 * 7, generator=generator)
    assert_same(moments(features.flatten(2)[..., order].view_as(features)), moments(features))


def test_moments_of_parts_add_up():
    features = torch.rand(1, 5, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert_same(moments(features[..., :3]) + moments(features[..., 3:]), moments(features))


def test_masks_select_positions_and_weigh_them():
    features = torch.rand(1, 5, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left = torch.zeros(6, 7, dtype=torch.float64)
    left[:, :3] = 1
    masked = moments(features, torch.stack([left, (1 - left) / 2]))
    first, second = moments(features[..., :3]), moments(features[..., 3:])
    torch.testing.assert_close(masked.gram, torch.cat([first.gram, second.gram]))
    torch.testing.assert_close(masked.count, torch.cat([first.count, second.count / 2]))


def test_half_precision_is_summed_in_float32():
    features = torch.full((1, 2, 300, 300), 1.0, dtype=torch.float16)  # the sum, 90,000, overflows float16
    assert moments(features).first.tolist() == [[90000.0, 90000.0]]


def test_blend_is_the_weighted_mean_of_gram_matrices():
    one, other = moments(by_hand()), moments(2 * by_hand()[..., :2])
    mixed = blend([one, other], [3, 1])
    torch.testing.assert_close(mixed.gram, 0.75 * one.gram + 0.25 * other.gram)
    torch.testing.assert_close(mixed.mean, 0.75 * one.mean + 0.25 * other.mean)
    torch.testing.assert_close(blend([one], [5]).covariance, one.covariance)


@pytest.mark.parametrize("regions", [0, 2])
def test_gradients_are_those_of_the_sums_written_out(regions: int):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    masks = torch.rand(regions, 4, 5, dtype=torch.float64, generator=generator) if regions else None

    def sums(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m = moments(x, masks)
        return m.first, m.second

    assert torch.autograd.gradcheck(sums, features)
    for used in (0, 1):  # a style loss may look at one of them only
        assert torch.autograd.gradcheck(lambda x, used=used: sums(x)[used], features)
