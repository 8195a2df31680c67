"""impasto as a node of ComfyUI (third schema): ComfyUI calls `comfy_entrypoint` when it loads this folder."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
