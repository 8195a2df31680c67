"""Matched targets: columns, the search for them, and their term of the objective."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from conftest import random_image

import impasto.methods.schedule
from impasto.errors import SettingsError
from impasto.images.reading import resize
from impasto.methods import starts
from impasto.methods.coarse_to_fine import minimise_scale
from impasto.methods.matched import (
    COLOR,
    CONTINUITY,
    SURE,
    Bank,
    Cells,
    bank,
    cells_of,
    columns_of,
    fits,
    laid,
    matched,
    matches,
    nearest,
    strongest,
    targets_of,
)
from impasto.methods.schedule import PIECES_FROM, Scale, schedule, without_matches
from impasto.methods.starts import firmness
from impasto.methods.styles import StyleImage
from impasto.network.layers import reach
from impasto.network.vgg import VGG19
from impasto.objective.columns import DIRECTIONS, Targets, at_cells, sees
from impasto.objective.losses import COLOR_BLURS, COLORS_SEE, blurred_colors, color_cells
from impasto.objective.memory import plan
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.objective.tiles import tiles
from impasto.painting import Painter
from impasto.settings import Settings

LAYERS = ("relu1_1", "relu3_1", "relu4_1")
WEIGHTS = TermWeights({"relu3_1": 1.0}, {"relu1_1": 1.0}, matched=0.7, matched_layers=LAYERS, colors=0.3)


def double(height: int, width: int, seed: int) -> torch.Tensor:
    return random_image(height, width, seed, torch.float64)


def indices_of(*arguments: Any, **ways: Any) -> torch.Tensor:
    return matched(*arguments, **ways).indices


def objective(network: VGG19, content: torch.Tensor, side: int | None = None, *, whole: bool = True) -> Objective:
    painting = double(40, 56, seed=2)
    pieces = bank(network, [StyleImage(painting)], LAYERS, whole=whole)
    targets = targets_of(pieces, indices_of(network, pieces, content, [1.0]))
    style = style_moments(network, painting, ["relu1_1"])
    colors = double(*content.shape[-2:], seed=4)
    return Objective(network, content, style, WEIGHTS, targets=targets, colors=colors, side=side)


def test_cells_average_close_positions_and_are_linear_between_far_ones():
    close = torch.arange(4 * 4.0).view(1, 1, 4, 4)  # of relu2_1, every 2 px: two by two cells
    assert at_cells(close, "relu2_1", *tiles(8, 8, None, 0)).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    far = torch.tensor([[[[1.0, 2.0]]]])  # of relu4_1, every 8 px, of 12 by 20 px: its second row is not there
    assert at_cells(far, "relu4_1", *tiles(12, 20, None, 0)).view(3, 5).tolist() == [[1, 1.25, 1.75, 2, 2]] * 3


def test_the_distance_is_one_minus_the_cosine_by_hand():
    targets = Targets(
        torch.tensor([[1.0, 0, 0], [3.0, 0, 4.0]]), torch.tensor([[1, 0]]), {"relu3_1": 2.0}, {"relu3_1": 3}
    )
    features = torch.tensor([[[[2.0, 0.0]], [[0.0, 2.0]], [[0.0, 0.0]]]])  # (1, 0, 0) and (0, 1, 0), times the size
    (tile,) = tiles(4, 8, None, 0)
    found = targets.of_layer("relu3_1", features, tile)
    assert targets.distance(found, tile).item() == pytest.approx((1 - 0.6) + (1 - 0.0))


@pytest.mark.parametrize("numbers", [2**21, 24, 1])
def test_the_way_back_through_cosines_is_the_same_however_many_cells_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch, numbers: int
):
    monkeypatch.setattr("impasto.objective.columns.NUMBERS", numbers)
    sizes, draw = {"relu1_1": 0.5, "relu4_1": 2.0}, torch.Generator().manual_seed(0)
    columns = torch.randn(5, 64 + 512, generator=draw, dtype=torch.float64)
    targets = Targets(columns, torch.tensor([[1, 0, 4], [2, 4, 3]]), sizes, {"relu1_1": 64, "relu4_1": 512})
    (tile,) = tiles(8, 12, None, 0)
    shapes = {"relu1_1": (1, 64, 8, 12), "relu4_1": (1, 512, 1, 2)}
    maps = {k: torch.randn(shape, generator=draw, dtype=torch.float64) for k, shape in shapes.items()}
    seen = {k: x.requires_grad_() for k, x in maps.items()}
    distance = targets.distance(sum(targets.of_layer(k, x, tile) for k, x in seen.items()), tile)
    ours = torch.cat([at_cells(x, k, tile) / sizes[k] for k, x in seen.items()], 1)
    plain = (1 - torch.cosine_similarity(ours, columns[targets.indices.flatten()])).sum()
    torch.testing.assert_close(distance, plain)
    for found, expected in zip(*(torch.autograd.grad(x, [*seen.values()]) for x in (distance, plain)), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("size", "columns"), [((160, 224), True), ((173, 239), True), ((173, 239), False)])
def test_tiles_give_the_loss_and_gradient_of_the_whole(tiny_network: VGG19, size: tuple[int, int], columns: bool):
    content, image = double(*size, seed=0), double(*size, seed=1)
    whole, tiled = (objective(tiny_network, content, side, whole=columns)(image) for side in (None, 64))
    for term in ("matched", "colors"):
        assert whole.terms[term] > 0.01
        torch.testing.assert_close(tiled.terms[term], whole.terms[term])
    torch.testing.assert_close(tiled.gradient, whole.gradient)


def test_all_directions_together_are_the_whole(tiny_network: VGG19):
    content, image = double(48, 56, seed=0), double(48, 56, seed=1)
    whole, turned = (objective(tiny_network, content, whole=columns)(image) for columns in (True, False))
    torch.testing.assert_close(
        turned.terms["matched"], whole.terms["matched"]
    )  # the network has fewer channels than 128
    torch.testing.assert_close(turned.gradient, whole.gradient)


def test_the_photograph_weighs_more_beside_targets_only(tiny_network: VGG19):
    content, image = double(37, 42, seed=0), double(37, 42, seed=1)
    f = objective(tiny_network, content)
    before = f(image).terms["content"]
    f.weights = replace(WEIGHTS, matched_content=3.0)
    torch.testing.assert_close(f(image).terms["content"], 3 * before)
    f.targets = None
    torch.testing.assert_close(f(image).terms["content"], before)


@pytest.mark.parametrize("whole", [True, False])
def test_the_gradient_is_that_of_the_loss(tiny_network: VGG19, whole: bool):
    f, image = objective(tiny_network, double(37, 42, seed=0), whole=whole), double(37, 42, seed=1)
    way = double(37, 42, seed=3) - 0.5
    step = 1e-5
    slope = (f(image + step * way).loss - f(image - step * way).loss) / (2 * step)
    torch.testing.assert_close((f(image).gradient * way).sum(), slope, rtol=1e-4, atol=1e-7)


def test_columns_in_tiles_are_those_of_the_whole(tiny_network: VGG19):
    image = double(173, 239, seed=0)
    (whole, tiled) = (columns_of(tiny_network, image, LAYERS, side) for side in (None, 64))
    torch.testing.assert_close(tiled, whole)
    directions = bank(tiny_network, [StyleImage(double(48, 64, seed=2))], LAYERS).directions
    few, few_tiled = (cells_of(tiny_network, image, directions, side) for side in (None, 64))
    torch.testing.assert_close(few_tiled.columns, few.columns)
    torch.testing.assert_close(whole @ torch.cat([directions[layer] for layer in LAYERS]), few.columns)
    assert torch.equal(few_tiled.colors, few.colors)


def test_a_bank_of_whole_columns_has_the_same_cells(tiny_network: VGG19):
    paintings = [StyleImage(double(*size, seed=2)) for size in ((48, 64), (40, 36))]
    few, whole = (bank(tiny_network, paintings, LAYERS, whole=keep) for keep in (False, True))
    assert few.columns is None
    torch.testing.assert_close(whole.cells.columns, few.cells.columns)
    torch.testing.assert_close(whole.sizes, few.sizes)
    assert whole.columns is not None
    for painting, columns in zip(paintings, torch.split(whole.columns, [12 * 16, 10 * 9]), strict=True):
        exact = columns_of(tiny_network, painting.image, LAYERS)
        sizes = torch.cat([torch.full((tiny_network.channels(k),), size) for k, size in whole.sizes.items()])
        torch.testing.assert_close(columns * sizes, exact)


def test_colours_without_strokes_are_held_by_hand(tiny_network: VGG19):
    sizes = [color_cells(n, 2 * n) for n in (8, 24, 48, 96, 256, 2048)]
    assert sizes == [(1, 2), (1, 2), (1, 2), (1, 4), (2, 4), (4, 4)]
    assert all(COLOR_BLURS * (box - 1) * cell + cell <= COLORS_SEE for cell, box in sizes)
    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 3, 6, 6)
    assert blurred_colors(ramp, 1, 2)[0, 0].tolist() == [[1.5, 2.5, 3.5]] * 3
    content = double(64, 96, seed=0)
    held = content.clone()
    held[..., 48:] = 1 - held[..., 48:]
    f = Objective(tiny_network, content, {}, replace(WEIGHTS, style=0, matched=0), colors=held)
    assert f(held).terms["colors"] == 0
    blurred = blurred_colors(held, *color_cells(64, 96))
    moved = 0.3 * 0.1**2 / (blurred - blurred.mean((2, 3), keepdim=True)).square().mean().clamp(min=1e-3)
    assert f(held + 0.1).terms["colors"].item() == pytest.approx(moved.item())


def test_colours_are_held_as_firmly_as_paintings_have_them_without_strokes():
    halves = torch.ones(1, 3, 96, 128, dtype=torch.float64)
    halves[..., :64] = 0
    fine = halves.clone()
    fine[..., ::2], fine[..., 1::2] = 0, 1  # of the same colours, which a blur makes one
    large, faint, small = (StyleImage(image) for image in (halves, halves / 2, fine))
    assert firmness([large], halves) == firmness([large], halves / 2) == 1
    assert firmness([faint], halves) == pytest.approx(0.25)
    assert firmness([small], halves) < 0.01
    mixed = [StyleImage(halves / 2, weight=3.0), StyleImage(fine, weight=1.0)]
    squares, mean = 0.75 * 0.5**2 / 2 + 0.25 * 0.5**2, 0.75 * 0.25 + 0.25 * 0.5
    assert firmness(mixed, halves) == pytest.approx((squares - mean**2) / 0.25, abs=0.01)
    assert firmness([StyleImage(halves[..., 62:66, :3])], halves) < 0.01  # small figures as well
    assert firmness([large], torch.full_like(halves, 0.5)) == 1
    red, blue = (torch.zeros(1, 3, 96, 128).index_fill(1, torch.tensor(channel), 1.0) for channel in (0, 2))
    assert firmness([StyleImage(red), StyleImage(blue)], torch.cat([red[..., :64], blue[..., :64]], 3)) == 1


def test_a_painting_of_small_figures_holds_hardly_any_colours(tiny_painter: Painter, monkeypatch: pytest.MonkeyPatch):
    content = torch.zeros(1, 3, 96, 128)
    content[..., 64:] = 1
    figures = torch.zeros(1, 3, 96, 128)
    figures[..., ::2] = 1
    held = []

    def recorded(network: VGG19, scale: Scale, *arguments: object) -> object:
        held.append(scale.weights.colors / scale.weights.content)
        return minimise_scale(network, scale, *arguments)

    monkeypatch.setattr("impasto.methods.coarse_to_fine.minimise_scale", recorded)
    for painting in (content, figures):
        tiny_painter.paint(content, painting, size=128, quality="draft", method="matched", evaluations=2, device="cpu")
    assert held[:2] == pytest.approx([2, 2], rel=0.1)
    assert held[-1] < 0.1  # where its figures are seen


@pytest.mark.parametrize(("cell", "box"), [(1, 4), (2, 4), (4, 4)])
def test_colours_pull_smoothly_so_that_no_grid_is_painted(cell: int, box: int):
    image = torch.zeros(1, 3, 96, 96, requires_grad=True)
    blurred = blurred_colors(image, cell, box)
    (pull,) = torch.autograd.grad(blurred[..., blurred.shape[-2] // 2, blurred.shape[-1] // 2].sum(), image)
    along = pull[0, 0].sum(0)
    assert pull.sum() == pytest.approx(3)
    assert along.diff().abs().max() < 0.4 * along.max()  # of one box it is all of it
    assert torch.count_nonzero(along) == (COLOR_BLURS * (box - 1) + 1) * cell


def test_a_painting_matched_with_itself_is_itself(tiny_network: VGG19):
    painting = double(44, 60, seed=2)
    pieces = bank(tiny_network, [StyleImage(painting)], LAYERS)
    for continuing in (False, True):
        indices = indices_of(tiny_network, pieces, painting, [1.0], continuing=continuing)
        assert (indices.flatten() == torch.arange(len(pieces))).double().mean() > 0.95


@pytest.mark.parametrize("size", [(176, 240), (189, 211)])
def test_a_search_from_half_the_size_finds_a_painting_in_itself(tiny_network: VGG19, size: tuple[int, int]):
    painting = resize(double(24, 32, seed=2), *size)  # smooth, so that half of it is like the whole
    pieces = bank(tiny_network, [StyleImage(painting)], LAYERS)
    everywhere, nearby = (indices_of(tiny_network, pieces, painting, [1.0], most=most) for most in (2**30, 2**20))
    own = torch.arange(len(pieces)).view(everywhere.shape)
    assert (everywhere == own).double().mean() > 0.95
    assert (nearby == own).double().mean() > 0.9


def test_a_search_from_half_the_size_is_nearly_as_good_as_one_in_all(tiny_network: VGG19):
    painting, image = resize(double(20, 28, seed=2), 160, 224), resize(double(24, 18, seed=5), 192, 144)
    pieces = bank(tiny_network, [StyleImage(painting)], LAYERS)
    keys = pieces.keys(pieces.cells)
    queries = pieces.keys(cells_of(tiny_network, image, pieces.directions))
    theirs, ours = keys - keys.mean(0), queries - queries.mean(0)
    least = [indices_of(tiny_network, pieces, image, [1.0], most=most).flatten() for most in (2**30, 2**20)]
    least.append(torch.randint(len(pieces), least[0].shape, generator=torch.Generator().manual_seed(0)))
    full, near, by_chance = (1 - torch.cosine_similarity(ours, theirs[found]).mean() for found in least)
    assert near - full < 0.3 * (by_chance - full)


def test_a_search_from_half_the_size_keeps_regions_and_shares(tiny_network: VGG19):
    left = torch.zeros(2, 96, 128, dtype=torch.float64)
    left[0, :, :64], left[1, :, 64:] = 1, 1
    top = torch.zeros(2, 160, 144, dtype=torch.float64)
    top[0, :80], top[1, 80:] = 1, 1
    image = double(160, 144, seed=3)
    pieces = bank(tiny_network, [StyleImage(double(96, 128, seed=2), masks=left)], LAYERS)
    across = indices_of(tiny_network, pieces, image, [1.0], top, most=2**19) % 32  # the painting is 32 cells wide
    assert (across[:20] < 16).all()
    assert (across[20:] >= 16).all()
    pieces = bank(tiny_network, [StyleImage(double(96, 128, seed=s)) for s in (2, 4)], LAYERS)
    indices = indices_of(tiny_network, pieces, image, [0.3, 0.7], most=2**19)
    assert (indices >= 24 * 32).double().mean() == pytest.approx(0.7, abs=0.1)


def agreeing(source: Bank, indices: torch.Tensor) -> float:
    """The share of neighbours, of those to the right and below, whose pieces lie so in one painting as well."""
    columns = source.grids[source.owners[indices], 1]
    across = (indices[:, 1:] == indices[:, :-1] + 1).double().mean()
    down = (indices[1:] == indices[:-1] + columns[:-1]).double().mean()
    return float(across + down) / 2


def slowly_continuing(
    source: Bank, cells: Cells, indices: torch.Tensor, region: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Once, one cell after another: what is found, and how well it fits."""
    all_keys, all_queries = (source.keys(some) for some in (source.cells, cells))
    rows, columns = indices.shape
    found, cosines = indices.clone(), torch.zeros(indices.shape, dtype=all_keys.dtype)
    for y, x in product(range(rows), range(columns)):
        own = int(indices[y, x])
        votes = {own: 0}
        for down, across in product((-1, 0, 1), repeat=2):
            if (down, across) == (0, 0) or not (0 <= y + down < rows and 0 <= x + across < columns):
                continue
            theirs = int(indices[y + down, x + across])
            owner = int(source.owners[theirs])
            height, width = source.grids[owner].tolist()
            place = theirs - int(source.firsts[owner])
            row, column = place // width - down, place % width - across
            if not (0 <= row < height and 0 <= column < width) or owner != source.owners[own]:
                continue
            piece = int(source.firsts[owner]) + row * width + column
            if region is None or source.regions is None or source.regions[region[y, x], piece]:
                votes[piece] = votes.get(piece, 0) + 1
        number = y * columns + x
        mine, alike = source.owners == source.owners[own], torch.ones(rows * columns, dtype=torch.bool)
        if region is not None and source.regions is not None:
            mine, alike = mine & source.regions[region[y, x]], region.flatten() == region[y, x]
        keys, queries = all_keys - all_keys[mine].mean(0), all_queries - all_queries[alike].mean(0)
        fit = {piece: float(torch.cosine_similarity(keys[piece], queries[number], dim=0)) for piece in votes}
        ahead = CONTINUITY / 8 * max(0.0, fit[own]) ** SURE
        best = max(votes, key=lambda piece: fit[piece] + ahead * votes[piece])
        found[y, x], cosines[y, x] = best, fit[best]
    return found, cosines


