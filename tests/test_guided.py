import pytest
import torch
import torch.nn.functional as F
from conftest import random_image

from impasto.images import guided
from impasto.images.guided import filtered, fitted

FACTORS = torch.tensor([[0.5, -0.2, 0.1], [0.3, 0.8, -0.4]])


def linear(guide: torch.Tensor) -> torch.Tensor:
    """(1, 2, height, width): a linear function of its colours."""
    return torch.einsum("ci,bihw->bchw", FACTORS.to(guide), guide) + 0.25


def everywhere(guide: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(guide[:, :1])


@pytest.mark.parametrize("size", [(24, 31), (24, 50), (61, 80), (7, 9)])
def test_what_is_linear_in_the_guide_comes_back_at_any_size(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]):
    monkeypatch.setattr(guided, "STRIP", 16)
    guide = random_image(24, 31).double()
    functions = fitted(guide, linear(guide), everywhere(guide), 3, 1e-9)
    other = random_image(*size, seed=3).double()
    torch.testing.assert_close(filtered(functions, other), linear(other), atol=1e-5, rtol=0)


def test_functions_lie_between_those_of_a_smaller_image(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guided, "STRIP", 16)
    functions, guide = torch.randn(1, 8, 9, 12, generator=torch.Generator().manual_seed(0)), random_image(61, 80)
    each = F.interpolate(functions, size=(61, 80), mode="bilinear", align_corners=False).view(2, 4, 61, 80)
    expected = (each[:, :3] * guide).sum(1) + each[:, 3]
    torch.testing.assert_close(filtered(functions, guide)[0], expected)


def test_each_side_of_an_edge_is_changed_alike():
    guide = torch.zeros(1, 3, 20, 40)
    guide[..., 20:] = 0.8
    wanted = 0.2 * random_image(20, 40, seed=1)
    wanted[..., 20:] += 0.5
    smooth = filtered(fitted(guide, wanted, everywhere(guide), 9, 1e-3), guide)
    inside = smooth[..., 5:15, 10:30]
    assert inside[..., :10].std() < 0.2 * wanted[..., :20].std()
    assert inside[..., 10:].std() < 0.2 * wanted[..., 20:].std()
    assert inside[..., 10].mean() - inside[..., 9].mean() == pytest.approx(0.5, abs=0.03)


def test_what_does_not_count_has_no_say():
    guide, wanted = random_image(20, 40), random_image(20, 40, seed=1)
    weight = everywhere(guide)
    weight[..., 20:] = 0
    spoilt = wanted.clone()
    spoilt[..., 20:] = 9
    for radius in (2, 30):
        expected = fitted(guide, wanted, weight, radius, 1e-3)
        torch.testing.assert_close(fitted(guide, spoilt, weight, radius, 1e-3), expected)
    assert not fitted(guide, wanted, 0 * weight, 2, 1e-3).any()
