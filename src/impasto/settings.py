"""Every setting: its default, range, choices and help sentence, written once.

The command line, the web form, the reference and the error texts all derive from `Settings`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypedDict

from impasto.errors import SettingsError
from impasto.network.layers import check_layers


@dataclass(frozen=True)
class Quality:
    """How much work goes into a picture.

    Attributes:
        help: a sentence.
        evaluations: of the objective at most, by scale, whose longer sides are about 128, 256, 512, ... px; larger
            scales have the last number.
        matched_evaluations: the same with matched pieces, from about 64 px on.
        rounds: the parts in which a scale has its evaluations, by scale; each begins with pieces matched and laid anew.
        tolerance: a scale ends when five evaluations lowered the loss by less than this share.
        fine_style: of the style weight, at fine scales, where many evaluations would serve the content more.
        matched_style: of the style weight with matched pieces, by scale.
        held_colors: weight of the colours that a matched picture begins with, where that of the content is 1, by scale:
            firmest where it is decided what is where; rounds bring paint enough to hold them more firmly. Less where
            paintings do not have colours without their strokes (`impasto.methods.starts.firmness`).
        matched: whether pieces of the painting are matched unless the method says otherwise.
        textures: whether it makes textures as well, without a photograph.
    """

    help: str
    evaluations: tuple[int, ...] = ()
    matched_evaluations: tuple[int, ...] = ()
    rounds: tuple[int, ...] = (1,)
    tolerance: float = 0.0
    fine_style: float = 1.0
    matched_style: tuple[float, ...] = (1.0,)
    held_colors: tuple[float, ...] = (2.0,)
    matched: bool = False
    textures: bool = True


QUALITIES = {
    "instant": Quality("no optimisation: two passes of a trained network (AdaIN)", textures=False),
    "draft": Quality("a first look in seconds", (18, 8, 2), (14, 12, 8, 2)),
    "good": Quality(
        "the default",
        (80, 40, 12),
        (24, 24, 22, 16),
        rounds=(1, 1, 1, 2),
        tolerance=0.04,
        matched_style=(1.55,),
        held_colors=(20.0, 20.0, 20.0, 6.0),
        matched=True,
    ),
    "best": Quality(
        "to hang on a wall",
        (120, 80, 50),
        (60, 60, 42, 22),
        rounds=(1, 1, 3, 2),
        tolerance=0.01,
        fine_style=1.6,
        matched_style=(1.0, 1.0, 1.0, 1.95),
        held_colors=(2.4, 2.4, 2.4, 3.5),
        matched=True,
    ),
    "reference": Quality(
        "as Gatys et al. (2016): 500 evaluations at full size, their losses and optimiser", (500,), textures=False
    ),
}

STYLE_LOSS_NAMES = ("gram", "deviation", "wasserstein")
STROKE_PARTS = ("all", "coarse", "fine")
COLOR_MODES = ("painting", "photo", "match", "histogram", "lab")
INITS = ("content", "noise")
STYLE_METHODS = ("auto", "moments", "matched")
MOST_EVALUATIONS = 10_000
HEAVIEST = 1e4  # of a layer's weights: with much larger ones, sums overflow
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
MOST_MEMORY = 2**62  # bytes


def bytes_of(text: str) -> int | None:
    """An amount of memory in bytes: "4GB", "800 MiB"; None for "auto".

    Raises:
        SettingsError: a text that is no amount of memory.
    """
    if text == "auto":
        return None
    found = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?)\s*([KMGT]i?B|B)", text.strip(), re.IGNORECASE)
    unit = UNITS.get(found[2].upper()) if found else None
    if not found or unit is None or not 0 < float(found[1]) * unit <= MOST_MEMORY:
        raise SettingsError(
            f"memory={_short(text)!r} is not an amount of memory: write for example 4GB, 1500MB or auto"
        )
    return int(float(found[1]) * unit)


def check_cluster(text: str) -> None:
    """Refuse what cannot be the address of a cluster.

    Raises:
        SettingsError: neither a word nor HOST:PORT.
    """
    host, colon, port = text.removeprefix("ray://").rpartition(":")
    if text not in ("none", "auto", "local") and not (host and colon and port.isdecimal() and int(port) < 2**16):
        raise SettingsError(f"cluster={_short(text)!r} is no cluster: give none, auto, local, or the HOST:PORT of one")


def layer_weights(text: str | Mapping[str, float]) -> dict[str, float]:
    """Layers and their weights: "relu1_1=2,relu2_1" is {"relu1_1": 2.0, "relu2_1": 1.0}, which stays as it is.

    Raises:
        SettingsError: no layer of VGG-19, a weight that is not a number of 0 or more, a layer twice, or none with a
            positive weight.
    """
    if not isinstance(text, str):
        return dict(text)
    weights: dict[str, float] = {}
    for part in text.replace(" ", "").split(","):
        name, _, number = part.partition("=")
        if name in weights:
            raise SettingsError(f"{_short(text)!r} names the layer {name!r} twice; name each once")
        try:
            weights[name] = float(number or 1)
        except ValueError:
            weights[name] = -1.0
        if not 0 <= weights[name] <= HEAVIEST:
            raise SettingsError(
                f"{_short(part)!r} is not a layer and its weight; write for example relu3_1=0.5, from 0 to {HEAVIEST:g}"
            )
    check_layers(weights)
    if not any(weights.values()):
        raise SettingsError(
            f"{_short(text)!r} gives every layer the weight 0; give at least one layer a positive weight"
        )
    return weights


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    several: bool = False,
    machine: bool = False,
    check: Callable[[str], object] | None = None,
) -> Any:
    """A field of `Settings`: numbers lie in [minimum, maximum]; `choices` are the words allowed.

    One with `several` takes one value for all paintings, or a tuple with one for each. What concerns the `machine`
    only is not kept in pictures. `check` refuses texts with a `SettingsError`.
    """
    limits = {"minimum": minimum, "maximum": maximum, "choices": choices, "check": check}
    return field(default=default, metadata={"help": help, **limits, "several": several, "machine": machine})


@dataclass(frozen=True)
class Settings:
    """How to paint; the defaults give a good picture. Immutable: change a copy with `dataclasses.replace`.

    Raises:
        SettingsError: a value of the wrong type, out of range or not among the choices.
    """

    size: int | str = option(
        512,
        "longer side of the output in pixels, or 'full' for the photograph's own size",
        minimum=16,
        maximum=65536,
        choices=("full",),
    )
    quality: str = option("good", "how much work goes into the picture", choices=tuple(QUALITIES))
    method: str = option(
        "auto",
        "how the painting's style is found in it: moments compares statistics of the whole; matched also gives each "
        "place the piece of the painting that fits the photograph there; auto is matched for "
        "good and best, moments for films and the rest",
        choices=STYLE_METHODS,
    )
    strength: float = option(
        50.0,
        "how strongly it is painted: 0 is the photograph, 100 nearly the painting's texture",
        minimum=0,
        maximum=100,
    )
    style_scale: float | tuple[float, ...] = option(
        1.0,
        "size of the painting's strokes: 2 paints them twice as broad, 0.5 half; of several paintings as 2,0.5",
        minimum=0.05,
        maximum=20,
        several=True,
    )
    style_weight: float | tuple[float, ...] = option(
        1.0, "shares of several paintings, as 70,30", minimum=0, maximum=10000, several=True
    )
    strokes: str | tuple[str, ...] = option(
        "all",
        "what is taken of several paintings, as coarse,fine: the forms of one, painted with the strokes of another",
        choices=STROKE_PARTS,
        several=True,
    )
    keep_lines: float = option(
        0.0,
        "how firmly the photograph's lines are kept, for faces and buildings: 0 to 100",
        minimum=0,
        maximum=100,
    )
    color: str = option(
        "painting",
        "whose colours: the painting's; or the photograph's, by painting its lightness only (photo), by giving the "
        "painting its colours before (match: smoothly, histogram: exactly), or by giving them back afterwards (lab)",
        choices=COLOR_MODES,
    )
    seed: int = option(
        0, "start of the random numbers, of which only --init noise and textures have any", minimum=0, maximum=2**32 - 1
    )
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"), machine=True)
    memory: str = option(
        "auto",
        "how much may be used, as 4GB; larger pictures are evaluated in tiles; auto is a safe share of what is free",
        machine=True,
        check=bytes_of,
    )
    cluster: str = option(
        "none",
        "spread giant pictures, or the shots of a film, over Ray workers: auto, local, or the HOST:PORT of a cluster",
        machine=True,
        check=check_cluster,
    )
    precision: str = option(
        "float32",
        "of the network's numbers; bfloat16 takes half the bytes; sums stay in float32",
        choices=("float32", "bfloat16"),
    )
    init: str = option("content", "where to start: content, noise, or the path of a picture")
    content_layers: str | Mapping[str, float] = option(
        "relu3_1=2,relu4_2=1",
        "layers whose features keep the photograph, as relu4_2 or relu3_1=0.5,relu4_2=1; where the picture has more "
        "than 384 px, those up to relu3_1, or it",
        check=layer_weights,
    )
    style_layers: str | Mapping[str, float] = option(
        "relu1_1=1,relu2_1=1,relu3_1=1,relu4_1=0.3,relu5_1=0.03",
        "layers whose statistics carry the painting's style, with their weights; where the picture has more than "
        "384 px, those up to relu4_1, or it",
        check=layer_weights,
    )
    style_loss: str = option(
        "gram",
        "what of the features is compared: Gram matrices; mean and deviation of each channel; or the Wasserstein "
        "distance of normal distributions with the same means and covariances",
        choices=STYLE_LOSS_NAMES,
    )
    smoothness: float = option(0.0, "weight of the total variation: raise it against grain", minimum=0, maximum=1000)
    evaluations: int = option(
        0,
        "evaluations of the objective at most, shared among the sizes that are painted as the quality shares its own; "
        "0 for the quality's own",
        minimum=0,
        maximum=MOST_EVALUATIONS,
    )
    optimizer: str = option("lbfgs", "lbfgs converges fastest; adam remembers less", choices=("lbfgs", "adam"))
    pooling: str = option(
        "max",
        "as the network was trained, or average: broader strokes, but flat areas may be mottled",
        choices=("max", "average"),
    )
    padding: str = option("zero", "what the network sees beyond the border", choices=("zero", "replicate", "reflect"))

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Mapping) and f.metadata["check"] is layer_weights:
                value = ",".join(f"{layer}={weight}" for layer, weight in value.items())
                object.__setattr__(self, f.name, value)  # one form only, which JSON and the command line know
            if f.metadata["several"] and isinstance(value, list | tuple):
                object.__setattr__(self, f.name, tuple(value))  # JSON has lists only
                for one in value or [()]:
                    _check(f.name, one, f.metadata, type(f.default))
            else:
                _check(f.name, value, f.metadata, type(f.default))
            if type(f.default) is int and isinstance(value, float):
                object.__setattr__(self, f.name, int(value))
        strokes = self.for_each("strokes")
        if ("fine" in strokes) != ("coarse" in strokes):
            raise SettingsError(
                f"strokes={_listed(self.strokes)} is not complete; give one word for each painting, "
                "coarse and fine among them, as coarse,fine"
            )
        weights = self.for_each("style_weight")
        weights = weights * len(strokes) if len(weights) == 1 else weights
        if not any(w for w, s in zip(weights, strokes * len(weights), strict=False) if s != "fine"):
            raise SettingsError(
                f"style_weight={_listed(self.style_weight)} leaves no painting; give one of them more than 0"
                + (", not only one whose strokes are taken" if any(weights) else "")
            )

    def to_json(self) -> str:
        """The settings as text, to be kept inside a painted picture: all but those of the machine."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if not f.metadata["machine"]}
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that `to_json` wrote; names that this version does not know are an error."""
        return cls(**cls.known(json.loads(text)))

    @property
    def longer_side(self) -> int | None:
        """Of the output, in pixels; None for the photograph's own."""
        return None if self.size == "full" else int(self.size)

    def for_each(self, name: str, paintings: int | None = None) -> tuple[Any, ...]:
        """A setting that each painting may have its own value of, as a tuple: one for each of them.

        Raises:
            SettingsError: there are neither as many values as paintings, nor one for all.
        """
        value = getattr(self, name)
        if not isinstance(value, tuple):
            return (value,) * (paintings or 1)
        if paintings not in (None, len(value)):
            raise SettingsError(
                f"{name}={_listed(value)} has {len(value)} values for {paintings} "
                f"painting{'s' if paintings != 1 else ''}; give one for each, or one for all"
            )
        return value

    @classmethod
    def known(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, if all their names are settings.

        Raises:
            SettingsError: a name that is none, with the list of those that are.
        """
        for name in values:
            setting(name)
        return dict(values)


class Changes(TypedDict, total=False):
    """Single settings as arguments, so that a type checker knows their names."""

    size: int | str
    quality: str
    method: str
    strength: float
    style_scale: float | tuple[float, ...]
    style_weight: float | tuple[float, ...]
    strokes: str | tuple[str, ...]
    keep_lines: float
    color: str
    seed: int
    device: str
    memory: str
    cluster: str
    precision: str
    init: str
    content_layers: str | Mapping[str, float]
    style_layers: str | Mapping[str, float]
    style_loss: str
    smoothness: float
    evaluations: int
    optimizer: str
    pooling: str
    padding: str


def setting(name: str) -> Field[Any]:
    """The field of `Settings` of a name.

    Raises:
        SettingsError: there is none; says which is meant, and lists all.
    """
    by_name = {f.name: f for f in fields(Settings)}
    if name not in by_name:
        close = get_close_matches(name, by_name, n=1)
        meant = f"did you mean {close[0]}? Choose from: " if close else "choose from: "
        raise SettingsError(f"there is no setting {_short(name)!r}; {meant}{', '.join(by_name)}")
    return by_name[name]


def parse(name: str, text: str) -> Any:
    """The value of a setting from a text, wherever it was written: "0.5", "good", "70,30" for several paintings.

    A text that is no number stays a text: `Settings` says what is allowed.

    Raises:
        SettingsError: there is no setting of this name.
    """
    f = setting(name)
    kind = type(f.default)
    if f.metadata["several"] and "," in text:
        return tuple(number(kind, part.strip()) for part in text.split(","))
    return number(kind, text)


def number(kind: type, text: str) -> Any:
    """A text as a whole number or a float, if it is one."""
    try:
        return kind(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Preset:
    """Settings that suit a kind of picture, by name.

    Attributes:
        help: a sentence.
        settings: those that differ from the defaults.
    """

    help: str
    settings: Mapping[str, Any]


PRESETS = {
    "portrait": Preset(
        "faces stay faces: fine strokes, firm lines, a moderate style",
        {"strength": 40.0, "style_scale": 0.7, "keep_lines": 30.0},
    ),
    "landscape": Preset("skies and hills: broad strokes, a strong style", {"strength": 60.0, "style_scale": 1.4}),
    "sketch": Preset(
        "drawings and prints: firm lines in the painting's colours", {"strength": 60.0, "keep_lines": 60.0}
    ),
    "poster": Preset(
        "bold and flat: broad strokes, nearly the painting's texture",
        {"strength": 75.0, "style_scale": 2.0, "smoothness": 3.0},
    ),
    "print": Preset("to hang on a wall: large, with the most work", {"quality": "best", "size": 3000}),
}


TEXTURE_SETTINGS = (
    "size",
    "quality",
    "style_scale",
    "style_weight",
    "strokes",
    "style_loss",
    "style_layers",
    "smoothness",
    "evaluations",
    "seed",
    "device",
    "memory",
    "optimizer",
    "pooling",
)
"""Those that have a meaning without a photograph."""


def preset(name: str) -> Settings:
    """The settings of a preset.

    Raises:
        SettingsError: there is no preset of this name.
    """
    if name not in PRESETS:
        raise SettingsError(f"there is no preset {name!r}; choose from: {', '.join(PRESETS)}")
    return Settings(**PRESETS[name].settings)


def _listed(value: Any) -> str:
    """A value or several as a user would type them: 70,30."""
    return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in (value if type(value) is tuple else [value]))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."


def _check(name: str, value: Any, metadata: Mapping[str, Any], kind: type) -> None:
    low, high, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (int, float) and number and (kind is float or isinstance(value, int) or value.is_integer()):
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise SettingsError(f"{name}={_short(str(value))} is out of range: {_allowed(metadata, kind)}")
    elif (choices and value not in choices) or (not choices and not isinstance(value, kind)):
        raise SettingsError(f"{name}={_short(repr(value))} is not allowed: {_allowed(metadata, kind)}")
    elif metadata["check"]:
        try:
            metadata["check"](value)
        except SettingsError as error:
            said = str(error)
            raise SettingsError(said if said.startswith(f"{name}=") else f"{name}={_short(value)!r}: {said}") from None


def _allowed(metadata: Mapping[str, Any], kind: type) -> str:
    """What a setting may be, as words for an error: 'a whole number from 16 to 65536, or full'."""
    low, high, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if kind is str:
        return "choose from: " + ", ".join(choices) if choices else "a text"
    number = "a whole number" if kind is int else "a number"
    limits = (
        f" from {low:.10g} to {high:.10g}" if high is not None else f" of {low:.10g} or more" if low is not None else ""
    )
    return " or ".join(["choose " + number + limits, *choices])
