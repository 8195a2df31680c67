"""The node that paints: a batch of images in, a batch of pictures out, with ComfyUI's own progress and Cancel."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import torch
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from comfy_api.latest import ComfyExtension, io
from torch import Tensor

import impasto
from impasto.images.writing import to_pil
from impasto.settings import Settings

PREVIEW = 512  # px, the longer side of the picture that is shown while it is painted
OFFERED = ("quality", "strength", "style_scale", "keep_lines", "color")
OPTIONS: dict[str, Any] = {f.name: f for f in fields(Settings)}


@cache
def painter() -> impasto.Painter:
    """The networks, read once and kept between runs."""
    return impasto.Painter()


class ImpastoPaint(io.ComfyNode):
    """Neural style transfer of a batch of images."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImpastoPaint",
            display_name="Paint (impasto)",
            category="image/impasto",
            description="Paint images in the style of paintings. No prompt, no checkpoint: neural style transfer.",
            inputs=[
                io.Image.Input("images", tooltip="what is painted; each image of a batch by itself"),
                io.Image.Input("style", tooltip="the painting; a batch is several, blended"),
                io.Int.Input("size", default=0, min=0, max=65536, tooltip="longer side in px; 0: the images' own"),
                *map(_widget, OFFERED),
                io.String.Input("weights", default="", tooltip="shares of several paintings, as 70,30"),
                io.Image.Input("style_2", optional=True, tooltip="one more painting"),
                io.Image.Input("style_3", optional=True, tooltip="one more painting"),
                io.Mask.Input("keep", optional=True, tooltip="where it is white, the image stays as it is"),
            ],
            outputs=[io.Image.Output("pictures", display_name="pictures")],
        )

    @classmethod
    def execute(
        cls,
        images: Tensor,
        style: Tensor,
        size: int,
        weights: str = "",
        style_2: Tensor | None = None,
        style_3: Tensor | None = None,
        keep: Tensor | None = None,
        **given: Any,
    ) -> io.NodeOutput:
        """Paint every image.

        Args:
            images, style, style_2, style_3: (B, H, W, C) in [0, 1].
            size: longer side of the pictures; 0 for the images' own.
            weights: shares of the paintings; empty for equal ones.
            keep: (B, H, W) or (H, W) in [0, 1]; the last is used for what is left of a longer batch.
            given: of `OFFERED`.
        """
        # ComfyUI runs nodes in inference mode, in which there are no gradients, and whose tensors cannot have any
        with torch.inference_mode(False), torch.enable_grad():
            paintings = [one for batch in (style, style_2, style_3) if batch is not None for one in _images(batch)]
            shares = {"style_weight": tuple(float(share) for share in weights.split(","))} if weights.strip() else {}
            settings = Settings(size=size or "full", **shares, **given)
            masks = None if keep is None else list(keep.clone().reshape(-1, *keep.shape[-2:]))
            photographs = _images(images)
            bar, done = ProgressBar(len(photographs) * 1000), []
            for number, photograph in enumerate(photographs):
                protect = None if masks is None else masks[min(number, len(masks) - 1)].expand(1, 3, -1, -1)
                for now in painter().steps(photograph, paintings, settings, protect=protect):
                    throw_exception_if_processing_interrupted()
                    preview = ("JPEG", to_pil(now.image.detach().cpu()), PREVIEW)
                    bar.update_absolute(number * 1000 + 1000 * now.step // now.steps, preview=preview)
                    image = now.image
                done.append(image.detach().cpu().movedim(1, -1))
                bar.update_absolute((number + 1) * 1000)
            return io.NodeOutput(torch.cat(done))


class ImpastoExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this folder."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [ImpastoPaint]


async def comfy_entrypoint() -> ImpastoExtension:
    """Called by ComfyUI once, at its start."""
    return ImpastoExtension()


def _images(batch: Tensor) -> list[Tensor]:
    """(B, H, W, C) as B images (1, 3, H, W), which may have gradients."""
    return [one.clone().movedim(-1, 0)[None, :3].contiguous() for one in batch.float()]


def _widget(name: str) -> Any:
    """The input of a setting, with its own default, range and help sentence."""
    option = OPTIONS[name]
    about = {"default": option.default, "tooltip": option.metadata["help"]}
    if option.metadata["choices"]:
        return io.Combo.Input(name, options=list(option.metadata["choices"]), **about)
    low, high = option.metadata["minimum"], option.metadata["maximum"]
    return io.Float.Input(name, min=low, max=high, step=0.05 if high <= 20 else 1.0, **about)
