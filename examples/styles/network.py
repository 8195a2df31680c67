"""Take a network back to a weaker style: `python -m impasto.styles.network trained.safetensors 25 out.safetensors`.

Up to that strength it paints as before; a stronger one it has then not learnt. So `nocturne-fast` was made, whose style
at its own strength left too little of faces (docs/training.md).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from impasto.network.transform import PHOTOGRAPH
from impasto.network.transform_file import load_transform, to_bytes


def weakened(path: Path, strength: float) -> bytes:
    """The file of a network whose paintings' scales and shifts are brought nearer to the photograph's own.

    Args:
        path: of the network.
        strength: more than 0, up to what it has learnt.
    """
    network, about = load_transform(path)
    if not 0 < strength <= about.strength:
        raise SystemExit(f"{strength:g} is not between 0 and {about.strength:g}, which {path} has learnt")
    for name, sets in network.state_dict().items():  # of which `PHOTOGRAPH` is the first
        if name.endswith((".scale", ".shift")):
            sets.copy_(sets[PHOTOGRAPH].lerp(sets, strength / about.strength))
    made = f"{about.made}; taken back from strength {about.strength:g}"
    return to_bytes(network, replace(about, strength=strength, made=made))


if __name__ == "__main__":
    source, number, target = sys.argv[1:]
    Path(target).write_bytes(weakened(Path(source), float(number)))
