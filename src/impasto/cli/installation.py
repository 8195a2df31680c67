"""What this installation has: versions, devices, weights, paintings, formats."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from impasto import __version__
from impasto.errors import WeightsError
from impasto.images.formats import FORMATS
from impasto.images.gallery import network_names, style_names
from impasto.network.device import pick_device, present_devices
from impasto.network.finders import FINDERS
from impasto.network.weights import VGG, WeightsFile, cache_folder, find_weights


def facts() -> dict[str, Any]:
    """What `impasto info --json` prints."""
    return {
        "impasto": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "devices": present_devices(),
        "device": str(pick_device("auto")),
        "weights": _weights(VGG),
        "finders": {name: _weights(file) for name, file in FINDERS.items()},
        "cache": str(cache_folder()),
        "styles": list(style_names()),
        "networks": list(network_names()),
        "formats": list(FORMATS),
    }


def print_facts(facts: dict[str, Any]) -> None:
    """The same for a person."""
    words = {
        **facts,
        "devices": f"{', '.join(facts['devices'])}; auto takes {facts['device']}",
        "weights": _weights_in_words(facts["weights"]),
        "finders": "\n".join(f"{name}: {_finder_in_words(file)}" for name, file in facts["finders"].items()),
        "styles": ", ".join(facts["styles"]) or "none",
        "networks": ", ".join(facts["networks"]) or "none",
        "formats": ", ".join(facts["formats"]),
    }
    del words["device"]
    table = Table.grid(padding=(0, 3, 0, 0))
    for name, value in words.items():
        table.add_row(Text(name, style="cyan"), Text(value, overflow="fold"))
    Console().print(table)


def _weights(file: WeightsFile) -> dict[str, Any]:
    try:
        location = find_weights(None, file)
    except WeightsError as error:
        return {"error": str(error)}
    return {**asdict(location), "path": str(location.path)}


def _finder_in_words(weights: dict[str, Any]) -> str:
    """Few need them: where one is, or how to have it."""
    return str(weights["path"] if "path" in weights else str(weights["error"]).splitlines()[-1].rpartition(": ")[-1])


def _weights_in_words(weights: dict[str, Any]) -> str:
    if "error" in weights:
        return str(weights["error"])
    verdict = "hash as published" if weights["verified"] else "not the published file"
    size = f"{weights['size'] / 1e6:.1f} MB"
    return f"{weights['path']}\n{size}, {verdict}, from {weights['origin']}\n{weights['attribution']}"
