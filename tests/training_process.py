"""One of the processes of a training together: `python training_process.py FOLDER`, as torchrun would start it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from conftest import tiny_weights

from impasto.methods.training import Recipe
from impasto.network.models import Models
from impasto.network.transform import Shape
from impasto.runs.reporter import Silent
from impasto.runs.training import TrainingJob, train_file
from impasto.settings import Settings


def job(folder: Path, output: str) -> TrainingJob:
    """Four steps of two pieces, with a validation."""
    recipe = Recipe(Settings(size=128), crop=64, batch=2, validations=3, patience=0)
    photographs = tuple(sorted((folder / "photographs").iterdir()))
    paintings = (folder / "painting.png",)
    return TrainingJob(paintings, photographs, folder / output, recipe, Shape(1, width=4, blocks=1), steps=4)


def train(folder: Path, output: str, **changes: object) -> None:
    train_file(replace(job(folder, output), **changes), Models(tiny_weights(dtype=torch.float32)), Silent())


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), "together.safetensors")
