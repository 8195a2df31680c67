"""From paintings and photographs to a network in a file: `impasto train`.

Beside `style.safetensors` lies the folder `style.training`: where the training stands, its curve (PNG and CSV), and
pictures of photographs that it does not learn from. The same call goes on from there.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from impasto.errors import CheckpointError, ImageError, ImpastoError, SettingsError
from impasto.images.formats import EXTENSIONS
from impasto.images.gallery import NETWORK, network_file, style_pictures
from impasto.images.reading import to_image, to_pil
from impasto.images.writing import write_bytes
from impasto.methods.crops import FEWEST, HELD_OUT, Crops
from impasto.methods.progress import Progress
from impasto.methods.styles import at_scale
from impasto.methods.team import Team, team
from impasto.methods.training import PADDING, Judge, Numbers, Recipe, Taught, Teaching, corner, piece_side, views
from impasto.network.device import pick_device
from impasto.network.models import Models
from impasto.network.streamed import transform
from impasto.network.transform import MOST_PAINTINGS, PHOTOGRAPH, Shape, Transform, shares_of
from impasto.network.transform_file import MOST_BYTES, About, load_transform, name_of, to_bytes
from impasto.runs.checkpoint import UNREADABLE
from impasto.runs.reporter import Next, Reporter
from impasto.runs.stored import decoded

STEPS = 4000  # where neither steps nor minutes are given
SAVED = 60.0  # seconds between two saves of where it stands, at least
FORETOLD = 10  # steps after which the time is foretold
FREE = 100e6  # bytes that must be free
SHOWN = 384  # px of the longer side of validation pictures
SAMPLE = 16  # pieces of which features are measured
ASPECT = 0.75  # of the picture that a painting's strokes go with
KEY = "impasto-training"
MOST_STATE = 16 * MOST_BYTES  # of a file: twice the network, twice its size in Adam's memory, in twice the precision
ENDS = (None, "steps", "minutes", "no gain", "stopped")


@dataclass(frozen=True)
class TrainingJob:
    """What is taught, from what, and where to.

    Attributes:
        paintings: files, or folders of pictures that are one painting together.
        photographs: to learn from.
        output: the network to be, .safetensors.
        recipe: how.
        shape: of the network; its paintings are as many as there are.
        start: a network to begin with, instead of a random one; then the shape is its.
        steps: after which it ends; None for no such end.
        minutes: of learning after which it ends, those before a stop included; None for no such end.
        weights: file of VGG-19's weights; None for the installed ones.
        again: begin anew where a training lies already.
    """

    paintings: tuple[Path, ...]
    photographs: tuple[Path, ...]
    output: Path
    recipe: Recipe = field(default_factory=Recipe)
    shape: Shape = field(default_factory=lambda: Shape(1))
    start: Path | None = None
    steps: int | None = STEPS
    minutes: float | None = None
    weights: Path | None = None
    again: bool = False

    @property
    def folder(self) -> Path:
        """Where the training stands."""
        return self.output.with_suffix(".training")


@dataclass(frozen=True)
class Trained:
    """What became of a training.

    Attributes:
        output: the network.
        folder: its curve and pictures, and what it needs to go on.
        step: steps made, with those before a stop.
        seconds: they took.
        validation: the last; None if there was none.
        why: it ended: "steps", "minutes", "no gain", "stopped".
    """

    output: Path
    folder: Path
    step: int
    seconds: float
    validation: float | None
    why: str


class Row(TypedDict):
    """Of the curve: means over the steps since the row before."""

    step: int
    content: float
    style: float
    photograph: float
    total: float
    validation: float | None
    seconds: float


class Stored(Numbers):
    """What is stored of a training besides its tensors, as JSON."""

    seconds: float
    rows: list[Row]
    description: str


@dataclass
class _Standing:
    """What is known of a training besides its tensors."""

    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)


def find_photographs(folder: Path) -> list[Path]:
    """All pictures in a folder and those within, in the order of their names.

    Raises:
        ImageError: there are none, or there is no folder.
    """
    if not folder.is_dir():
        raise ImageError(f"photos={folder} is no folder; give one with photographs to learn from")
    endings = {*EXTENSIONS, ".heic"}
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings and p.name[0] != "." and p.is_file())
    if len(found) < FEWEST:
        raise ImageError(f"photos={folder} holds {_count(len(found))}; at least {FEWEST} are needed to learn from")
    return found


def train_file(job: TrainingJob, models: Models, reporter: Reporter) -> Trained:
    """Teach a network, and write it; a stopped training goes on where this is called again.

    Args:
        job: everything in it is checked before any work.
        models: VGG-19.
        reporter: sees every step, and may stop it.

    Raises:
        ImpastoError: something that the user can mend; nothing is lost by it.
    """
    _check(job)
    with team() as processes:
        return _taught(job, models, reporter, processes)


def _taught(job: TrainingJob, models: Models, reporter: Reporter, processes: Team) -> Trained:
    if processes.count > job.recipe.batch:
        raise SettingsError(
            f"batch={job.recipe.batch} cannot be shared by {processes.count} processes; choose that many or more"
        )
    network = _network(job)
    description = _description(job, network)
    device = pick_device(job.recipe.settings.device)
    job.folder.mkdir(exist_ok=True)
    saved = None if job.again else _saved(job.folder, description)
    teaching = _teaching(job, network.to(device), models, device, reporter)
    teaching.team = processes
    standing = _Standing()
    if saved is not None:
        tensors, known = saved
        standing = _Standing(known["seconds"], known["rows"])
        try:
            teaching.restore(tensors, {"step": known["step"], "best": known["best"], "best_step": known["best_step"]})
        except ValueError as error:
            raise _damaged(_state_in(job.folder), error) from error
        reporter.note(f"goes on from step {teaching.step}, in {job.folder}")
    return _Run(job, teaching, standing, description, reporter).run()


class _Run:
    """A training under way."""

    def __init__(
        self, job: TrainingJob, teaching: Teaching, standing: _Standing, description: str, reporter: Reporter
    ) -> None:
        self.job, self.teaching, self.standing = job, teaching, standing
        self.description, self.reporter = description, reporter
        self.names = tuple(name_of(painting.stem) for painting in job.paintings)
        held = teaching.validated.photographs[0]
        self.shown = to_image(held, SHOWN).image.to(teaching.device)
        self.picture = self.shown
        self.sums: dict[str, float] = defaultdict(float)
        self.summed = 0

    def run(self) -> Trained:
        teaching, job = self.teaching, self.job
        why = self._end(None, Next.STEP)  # one that is done already
        teaching.over = self._over()
        begun, earlier, first = time.monotonic(), self.standing.seconds, teaching.step
        saved = begun
        try:
            with contextlib.closing(teaching.steps()) as steps:  # type: ignore[type-var]
                for taught in steps if why is None else ():
                    now = time.monotonic()
                    self.standing.seconds = earlier + now - begun
                    self._note_losses(taught)
                    if teaching.step == first + FORETOLD:
                        self._foretell((now - begun) / FORETOLD)
                    then = self.reporter.step(self._progress(taught, (now - begun) / (teaching.step - first)))
                    why = ENDS[int(teaching.team.agreed(ENDS.index(self._end(taught, then))))]
                    teaching.over = teaching.team.agreed(self._over())
                    if why or now - saved > SAVED or taught.validation is not None:
                        self._save()
                        saved = time.monotonic()
                    if why:
                        break
        except Exception as error:
            error.add_note(f"the training up to its last save is in {job.folder}; the same command goes on")
            raise
        self._save()
        last = next((row["validation"] for row in reversed(self.standing.rows) if row["validation"] is not None), None)
        return Trained(job.output, job.folder, teaching.step, self.standing.seconds, last, why or "stopped")

    def _end(self, taught: Taught | None, then: Next) -> str | None:
        """Why this is the last step; None if it is not."""
        job = self.job
        if job.steps is not None and self.teaching.step >= job.steps:
            return "steps"
        if job.minutes is not None and self.standing.seconds >= 60 * job.minutes:
            return "minutes"
        if taught is not None and taught.done:
            return "no gain"
        return "stopped" if then is not Next.STEP else None

    def _over(self) -> float:
        """How much of it lies behind, from 0 to 1: the greater share, of its steps or of its minutes."""
        job = self.job
        steps = self.teaching.step / job.steps if job.steps is not None else 0.0
        minutes = self.standing.seconds / (60 * job.minutes) if job.minutes is not None else 0.0
        return min(1.0, max(steps, minutes))

    def _note_losses(self, taught: Taught) -> None:
        self.summed += 1
        for name, loss in taught.losses.items():
            self.sums[name] += loss
        if taught.validation is None or self.teaching.team.rank > 0:
            return
        self.standing.rows.append(
            {
                "step": taught.step,
                "content": self.sums["content"] / self.summed,
                "style": self.sums["style"] / self.summed,
                "photograph": self.sums["photograph"] / self.summed,
                "total": self.sums["total"] / self.summed,
                "validation": taught.validation,
                "seconds": round(self.standing.seconds, 1),
            }
        )
        self.sums.clear()
        self.summed = 0
        self.picture = self._painted()
        folder = self.job.folder / "pictures"
        folder.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        to_pil(self.picture).save(buffer, "PNG")
        write_bytes(folder / f"{taught.step:06d}.png", buffer.getvalue())

    def _painted(self) -> Tensor:
        """The photograph that is shown, and after each painting, side by side."""
        pictures = [self.shown]
        for number in range(len(self.names)):
            weights = [float(i == number) for i in range(len(self.names))]
            shares = shares_of(weights).to(self.shown.device)
            pictures.append(transform(self.teaching.average, self.shown, shares))
        return torch.cat(pictures, 3)

    def _progress(self, taught: Taught, pace: float) -> Progress:
        left = self._seconds_left(pace)
        planned = self.job.steps or taught.step + round((left or 0) / max(pace, 1e-6))
        losses = {name: loss for name, loss in taught.losses.items() if name != "photograph"}
        return Progress(1, 1, taught.step, max(planned, taught.step), losses, self.picture, left)

    def _seconds_left(self, pace: float) -> float | None:
        job = self.job
        ends = []
        if job.steps is not None:
            ends.append(pace * (job.steps - self.teaching.step))
        if job.minutes is not None:
            ends.append(60 * job.minutes - self.standing.seconds)
        return max(0.0, min(ends)) if ends else None

    def _foretell(self, pace: float) -> None:
        left = self._seconds_left(pace)
        if left is not None:
            early = "; less if nothing is gained any more" if self.job.recipe.patience else ""
            self.reporter.note(f"a step takes {pace:.2g} s, so {left / 60:.0f} minutes are left{early}")

    def _save(self) -> None:
        """Where it stands, the network so far, the curve."""
        job, teaching = self.job, self.teaching
        if teaching.team.rank > 0:
            return
        tensors, numbers = teaching.state()
        known: Stored = {
            **numbers,
            "seconds": self.standing.seconds,
            "rows": self.standing.rows,
            "description": self.description,
        }
        text = json.dumps(known)
        data = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_bytes(_state_in(job.folder), save_tensors(data, {KEY: text, "sha256": _digest(text, data)}))
        settings = job.recipe.settings
        made = f"impasto train, {len(teaching.learnt.photographs)} photographs, crops of {job.recipe.crop} px"
        size = settings.longer_side or 512
        about = About(self.names, float(settings.strength), size, teaching.step, made)
        write_bytes(job.output, to_bytes(teaching.average, about))
        write_bytes(job.folder / "curve.csv", _as_csv(self.standing.rows))
        if len(self.standing.rows) > 1:
            buffer = io.BytesIO()
            curve(self.standing.rows).save(buffer, "PNG")
            write_bytes(job.folder / "curve.png", buffer.getvalue())


def _check(job: TrainingJob) -> None:
    """Whatever can be wrong, before any work."""
    settings = job.recipe.settings
    if job.output.suffix.lower() != NETWORK:
        raise ImpastoError(f"output={job.output} must end in {NETWORK}; give another name")
    if job.output.is_dir() or not job.output.resolve().parent.is_dir():
        raise ImpastoError(f"output={job.output} cannot be written: its folder does not exist; create it first")
    if job.folder.exists() and not job.folder.is_dir():
        raise ImpastoError(f"{job.folder} is a file, where the training would be kept; remove it")
    if job.start is not None and job.output.exists() and job.start.exists() and job.output.samefile(job.start):
        raise ImpastoError(f"output={job.output} would overwrite the network that is read; give another name")
    if (free := shutil.disk_usage(job.output.resolve().parent).free) < FREE:
        raise ImpastoError(
            f"output={job.output}: {free / 1e6:.0f} MB are free there, {FREE / 1e6:.0f} MB are needed; make room"
        )
    if not 0 < settings.strength < 100:
        raise SettingsError(f"strength={settings.strength:g} cannot be learnt: choose a number between 0 and 100")
    if settings.longer_side is None:
        raise SettingsError("size=full cannot be learnt: choose the longer side of the pictures to be painted")
    if not job.paintings or len(job.paintings) > MOST_PAINTINGS:
        raise SettingsError(f"there are {len(job.paintings)} paintings; one network learns 1 to {MOST_PAINTINGS}")
    if networks := [one for one in job.paintings if network_file(one)]:
        raise SettingsError(f"{networks[0]} is a network, not a painting; begin with it by --from")
    settings.for_each("style_scale", len(job.paintings))
    if job.recipe.crop % 32 or not 64 <= job.recipe.crop <= 1024:
        raise SettingsError(f"crop={job.recipe.crop} is not allowed: choose a multiple of 32 from 64 to 1024")
    if len(job.photographs) < FEWEST:
        raise ImageError(f"there are {_count(len(job.photographs))}; at least {FEWEST} are needed to learn from")


def _network(job: TrainingJob) -> Transform:
    """A newborn one, or the one to begin with, with as many paintings as there are: its own's mean at first."""
    shape = replace(job.shape, paintings=len(job.paintings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.recipe.seed)
        if job.start is None:
            return Transform(shape)
        start, _ = load_transform(job.start)
        network = Transform(replace(start.shape, paintings=shape.paintings))
    known = start.state_dict()
    for name, tensor in network.state_dict().items():
        if name.endswith((".scale", ".shift")):
            tensor.copy_(known[name][PHOTOGRAPH + 1 :].mean(0, keepdim=True).expand_as(tensor))
            tensor[PHOTOGRAPH] = known[name][PHOTOGRAPH]
        else:
            tensor.copy_(known[name])
    return network


def _teaching(
    job: TrainingJob, network: Transform, models: Models, device: torch.device, reporter: Reporter
) -> Teaching:
    recipe, settings = job.recipe, job.recipe.settings
    size = settings.longer_side or 512
    frame = torch.empty(1, 3, round(ASPECT * size), size)
    paintings = []
    for painting, scale in zip(job.paintings, settings.for_each("style_scale", len(job.paintings)), strict=True):
        paintings.append([at_scale(to_image(one).image, frame, scale).to(device) for one in style_pictures(painting)])
    photographs = list(job.photographs)
    held = photographs[::HELD_OUT] if len(photographs) >= HELD_OUT else photographs
    learnt = [one for one in photographs if one not in set(held)] or photographs
    crops = Crops(learnt, piece_side(recipe), size, recipe.seed)
    validated = Crops(held, piece_side(recipe), size, recipe.seed + 1)
    for those in (crops, validated):
        usable = those.check()
        for words in those.broken.values():
            reporter.note(f"left out: {words}")
        if usable < min(FEWEST, len(those.photographs)) or usable < 1:
            first = next(iter(those.broken.values()))
            raise ImageError(f"of {_count(len(those.photographs))} {usable} can be used, {FEWEST} are needed: {first}")
    numbers = torch.linspace(0, len(crops) - 1, SAMPLE).long().tolist()
    corners = [corner(recipe, number) for number in numbers]
    sample = [view.to(device) for view in views(crops.several(numbers), corners, recipe)]
    vgg = models.vgg(device, pooling=settings.pooling, padding=PADDING)
    return Teaching(network, Judge(vgg, recipe, paintings, sample), crops, validated, recipe)


def _description(job: TrainingJob, network: Transform) -> str:
    """What must be the same for a training to go on."""
    pictures = [one for painting in job.paintings for one in style_pictures(painting)]
    hashes = [hashlib.sha256(one.read_bytes()).hexdigest() for one in pictures]
    start = None if job.start is None else hashlib.sha256(job.start.read_bytes()).hexdigest()
    settings = job.recipe.settings.to_json()
    recipe = {name: value for name, value in vars(job.recipe).items() if name not in ("settings", "patience")}
    photographs = hashlib.sha256("\n".join(str(one.absolute()) for one in job.photographs).encode()).hexdigest()
    known = [hashes, start, settings, recipe, asdict(network.shape), len(job.photographs), photographs]
    return json.dumps(known)


def _state_in(folder: Path) -> Path:
    return folder / "state.safetensors"


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({' '.join(str(error).split()):.300}); begin anew (--again)")


def _saved(folder: Path, description: str) -> tuple[dict[str, Tensor], Stored] | None:
    """Where a training stands; None if there is none.

    Raises:
        CheckpointError: it is another training, or damaged.
    """
    path = _state_in(folder)
    if not path.exists():
        return None
    try:
        if (size := path.stat().st_size) > MOST_STATE:
            raise ValueError(f"it has {size:,} bytes, and no training more than {MOST_STATE:,}")
        with safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        text = header[KEY]
        if header["sha256"] != _digest(text, tensors):
            raise ValueError("its hash is another one")
        known = _checked(decoded(Stored, json.loads(text), "it"))
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    if known["description"] != description:
        raise CheckpointError(
            f"{folder} holds a training of other paintings, photographs or settings; go on with those, begin anew "
            "(--again), or choose another output"
        )
    return tensors, known


def _checked(known: Stored) -> Stored:
    """What a training stands at, if it can.

    Raises:
        ValueError: it cannot; says why.
    """
    if not 0 <= known["seconds"] < math.inf:
        raise ValueError(f"it took {known['seconds']} s")
    steps = [0, *(row["step"] for row in known["rows"]), known["step"] + 1]
    if any(one >= other for one, other in pairwise(steps)):
        raise ValueError("its steps are not in order")
    return known


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha256.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.__annotations__))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def curve(rows: Sequence[Mapping[str, Any]], width: int = 720, height: int = 400) -> Image.Image:
    """Losses by steps, as a picture: of what is learnt from in grey, validation in blue; logarithmic upward.

    Those that are no numbers any more, of a training that went astray, are left out.
    """
    left, top, right, bottom = 60, 20, width - 20, height - 40
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)

    def shown(value: float | None) -> bool:
        return value is not None and 0 < value < math.inf

    values = [row[name] for row in rows for name in ("total", "validation") if shown(row[name])]
    if not values:
        return picture
    low, high = math.log10(min(values)), math.log10(max(values))
    span, last = max(high - low, 1e-3), max(row["step"] for row in rows)

    def place(step: float, value: float) -> tuple[float, float]:
        return left + (right - left) * step / last, bottom - (bottom - top) * (math.log10(value) - low) / span

    draw.rectangle((left, top, right, bottom), outline="#999999")
    for name, color, level in (("total", "#999999", 0), ("validation", "#1f4fa3", 1)):
        points = [place(row["step"], row[name]) for row in rows if shown(row[name])]
        draw.line(points, fill=color, width=2)
        draw.text((right - 90, top + 6 + 14 * level), name, fill=color)
    for value in (min(values), max(values)):
        draw.text((6, place(0, value)[1] - 6), f"{value:.3g}", fill="black")
    draw.text((left, bottom + 8), "0", fill="black")
    draw.text((right - 60, bottom + 8), f"{last} steps", fill="black")
    return picture


def _count(photographs: int) -> str:
    return f"{photographs:,} photograph{'s' if photographs != 1 else ''}"
