"""Teaching a network: what a step sees, that it learns, that a stopped training is the same one, and its files."""

from __future__ import annotations

import contextlib
import csv
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import training_process
from conftest import random_image, tiny_weights
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from impasto.errors import CheckpointError, ImageError, ImpastoError, SettingsError
from impasto.images.reading import to_pil
from impasto.methods.crops import Crops, random_numbers
from impasto.methods.schedule import weights_for
from impasto.methods.team import Team
from impasto.methods.training import (
    LATELY,
    MARGIN,
    PADDING,
    RATE,
    WARM,
    Judge,
    Memory,
    Recipe,
    Teaching,
    corner,
    piece_side,
    views,
)
from impasto.network.models import Models
from impasto.network.transform import PHOTOGRAPH, Shape, Transform, shares_of
from impasto.network.transform_file import load_transform
from impasto.objective.losses import STYLE_LOSSES
from impasto.objective.moments import Moments, moments
from impasto.runs.reporter import Next, Silent
from impasto.runs.training import TrainingJob, find_photographs, train_file
from impasto.settings import Settings

RECIPE = Recipe(Settings(size=128), crop=64, batch=2, validations=4, patience=0)
SHAPE = Shape(2, width=4, blocks=1)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(tiny_weights(dtype=torch.float32))


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(5):
        to_pil(random_image(90 + number, 130, seed=number)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def job(tmp_path: Path, photographs: list[Path]) -> TrainingJob:
    for number in range(2):
        to_pil(random_image(60, 80, seed=20 + number)).save(tmp_path / f"painting-{number}.png")
    paintings = tmp_path / "painting-0.png", tmp_path / "painting-1.png"
    return TrainingJob(paintings, tuple(photographs), tmp_path / "style.safetensors", RECIPE, SHAPE, steps=4)


def teaching(models: Models, recipe: Recipe = RECIPE, paintings: int = 2) -> Teaching:
    images = [random_image(100, 140, seed=number) for number in range(4)]
    learnt, validated = (Crops(images, piece_side(recipe), 128, seed) for seed in (0, 1))
    styles = [[random_image(60, 80, seed=20 + number)] for number in range(paintings)]
    sample = views(learnt.several(range(4)), [corner(recipe, number) for number in range(4)], recipe)
    judge = Judge(models.vgg(padding=PADDING), recipe, styles, sample)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Transform(replace(SHAPE, paintings=paintings))
    return Teaching(network, judge, learnt, validated, recipe)


def test_a_number_always_means_the_same_piece():
    images = [random_image(70, 100), random_image(100, 70, seed=1)]
    one, other = Crops(images, 48, 96, seed=3), Crops(images, 48, 96, seed=3)
    pieces = [one[number] for number in range(len(one))]
    for number in reversed(range(len(other))):
        assert torch.equal(other[number], pieces[number])
    assert len({piece.numpy().tobytes() for piece in pieces}) > 0.9 * len(pieces)
    assert not torch.equal(Crops(images, 48, 96, seed=4)[0], pieces[0])
    assert pieces[0].shape == (1, 3, 48, 48)


def test_neighbouring_seeds_are_not_alike():
    draws = torch.cat([torch.rand(1, generator=random_numbers(0, number)) for number in range(200)])
    assert 0.4 < draws.mean() < 0.6
    assert abs(float(torch.corrcoef(torch.stack([draws[1:], draws[:-1]]))[0, 1])) < 0.2


def test_a_broken_photograph_is_left_out(photographs: list[Path]):
    photographs[1].write_bytes(b"no picture")
    crops = Crops(photographs, 48, 96, seed=0)
    assert crops.check() == 4
    assert list(crops.broken) == [1]
    assert torch.equal(crops[1], crops[1])


def seen_of(pieces: Tensor) -> list[Tensor]:
    """What is judged of pieces, from 20 px on from above, 30 from the left."""
    return views(pieces, [(20, 30)] * len(pieces), RECIPE)


def test_what_a_step_sees_depends_on_its_number_alone(models: Models):
    one, other = teaching(models), teaching(models)
    list(islice(one.steps(), 3))
    assert [one.order(step) for step in range(1, 40)] == [other.order(step) for step in range(1, 40)]
    orders = [one.order(step) for step in range(1, 200)]
    strengths = [strength for order in orders for strength in order.strengths]
    assert 0.03 < sum(s == 0 for s in strengths) / len(strengths) < 0.1
    assert 0.08 < sum(0 < s < 1 for s in strengths) / len(strengths) < 0.18
    assert {painting for order in orders for painting in order.paintings} == {0, 1}


def test_losses_are_those_that_paint_minimises(models: Models):
    """At full size: the weights of the fine scale of a strength, and losses relative to their targets."""
    torch.manual_seed(0)
    job = teaching(models)
    photograph, painted = seen_of(random_image(128, 128)), seen_of(random_image(128, 128, seed=1))
    kept = job.judge.features(photograph)
    terms = job.judge.losses(painted, kept, torch.tensor([1]), torch.tensor([1.0]), job.judge.memory())
    weights = weights_for(RECIPE.settings, 1.0, fine=True)
    assert job.judge.targets[0].weights == weights
    same = job.judge.losses(photograph, kept, torch.tensor([1]), torch.tensor([1.0]), job.judge.memory())
    assert float(same["content"]) < 1e-3 * float(terms["content"])  # half precision is kept
    weak = job.judge.losses(painted, kept, torch.tensor([1]), torch.tensor([0.2]), job.judge.memory())
    assert float(weak["style"]) < float(terms["style"])
    assert float(weak["content"]) > float(terms["content"])


def test_what_is_judged_of_a_piece():
    """A part in its own place, and the same at half the size."""
    piece = random_image(128, 128)
    fine, half = views(piece, [(20, 30)], RECIPE)
    assert torch.equal(fine, piece[..., 20:84, 30:94])
    torch.testing.assert_close(half[..., 3, 5], piece[..., 26:28, 40:42].mean((2, 3)))


def test_a_part_lies_anywhere_in_its_piece():
    corners = [corner(RECIPE, number) for number in range(300)]
    assert corners == [corner(RECIPE, number) for number in range(300)]
    last = piece_side(RECIPE) - RECIPE.crop - MARGIN
    for places in zip(*corners, strict=True):
        assert (min(places), max(places)) == (MARGIN, last)
    assert len(set(corners)) > 200


def test_style_is_gram_and_deviation(models: Models):
    """Half of each, relative to the painting's; of a piece before which there was none."""
    judge = teaching(models).judge
    painted, kept = seen_of(random_image(128, 128, seed=1)), judge.features(seen_of(random_image(128, 128)))
    found = judge.losses(painted, kept, torch.tensor([1]), torch.tensor([1.0]), judge.memory())["style"]
    by_hand = 0.0
    for view, target in zip(painted, judge.targets, strict=True):
        share = target.weights.style / (target.weights.style + target.weights.content)
        for layer, features in judge.network(view, set(target.weights.layers)).items():
            if layer in target.style:
                own, wanted = moments(features), target.style[layer].map(lambda part: part[1:])
                for loss in (STYLE_LOSSES["gram"], STYLE_LOSSES["deviation"]):
                    gap = loss.balance * loss.distance(own, wanted) / loss.size(wanted)
                    by_hand += float(share * target.weights.style_layers[layer] * gap) / 2
    assert float(found) == pytest.approx(by_hand / 2, rel=1e-3)


def seen(*seeds: int) -> Moments:
    """Moments of feature maps of four channels, one region each."""
    each = [
        moments(random_image(6, 5, seed=seed)[:, :1] * torch.tensor([1.0, -2, 3, 0.5])[:, None, None]) for seed in seeds
    ]
    return Moments(*(torch.cat(parts) for parts in zip(*((m.count, m.first, m.second) for m in each), strict=True)))


def test_pieces_are_judged_with_those_before_them():
    """The first alone; the second with the first, which counts less the longer ago it was, but not in its gradient."""
    memory, number = Memory([{"relu3_1": 4}], 2, "cpu"), torch.tensor([1])
    first, second = seen(0), seen(1)
    torch.testing.assert_close(memory.beside(0, "relu3_1", first, number).gram, first.gram)
    memory.take(Team())
    second = Moments(second.count, second.first, second.second.requires_grad_())
    together = memory.beside(0, "relu3_1", second, number)
    left = 1 - 1 / LATELY
    torch.testing.assert_close(together.gram, (left * first.gram + second.gram) / (left + 1))
    torch.testing.assert_close(together.mean, (left * first.mean + second.mean) / (left + 1))
    (gradient,) = torch.autograd.grad(together.gram.sum(), second.second)
    torch.testing.assert_close(gradient, torch.ones_like(gradient) / second.count)
    other = memory.beside(0, "relu3_1", first, torch.tensor([0]))  # of the other painting nothing was seen
    torch.testing.assert_close(other.gram, first.gram)


def test_a_long_time_ago_is_forgotten():
    memory, number = Memory([{"relu3_1": 4}], 1, "cpu"), torch.tensor([0])
    for seed in (0, *[1] * 12 * LATELY):
        memory.beside(0, "relu3_1", seen(seed), number)
        memory.take(Team())
    torch.testing.assert_close(memory.kept[0]["relu3_1"].gram, seen(1).gram, rtol=1e-4, atol=1e-6)
    assert float(memory.kept[0]["relu3_1"].count) == pytest.approx(LATELY, rel=1e-4)


def test_weaker_pieces_are_judged_alone(models: Models):
    job = teaching(models)
    pieces = seen_of(torch.cat([random_image(128, 128), random_image(128, 128, seed=1)]))
    numbers = torch.tensor([0, 0])
    kept = job.judge.features(pieces)
    memory = job.judge.memory()
    weak = torch.tensor([0.5, 0.5])
    alone = job.judge.losses(pieces, kept, numbers, weak, memory)
    memory.take(Team())
    assert all(float(part.abs().max()) == 0 for part in memory.state().values())
    first = [{k: f[:1] for k, f in each.items()} for each in kept]
    job.judge.losses([view[:1] for view in pieces], first, numbers[:1], weak[:1] * 2, memory)
    memory.take(Team())
    again = job.judge.losses(pieces, kept, numbers, weak, memory)
    torch.testing.assert_close(again["style"], alone["style"])
    strong = [job.judge.losses(pieces, kept, numbers, weak * 2, m)["style"] for m in (memory, job.judge.memory())]
    assert float((strong[0] - strong[1])[1].abs()) > 1e-4 * float(strong[1][1])


def test_it_learns(models: Models):
    steps = list(islice(teaching(models, replace(RECIPE, validations=10)).steps(), 40))
    validations = [step.validation for step in steps if step.validation is not None]
    assert validations[-1] < 0.8 * validations[0]
    assert steps[-1].best == min(validations)


def test_going_on_is_as_never_stopped(models: Models):
    whole = teaching(models)
    list(islice(whole.steps(), 5))
    first, second = teaching(models), teaching(models)
    list(islice(first.steps(), 3))
    tensors, numbers = first.state()
    # as from a file: contiguous, and with other memory
    second.restore({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, numbers)
    list(islice(second.steps(), 2))
    for name, tensor in whole.state()[0].items():
        assert torch.equal(second.state()[0][name], tensor), name
    assert second.state()[1] == whole.state()[1]


def test_the_rate_falls_with_what_lies_behind(models: Models):
    job = teaching(models)
    steps = job.steps()
    rates = []
    for over in (0.0, 0.5, 1.0):
        job.over = over
        step = next(steps).step
        rates.append(job.optimiser.param_groups[0]["lr"] / (RATE * step / WARM))
    assert rates == pytest.approx([1.0, 0.5, 0.0])


def test_it_ends_when_nothing_is_gained(models: Models):
    stuck = teaching(models, replace(RECIPE, validations=1, patience=2))
    stuck.validate = lambda: 1.0  # type: ignore[method-assign]
    steps = list(islice(stuck.steps(), 10))
    assert len(steps) == 3  # the first is a gain, and two are not
    assert steps[-1].done


def test_a_file_of_a_training(models: Models, job: TrainingJob):
    trained = train_file(job, models, Silent())
    assert (trained.step, trained.why) == (4, "steps")
    network, about = load_transform(job.output)
    assert network.shape == SHAPE
    assert (about.names, about.steps, about.size, about.strength) == (("painting-0", "painting-1"), 4, 128, 50.0)
    with (job.folder / "curve.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "4"
    assert float(row["validation"]) == trained.validation
    with Image.open(job.folder / "pictures" / "000004.png") as picture:
        assert picture.size == (3 * 384, round(384 * 90 / 130))


def _newborn(seed: int) -> Transform:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Transform(SHAPE)


class Stops:
    """Stops after some steps."""

    def __init__(self, after: int) -> None:
        self.left, self.notes = after, []

    def step(self, now: object) -> Next:
        self.left -= 1
        return Next.STEP if self.left else Next.STOP

    def note(self, words: str) -> None:
        self.notes.append(words)

    def how_to_resume(self, folder: Path) -> str:
        return ""


def test_a_stopped_training_goes_on_to_the_same_network(models: Models, job: TrainingJob):
    job = replace(job, recipe=replace(RECIPE, settings=replace(RECIPE.settings, device="cpu")))  # where bits are kept
    whole = replace(job, output=job.output.with_stem("whole"))
    train_file(whole, models, Silent())
    stopped = train_file(job, models, Stops(2))
    assert (stopped.step, stopped.why) == (2, "stopped")
    load_transform(job.output)  # what there is can be used
    stops = Stops(100)
    assert train_file(job, models, stops).step == 4
    assert any("goes on from step 2" in note for note in stops.notes)
    assert job.output.read_bytes() == whole.output.read_bytes()
    assert train_file(job, models, Stops(100)).why == "steps"  # nothing is left to do
    assert job.output.read_bytes() == whole.output.read_bytes()
    again = replace(job, steps=1, again=True)
    assert train_file(again, models, Silent()).step == 1


def test_the_end_is_known_from_steps_and_from_minutes(models: Models, job: TrainingJob):
    """Where less is to come, the rate is lower after as many steps; and with minutes it is nothing at the end."""
    filters = []
    for number, steps in enumerate((3, 30)):
        output = job.output.with_stem(f"of-{number}")
        train_file(replace(job, output=output, steps=steps), models, Stops(3))
        filters.append(
            load_file(output.with_suffix(".training") / "state.safetensors")["network.enter.filters.0.weight"]
        )
    born = _newborn(job.recipe.seed).state_dict()["enter.filters.0.weight"]
    short, long = ((one - born).abs().mean() for one in filters)
    assert short < 0.8 * long


def test_it_goes_on_with_more_steps(models: Models, job: TrainingJob):
    train_file(job, models, Silent())
    before = load_file(job.folder / "state.safetensors")
    assert train_file(replace(job, steps=6), models, Silent()).step == 6
    after = load_file(job.folder / "state.safetensors")
    assert not torch.equal(before["network.enter.filters.0.weight"], after["network.enter.filters.0.weight"])


def test_it_ends_by_minutes(models: Models, job: TrainingJob):
    trained = train_file(replace(job, steps=None, minutes=1e-6), models, Silent())
    assert (trained.step, trained.why) == (1, "minutes")


def test_another_training_is_not_gone_on_with(models: Models, job: TrainingJob):
    train_file(replace(job, steps=1), models, Silent())
    other = replace(job, recipe=replace(job.recipe, seed=1))
    with pytest.raises(CheckpointError, match=r"holds a training of other paintings, photographs or settings"):
        train_file(other, models, Silent())
    state = job.folder / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        train_file(job, models, Silent())


def test_fine_tuning_begins_with_what_is_known(models: Models, job: TrainingJob, tmp_path: Path):
    train_file(replace(job, steps=1), models, Silent())
    third = replace(job, paintings=job.paintings[:1], start=job.output, output=tmp_path / "third.safetensors", steps=1)
    train_file(third, models, Silent())
    (old, _), (new, _) = load_transform(job.output), load_transform(third.output)
    assert new.shape == replace(old.shape, paintings=1)
    filters = "enter.filters.0.weight"
    assert (new.state_dict()[filters] - old.state_dict()[filters]).abs().max() < 1e-3  # one small step away
    image = random_image(32, 40)
    mean = old(image, shares_of([1, 1]))
    assert (new(image, shares_of([1])) - mean).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": Path("style.png")}, r"output=style.png must end in .safetensors"),
        ({"output": Path("/nowhere/style.safetensors")}, "its folder does not exist"),
        ({"recipe": replace(RECIPE, settings=Settings(strength=0))}, "strength=0 cannot be learnt"),
        ({"recipe": replace(RECIPE, settings=Settings(size="full"))}, "size=full cannot be learnt"),
        ({"recipe": replace(RECIPE, crop=100)}, "crop=100 is not allowed: choose a multiple of 32"),
        ({"recipe": replace(RECIPE, settings=Settings(style_scale=(1, 2, 3)))}, "has 3 values for 2 paintings"),
        ({"paintings": ()}, "there are 0 paintings"),
        ({"photographs": ()}, "there are 0 photographs; at least 4 are needed"),
        ({"start": Path("nothing.safetensors")}, "nothing.safetensors cannot be read"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(
    models: Models, job: TrainingJob, changes: dict[str, object], words: str
):
    with pytest.raises(ImpastoError, match=words):
        train_file(replace(job, **changes), models, Silent())
    assert not job.folder.exists()


def test_photographs_that_cannot_be_used_are_named(models: Models, job: TrainingJob, photographs: list[Path]):
    to_pil(random_image(20, 30)).save(photographs[0])
    photographs[1].write_bytes(b"no picture")
    stops = Stops(1)
    with pytest.raises(ImageError, match=r"of 5 photographs 3 can be used, 4 are needed: .*0\.png has 30 × 20 pixels"):
        train_file(job, models, stops)
    assert any("1.png" in note for note in stops.notes)


def test_a_folder_of_photographs(tmp_path: Path, photographs: list[Path]):
    inner = tmp_path / "photographs" / "more"
    inner.mkdir()
    to_pil(random_image(90, 130)).save(inner / "6.jpg")
    (inner / "words.txt").write_text("no photograph")
    assert [path.name for path in find_photographs(tmp_path / "photographs")] == [
        *(p.name for p in photographs),
        "6.jpg",
    ]
    with pytest.raises(ImageError, match="holds 1 photograph; at least 4"):
        find_photographs(inner)
    with pytest.raises(ImageError, match="is no folder"):
        find_photographs(tmp_path / "nowhere")


def test_the_photograph_comes_back_with_its_own_shares():
    """What is learnt at strength 0 is the first of the scales and shifts, whatever the painting."""
    torch.testing.assert_close(shares_of([3, 1], strength=0.0), torch.eye(3)[PHOTOGRAPH][None])


@pytest.mark.slow
def test_two_processes_teach_as_one(tmp_path: Path, photographs: list[Path]):
    """Started by torchrun, each takes half of the pieces of a step, and the gradients are added."""
    to_pil(random_image(60, 80, seed=20)).save(tmp_path / "painting.png")
    script = Path(__file__).parent / "training_process.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = subprocess.run([*torchrun, script, tmp_path], capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    training_process.train(tmp_path, "alone.safetensors")
    together, alone = (load_file(tmp_path / f"{name}.training" / "state.safetensors") for name in ("together", "alone"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        born = Transform(Shape(1, width=4, blocks=1)).state_dict()
    for name in (name for name in born if name.endswith("weight")):  # what is normalised away goes anywhere
        apart = (together[f"network.{name}"] - alone[f"network.{name}"]).abs().mean()
        moved = (alone[f"network.{name}"] - born[name]).abs().mean()
        assert apart < 0.02 * moved, name
    assert len(list((tmp_path / "together.training" / "pictures").iterdir())) == 1


def test_more_processes_than_pieces_are_refused(models: Models, job: TrainingJob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("impasto.runs.training.team", lambda: contextlib.nullcontext(Team(0, 3)))
    with pytest.raises(SettingsError, match="batch=2 cannot be shared by 3 processes; choose that many or more"):
        train_file(job, models, Silent())


def test_parts_are_all_of_a_step(models: Models):
    job = teaching(models)
    whole = job.order(5)
    parts = []
    for rank in range(2):
        job.team = Team(rank, 2)
        parts.append(job.part(whole))
    assert [part.numbers for part in parts] == [[number] for number in whole.numbers]
    assert [part.strengths for part in parts] == [[strength] for strength in whole.strengths]
