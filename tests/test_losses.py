import pytest
import torch

from impasto.losses import STYLE_LOSSES, content_loss, gram_loss, gram_size, total_variation
from impasto.moments import Moments, moments


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
    torch.testing.assert_close(gram_loss(moments(output), moments(style)) / 4, papers)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_vanish_on_the_style_itself_and_have_true_gradients(name: str):
    loss, size = STYLE_LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    output, style = torch.rand(2, 1, 3, 4, 5, generator=generator, dtype=torch.float64)
    target = moments(style)
    assert loss(target, target) == pytest.approx(0, abs=1e-12)
    assert loss(moments(output), target) > 0
    assert size(target) > 0
    assert torch.autograd.gradcheck(lambda x: loss(moments(x), target), output.requires_grad_())


def test_total_variation_by_hand():
    image = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 0.0, 3.0]]]])
    down, right = total_variation(image)
    assert (down.sum(), right.sum()) == (0 + 1 + 4, 1 + 0 + 0 + 9)
