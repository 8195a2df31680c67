"""Who paints for the command line: the installed networks, unless whoever calls `main` brings a painter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from impasto.painting import Painter

Painters = Annotated[Any, Parameter(parse=False)]
"""Of a command: `impasto.runs.paint_file.Painters`, which `main` passes on and nobody types."""


def installed(weights: Path | None = None) -> Painter:
    """The painter of the installed networks, or of a file of weights; torch is imported here and not before.

    Raises:
        WeightsError: there are none.
    """
    from impasto.network.weights import find_weights
    from impasto.painting import painter

    find_weights(weights)  # before anything else is read
    return painter(weights)