@pytest.mark.parametrize("most", [2**23, 1])
@pytest.mark.parametrize("regions", [False, True])
def test_pieces_that_continue_their_neighbours_are_ahead(
    tiny_network: VGG19, monkeypatch: pytest.MonkeyPatch, most: int, regions: bool
):
    monkeypatch.setattr("impasto.methods.matched.CHUNK", most)  # rows at once
    monkeypatch.setattr("impasto.methods.matched.TURNS", 1)
    left, top = torch.zeros(2, 64, 80, dtype=torch.float64), torch.zeros(2, 48, 56, dtype=torch.float64)
    left[0, :, :40], left[1, :, 40:], top[0, :24], top[1, 24:] = 1, 1, 1, 1
    sizes = [(64, 80)] if regions else [(64, 80), (40, 72)]
    paintings = [
        StyleImage(resize(double(h // 8, w // 8, seed=w), h, w), masks=left if regions else None) for h, w in sizes
    ]
    source, image = bank(tiny_network, paintings, LAYERS), resize(double(6, 7, seed=3), 48, 56)
    masks, shares = top if regions else None, [1.0] if regions else [0.4, 0.6]
    plain, found = (matched(tiny_network, source, image, shares, masks, continuing=way) for way in (False, True))
    region = top.argmax(0)[::4, ::4] if regions else None
    cells = cells_of(tiny_network, image, source.directions)
    wanted, fit = slowly_continuing(source, cells, plain.indices, region)
    same = found.indices == wanted
    assert same.double().mean() > 0.99  # but where two are alike
    assert (found.indices != plain.indices).double().mean() > 0.1
    assert plain.cosines is None
    assert found.cosines is not None
    torch.testing.assert_close(found.cosines[same], fit[same], rtol=0, atol=1e-6)


@pytest.mark.parametrize("most", [2**30, 2**20])
def test_continuing_pieces_lie_beside_each_other_and_fit_nearly_as_well(tiny_network: VGG19, most: int):
    painting, image = resize(double(20, 28, seed=2), 160, 224), resize(double(24, 18, seed=5), 192, 144)
    pieces = bank(tiny_network, [StyleImage(painting)], LAYERS)
    keys = pieces.keys(pieces.cells)
    queries = pieces.keys(cells_of(tiny_network, image, pieces.directions))
    theirs, ours = keys - keys.mean(0), queries - queries.mean(0)
    plain, found = (indices_of(tiny_network, pieces, image, [1.0], most=most, continuing=way) for way in (False, True))
    assert agreeing(pieces, found) > 2 * agreeing(pieces, plain)
    near, continuing = (torch.cosine_similarity(ours, theirs[one.flatten()]).mean() for one in (plain, found))
    assert near - continuing < 0.15


def test_continuing_pieces_keep_the_shares_of_paintings(tiny_network: VGG19):
    pieces = bank(tiny_network, [StyleImage(double(96, 128, seed=s)) for s in (2, 4)], LAYERS)
    plain, found = (
        indices_of(tiny_network, pieces, double(160, 144, seed=3), [0.3, 0.7], continuing=way) for way in (False, True)
    )
    assert torch.equal(pieces.owners[found], pieces.owners[plain])


def slowly_laid(paintings: list[torch.Tensor], indices: torch.Tensor) -> torch.Tensor:
    """Of one pixel after another."""
    places = [
        (p, y, x)
        for p, one in enumerate(paintings)
        for y in range(one.shape[-2] // 4)
        for x in range(one.shape[-1] // 4)
    ]
    window = torch.hann_window(14, dtype=torch.float64)[1:-1]
    rows, columns = indices.shape
    found = torch.zeros(1, 3, 4 * rows, 4 * columns, dtype=torch.float64)
    for y, x in product(range(4 * rows), range(4 * columns)):
        total, weights = torch.zeros(3, dtype=torch.float64), 0.0
        for r, c in product(range(y // 4 - 1, y // 4 + 2), range(x // 4 - 1, x // 4 + 2)):
            if not (0 <= r < rows and 0 <= c < columns):
                continue
            number, down, across = places[int(indices[r, c])]
            top, left = 4 * down + y - 4 * r, 4 * across + x - 4 * c
            if 0 <= top < paintings[number].shape[-2] // 4 * 4 and 0 <= left < paintings[number].shape[-1] // 4 * 4:
                weight = float(window[y - 4 * r + 4] * window[x - 4 * c + 4])
                total, weights = total + weight * paintings[number][0, :, top, left], weights + weight
        found[0, :, y, x] = total / weights
    return found


@pytest.mark.parametrize("most", [2**23, 1])
def test_pieces_are_laid_with_what_lies_about_them(tiny_network: VGG19, monkeypatch: pytest.MonkeyPatch, most: int):
    monkeypatch.setattr("impasto.methods.matched.CHUNK", most)  # rows at once
    paintings = [double(22, 33, seed=1), double(16, 20, seed=2)]
    source = bank(tiny_network, [StyleImage(one) for one in paintings], LAYERS)
    indices = torch.randint(len(source), (5, 6), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(laid(source, indices), slowly_laid(paintings, indices))
    itself = torch.arange(5 * 8).view(5, 8)
    torch.testing.assert_close(laid(source, itself), paintings[0][..., :20, :32])


@pytest.mark.parametrize("whole", [True, False])
def test_only_the_columns_that_are_used_are_kept(tiny_network: VGG19, whole: bool):
    pieces = bank(tiny_network, [StyleImage(double(48, 64, seed=2))], LAYERS, whole=whole)
    indices = torch.tensor([[5, 99], [5, 7]])
    targets = targets_of(pieces, indices)
    assert len(targets.columns) == 3
    assert (targets.directions is None) == whole
    there_is = pieces.cells.columns if pieces.columns is None else pieces.columns
    assert torch.equal(targets.columns[targets.indices], there_is[indices])


def test_columns_are_held_in_half_precision_and_divided_by_their_size(tiny_painter: Painter):
    tiny_network = tiny_painter.models.vgg()
    pieces = bank(tiny_network, [StyleImage(random_image(48, 64, seed=2))], LAYERS, whole=True)
    assert pieces.columns is not None
    assert pieces.columns.dtype == pieces.cells.columns.dtype == torch.float16
    layers = torch.split(pieces.columns.float(), [tiny_network.channels(layer) for layer in LAYERS], 1)
    assert [float(part.square().mean()) for part in layers] == pytest.approx([1.0] * 3, rel=1e-2)


def test_the_strongest_directions_hold_most_of_what_columns_are():
    generator = torch.Generator().manual_seed(0)
    few, all_of_them = torch.randn(1000, 40, generator=generator), torch.randn(40, 300, generator=generator)
    sample = few @ all_of_them + 0.1 * torch.randn(1000, 300, generator=generator)
    basis = strongest(sample, generator)
    torch.testing.assert_close(basis.mT @ basis, torch.eye(DIRECTIONS), atol=1e-5, rtol=0)
    assert (sample @ basis).square().sum() / sample.square().sum() > 0.999


def test_the_nearest_is_that_of_a_slow_search():
    generator = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(n, 5, generator=generator) + 3 for n in (13, 17))
    a, b = queries - queries.mean(0), keys - keys.mean(0)
    slow = [max(range(17), key=lambda j, q=q: float(torch.cosine_similarity(q, b[j], dim=0))) for q in a]
    assert nearest(queries, keys, coverage=0.0)[1].tolist() == slow


def test_with_coverage_more_pieces_are_used():
    generator = torch.Generator().manual_seed(1)
    queries, keys = (torch.randn(n, 6, generator=generator) for n in (400, 60))
    queries[:200] = keys[0] + 0.3 * queries[:200]
    used = [len(nearest(queries, keys, coverage)[1].unique()) for coverage in (0.0, 0.2)]
    assert used[1] > used[0]


def test_masks_restrict_what_a_region_is_matched_with(tiny_network: VGG19):
    painting, content = double(48, 64, seed=2), double(40, 72, seed=3)
    left = torch.zeros(2, 48, 64, dtype=torch.float64)
    left[0, :, :32], left[1, :, 32:] = 1, 1
    top = torch.zeros(2, 40, 72, dtype=torch.float64)
    top[0, :20], top[1, 20:] = 1, 1
    pieces = bank(tiny_network, [StyleImage(painting, masks=left)], LAYERS)
    indices = indices_of(tiny_network, pieces, content, [1.0], top)
    across = indices % 16  # the painting is 16 cells wide
    assert (across[:5] < 8).all()
    assert (across[5:] >= 8).all()


def test_colours_have_their_share_in_what_is_compared_and_find_their_like(tiny_network: VGG19):
    painting = double(48, 64, seed=2) * 0.3
    painting[..., :32] += painting.new_tensor([0.6, 0.0, 0.0])[:, None, None]
    pieces = bank(tiny_network, [StyleImage(painting)], LAYERS)
    keys = pieces.keys(pieces.cells)
    of_columns, of_colors = (part.var(0).sum().item() for part in (keys[:, :-3], keys[:, -3:]))
    assert of_colors / of_columns == pytest.approx(COLOR)
    turned = painting.flip(-1)
    across = indices_of(tiny_network, pieces, turned, [1.0]) % 16  # the painting is 16 cells wide
    red = torch.arange(16) >= 8
    assert ((across < 8) == red).double().mean() > 0.85


def test_paintings_are_used_as_their_shares_say():
    generator = torch.Generator().manual_seed(2)
    columns = torch.rand(90, 8, generator=generator)
    cells, owners = Cells(columns, torch.zeros(90, 3)), torch.arange(90) // 45
    source = Bank(cells, None, {"relu1_1": 1.0}, {"relu1_1": torch.eye(8)}, torch.ones(3), [], owners, None)
    noisy = columns[:45].repeat(8, 1) + 0.2 * torch.randn(360, 8, generator=generator)
    indices = matches(source, Cells(noisy, torch.zeros(360, 3)), torch.arange(90), [0.3, 0.7])
    assert (indices >= 45).float().mean() == pytest.approx(0.7, abs=0.1)


def test_the_plan_counts_what_is_matched_and_its_tiles_see_far_enough():
    layers = ["relu3_1", "relu4_1"]
    for side, numbers in ((512, 256 + 512), (2048, DIRECTIONS)):  # small ones are compared whole
        plain, matched = (plan(side, side, layers, [], math.inf, matched_layers=found) for found in ((), layers))
        assert matched.memory - plain.memory == pytest.approx(side**2 / 16 * numbers * 14)
    assert sees(["relu4_1"]) == reach(["relu4_1"]) + 8
    assert sees(["relu3_1"]) == reach(["relu3_1"])
    assert replace(WEIGHTS, colors=0).reach == sees(LAYERS)
    assert WEIGHTS.reach == max(sees(LAYERS), COLORS_SEE)


def test_matched_painting_starts_at_half_the_size_of_moments():
    plain, matched = (
        schedule(384, 512, Settings(quality="draft", method=m), bleeds=True) for m in ("moments", "matched")
    )
    assert [scale.picture for scale in matched] == [(48, 64), *(scale.picture for scale in plain)]
    assert [scale.bleed for scale in matched[1:]] == [scale.bleed for scale in plain]
    assert not any(without_matches(scale).weights.matched_layers for scale in matched)


def test_every_size_is_matched():
    matched, plain = (schedule(3000, 4500, Settings(method=m), bleeds=True) for m in ("matched", "moments"))
    assert all(scale.weights.matched for scale in matched)
    assert not any(scale.weights.matched for scale in plain)


@pytest.mark.parametrize(("quality", "expected"), [("draft", False), ("good", True), ("best", True)])
def test_the_quality_says_whether_pieces_are_matched_unless_it_is_asked_for(quality: str, expected: bool):
    def matched(method: str) -> bool:
        scales = schedule(96, 128, Settings(quality=quality, method=method), bleeds=True)
        return all(scale.weights.matched > 0 for scale in scales)

    assert [matched(method) for method in ("auto", "moments", "matched")] == [expected, False, True]


def by_side(quality: str, method: str) -> dict[int, TermWeights]:
    scales = schedule(384, 512, Settings(quality=quality, method=method), bleeds=True)
    return {max(scale.picture): scale.weights for scale in scales}


@pytest.mark.parametrize(("method", "bolder"), [("matched", 1.95), ("moments", 1.6)])
def test_best_paints_fine_scales_more_boldly_since_its_evaluations_serve_the_content(method: str, bolder: float):
    draft, best = (by_side(quality, method) for quality in ("draft", "best"))
    for side, theirs in draft.items():
        more = bolder if side == 512 else 1.0
        assert best[side].style / best[side].content == pytest.approx(more * theirs.style / theirs.content)
        held = 0.0 if method == "moments" else 3.5 if side == 512 else 2.4
        assert best[side].colors / best[side].content == pytest.approx(held)


def test_good_holds_colours_most_firmly_where_it_is_decided_what_is_where_and_paints_more_boldly():
    draft, good, moments = by_side("draft", "matched"), by_side("good", "matched"), by_side("good", "moments")
    firmness = {side: weights.colors / weights.content for side, weights in good.items()}
    assert firmness == pytest.approx({64: 20, 128: 20, 256: 20, 512: 6})
    for side, theirs in draft.items():
        assert good[side].style / good[side].content == pytest.approx(1.55 * theirs.style / theirs.content)
    assert not any(weights.colors for weights in moments.values())


@pytest.mark.slow
def test_paintings_beyond_what_a_bank_holds_go_by_statistics(tiny_painter: Painter):
    large = random_image(1000, 1200, seed=4)
    assert fits([StyleImage(large)])
    assert not fits([StyleImage(large)] * 14)
    settings = {"size": 88, "quality": "draft", "method": "matched", "style_scale": 20.0}
    seen = [next(iter(tiny_painter.steps(random_image(64, 96), [large] * count, **settings))) for count in (1, 14)]
    assert ["matched" in first.losses for first in seen] == [True, False]


PICTURES = {"content": random_image(96, 192, seed=1), "style": random_image(80, 120, seed=2)}


def test_matched_and_moments_are_two_pictures_and_resume_goes_on_to_the_same(tiny_painter: Painter):
    how = {**PICTURES, "size": 192, "quality": "draft", "device": "cpu"}  # a card need not add in the same order again
    plain = tiny_painter.paint(**how, method="moments")
    steps = list(tiny_painter.steps(**how, method="matched"))
    assert all(step.losses["matched"] > 0 for step in steps)
    assert steps[-1].losses["colors"] > 0
    assert (steps[-1].image - plain).abs().mean() > 1e-3
    for at in (7, len(steps) - 3):  # at both scales
        position = steps[at].position
        assert position is not None
        rest = tiny_painter.steps(**how, method="matched", resume=position)
        assert torch.equal(list(rest)[-1].image, steps[-1].image)


@pytest.mark.parametrize("change", [lambda kept: None, lambda kept: kept + 10**6, lambda kept: kept[1:]])
def test_a_position_whose_matches_cannot_be_is_refused(tiny_painter: Painter, change: Callable):
    how = {**PICTURES, "size": 96, "quality": "draft", "method": "matched"}
    position = next(iter(tiny_painter.steps(**how))).position
    state = {**position.state, "matches": change(position.state["matches"])}
    with pytest.raises(SettingsError, match="at scale 1, is not one of this picture"):
        next(iter(tiny_painter.steps(**how, resume=replace(position, state=state))))


def test_what_is_protected_stays_where_pieces_are_matched(tiny_painter: Painter):
    image = tiny_painter.paint(
        **PICTURES, size=192, quality="draft", method="matched", protect="0%,0%,50%,100%", keep_lines=30
    )
    moved = (image.cpu() - PICTURES["content"]).abs().mean((0, 1, 2))
    assert moved[:90].max() < 1e-6
    assert moved[110:].mean() > 1e-3


def test_pieces_lie_before_the_first_evaluation_of_larger_scales(
    tiny_painter: Painter, monkeypatch: pytest.MonkeyPatch
):
    def begun(size: int) -> list[torch.Tensor]:
        """The images at the first evaluation of each scale."""
        steps = tiny_painter.steps(
            **PICTURES, size=size, quality="draft", method="matched", evaluations=3, device="cpu"
        )
        found = {}
        for step in steps:
            assert step.position is not None
            found.setdefault(step.scale, step.position.state["now"]["image"])
        return list(found.values())

    fits = []

    def recorded(image: torch.Tensor, pieces: torch.Tensor, cosines: torch.Tensor, strength: float) -> torch.Tensor:
        fits.append(cosines)
        return starts.with_pieces(image, pieces, cosines, strength)

    monkeypatch.setattr("impasto.methods.coarse_to_fine.with_pieces", recorded)
    with_paint = begun(288)
    (cosines,) = fits  # of each cell, and not all alike
    assert cosines.shape == tuple(side // 4 for side in with_paint[-1].shape[-2:])
    assert -1 <= cosines.min() < cosines.median() - 0.05 < cosines.max() <= 1.001
    monkeypatch.setattr(starts, "PIECES", 0.0)
    without = begun(288)
    assert [image.shape[-1] > PIECES_FROM for image in without] == [False, False, True]
    assert [torch.equal(a, b) for a, b in zip(with_paint, without, strict=True)] == [True, True, False]


def test_each_round_of_the_last_scale_lays_paint_anew(tiny_painter: Painter, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(impasto.methods.schedule, "ROUND", 1)
    painted = list(
        tiny_painter.steps(**PICTURES, size=208, quality="best", method="matched", evaluations=14, device="cpu")
    )
    again = [step for step in painted if step.scale == painted[-1].scale]
    before = [step for step in painted if step.scale == painted[-1].scale - 1]
    assert again[0].image.shape == before[-1].image.shape
    assert again[0].position is not None
    assert before[-1].position is not None
    first, last = (step.position.state for step in (again[0], before[-1]))
    assert not torch.equal(first["matches"], last["matches"])  # with the picture so far
    assert float((again[0].image - before[-1].image).abs().mean()) > 1e-3
    on = tiny_painter.steps(
        **PICTURES,
        size=208,
        quality="best",
        method="matched",
        evaluations=14,
        device="cpu",
        resume=again[0].position,
    )
    assert torch.equal(list(on)[-1].image, painted[-1].image)


def test_pieces_continue_each_other_where_they_are_laid(tiny_painter: Painter, monkeypatch: pytest.MonkeyPatch):
    def matches() -> list[torch.Tensor]:
        steps = tiny_painter.steps(**PICTURES, size=208, method="matched", evaluations=6, device="cpu")
        return [step.position.state["matches"] for step in steps if step.position is not None]

    usual = matches()
    monkeypatch.setattr("impasto.methods.matched.CONTINUITY", 0.0)
    without = matches()
    assert torch.equal(usual[0], without[0])  # nothing is laid at the coarsest scale
    assert not torch.equal(usual[-1], without[-1])


def test_several_paintings_are_matched(tiny_painter: Painter):
    styles = [PICTURES["style"], random_image(60, 60, seed=4)]
    image = tiny_painter.paint(
        PICTURES["content"], styles, size=96, quality="draft", method="matched", style_weight=(30, 70)
    )
    assert bool(image.isfinite().all())
