import math
import platform
import re
from pathlib import Path

import pytest
import torch
from conftest import random_image, tiny_weights

from impasto.errors import SettingsError
from impasto.methods.schedule import schedule
from impasto.network.vgg import VGG19
from impasto.objective.memory import HISTORIES, RESERVE, free_in_container, give_back, in_use, memory_budget, plan
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.painting import Painter, paint_steps
from impasto.settings import Settings

CPU = torch.device("cpu")
LAYERS, CONTENT_LAYERS = ["relu1_1", "relu3_1", "relu4_1"], ["relu3_1"]
GB = 10**9


@pytest.mark.parametrize(
    ("text", "size"), [("40GB", 40e9), ("40 gb", 40e9), ("40960MB", 40.96e9), ("40GiB", 40 * 2**30), ("0.1TB", 1e11)]
)
def test_amounts_of_memory(text: str, size: float):
    """What is in use already counts."""
    assert memory_budget(text, CPU) == pytest.approx(size - in_use(CPU), abs=1e8)


@pytest.mark.parametrize("text", ["", "4", "GB", "-4GB", "0GB", "4 XB", "a lot", "1e3GB", "4GB 2"])
def test_what_is_no_amount_of_memory_is_refused(text: str):
    with pytest.raises(SettingsError, match="4GB, 1500MB or auto"):
        memory_budget(text, CPU)


def test_a_share_of_what_is_free_is_the_default():
    assert 0 < memory_budget("auto", CPU) < 2**50


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_free_goes_back_to_the_system():
    """What lies before a piece that is in use stays with the process until it is asked for."""
    pieces = [bytes([1]) * 2**16 for _ in range(2000)]
    del pieces[:-1]
    before = in_use(CPU)
    give_back()
    assert before - in_use(CPU) > 2**26


def test_more_memory_is_never_dearer():
    """Whole when it fits; else larger tiles, longer histories and kept features, until nothing fits."""
    ways = [plan(4096, 3072, LAYERS, CONTENT_LAYERS, budget) for budget in range(3 * GB, 60 * GB, GB // 2)]
    assert [way.effort for way in ways] == sorted((way.effort for way in ways), reverse=True)
    assert ways[0].side
    assert (ways[-1].side, ways[-1].history, ways[-1].remember) == (None, HISTORIES[0], True)
    for way, budget in zip(ways, range(3 * GB, 60 * GB, GB // 2), strict=True):
        assert way.memory <= budget
    with pytest.raises(SettingsError, match=r"needs \d\.\d\d GB.*raise memory"):
        plan(4096, 3072, LAYERS, CONTENT_LAYERS, GB)


@pytest.mark.parametrize(("height", "width"), [(2048, 2048), (200, 150)])
def test_plans_leave_a_reserve_unless_nothing_else_fits(height: int, width: int):
    """The least that is possible still is, in tiles or, where a picture is smaller than those, whole."""
    with pytest.raises(SettingsError) as refused:
        plan(height, width, LAYERS, CONTENT_LAYERS, GB // 10)
    least = (float(re.search(r"needs (\d\.\d\d) GB", str(refused.value))[1]) + 0.005) * 1e9  # type: ignore[index]
    assert plan(height, width, LAYERS, CONTENT_LAYERS, least).memory == pytest.approx(least, abs=1e7)
    for budget in (1.2 * least, 2 * least, 5 * least):
        assert plan(height, width, LAYERS, CONTENT_LAYERS, budget).memory <= (1 - RESERVE) * budget


def test_without_a_limit_everything_is_whole():
    assert {scale.plan.side for scale in schedule(4096, 4096, Settings())} == {None}
    assert plan(4096, 4096, LAYERS, CONTENT_LAYERS, math.inf).work == 1


def test_too_little_memory_is_said_before_any_work():
    with pytest.raises(SettingsError, match="raise memory"):
        paint_steps(random_image(64, 48), random_image(48, 64), Settings(size=64, memory="1MB"))


def test_when_memory_runs_out_smaller_tiles_are_used(tiny_network: VGG19):
    """A graphics card with room for 200 x 200 pixels."""

    class Card(VGG19):
        def __init__(self) -> None:
            self.__dict__ = dict(tiny_network.__dict__)
            self.refused = 0

        def walk(self, image, layers):
            if image.shape[-2] * image.shape[-1] > 200 * 200 and image.requires_grad:
                self.refused += 1
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return tiny_network.walk(image, layers)

    content, style, image = (random_image(300, 260, seed, torch.float64) for seed in range(3))
    weights = TermWeights({"relu2_1": 1.0}, {"relu1_1": 1.0, "relu3_1": 1.0})
    target = style_moments(tiny_network, style, list(weights.style_layers))
    card = Card()
    objective = Objective(card, content, target, weights)
    found = objective(image)
    expected = Objective(tiny_network, content, target, weights)(image)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-8, atol=1e-14)
    refused = card.refused
    objective(image)
    assert refused == card.refused > 0


def test_memory_may_run_out_while_the_objective_is_built(tiny_network: VGG19):
    class Card(VGG19):
        def __init__(self) -> None:
            self.__dict__ = dict(tiny_network.__dict__)

        def walk(self, image, layers):
            if image.shape[-2] * image.shape[-1] > 200 * 200:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return tiny_network.walk(image, layers)

    content, image = random_image(300, 260, dtype=torch.float64), random_image(300, 260, 1, torch.float64)
    weights = TermWeights({"relu2_1": 1.0}, {})
    found = Objective(Card(), content, {}, weights)(image)
    expected = Objective(tiny_network, content, {}, weights)(image)
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("own", "folder", "names", "prefix"),
    [
        ("0::/box", "box", ("memory.max", "memory.current"), ""),
        ("4:memory:/box\n1:cpu:/", "memory/box", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_"),
    ],
    ids=["version 2", "version 1"],
)
def test_files_in_memory_are_free_in_a_container(
    tmp_path: Path, own: str, folder: str, names: tuple[str, str], prefix: str
):
    """Numbers seen in a real group of 2 GiB after 700 MB had been read: it counted them as used."""
    group = tmp_path / folder
    group.mkdir(parents=True)
    for name, value in zip(names, ("2147483648", "992677888"), strict=True):
        (group / name).write_text(value + "\n")
    (group / "memory.stat").write_text(
        f"total_cache 971800576\n{prefix}inactive_file 891453440\n{prefix}active_file 80347136\n".removeprefix(
            "" if prefix else "total_cache 971800576\n"
        )
    )
    (tmp_path / "own").write_text(own)
    assert free_in_container(tmp_path, tmp_path / "own") == 2147483648 - 992677888 + 891453440 + 80347136
    assert free_in_container(tmp_path / "none", tmp_path / "own") > 2**60


def test_out_of_memory_at_the_smallest_tile_is_an_error(tiny_network: VGG19):
    content = random_image(64, 48, dtype=torch.float64)
    weights = TermWeights({}, {"relu1_1": 1.0})
    objective = Objective(tiny_network, content, style_moments(tiny_network, content, ["relu1_1"]), weights)

    objective.network = Refusing(tiny_network)  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="allocate"):
        objective(content)


def test_a_picture_that_wraps_around_is_not_cut_into_tiles_when_memory_runs_out():
    network = VGG19(tiny_weights(), padding="circular", dtype=torch.float64)
    content = random_image(512, 512, dtype=torch.float64)
    weights = TermWeights({}, {"relu1_1": 1.0})
    objective = Objective(network, content, style_moments(network, content, ["relu1_1"]), weights)
    objective.network = Refusing(network)  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="allocate"):
        objective(content)
    assert objective.side is None


class Refusing:
    """A network on a device that has no memory left."""

    def __init__(self, network: VGG19) -> None:
        self.padding = network.padding

    def walk(self, image, layers):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


def test_adam_remembers_less_and_so_needs_less():
    size = 1024, 1024
    lbfgs, adam = (schedule(*size, Settings(optimizer=name))[-1].plan for name in ("lbfgs", "adam"))
    assert adam.memory < lbfgs.memory - 17 * 12 * 1024 * 1024


def test_a_fine_scale_holds_no_filters_that_it_does_not_use():
    painter = Painter(weights=tiny_weights(dtype=torch.float32))
    pictures = random_image(100, 400), random_image(40, 60, seed=2)
    for size, kept in ((64, True), (400, False)):
        painter.paint(*pictures, size=size, quality="draft", evaluations=4, device="cpu")
        assert ("filters" in vars(painter.models.vgg().convolutions["conv4_2"])) is kept
