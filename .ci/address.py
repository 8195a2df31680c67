"""The repository's public address: written once into all that names it, and checked before a release.

python .ci/address.py write https://github.com/OWNER/NAME   then commit
python .ci/address.py check https://github.com/OWNER/NAME   refuses where another one stands, or none
python .ci/address.py index v0.1.0                          the README as an index shows it: its links lead to the tag
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

HOST = "https://github.com/"
BADGE = "docs/images/badge-colab.svg"
NOTEBOOK = "examples/impasto.ipynb"


def colab(address: str) -> str:
    """Where Colab opens the notebook."""
    return f"https://colab.research.google.com/github/{address.removeprefix(HOST)}/blob/main/{NOTEBOOK}"


def write(root: Path, address: str) -> None:
    """Write the address where it belongs, in place of an earlier one."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address) or address.endswith("/OWNER/NAME"):
        raise SystemExit(f"{address!r} is no repository's address; give its own, as https://github.com/OWNER/NAME")
    urls = f'Repository = "{address}"\nIssues = "{address}/issues"\nChangelog = "{address}/blob/main/CHANGELOG.md"\n'
    _change(
        root / "pyproject.toml",
        r"(\[project\.urls\]\n(?:\w+ = .*\n)*\n)?(?=\[project\.scripts\])",
        f"[project.urls]\n{urls}\n",
    )
    _change(
        root / "integrations/comfyui/pyproject.toml",
        r"\[project\.urls\]\n(?:\w+ = .*\n)*",
        f'[project.urls]\nRepository = "{address}"\n',
    )
    _change(root / "CITATION.cff", r"(repository-code: .*\n)?(?=license: )", f"repository-code: {address}\n")
    ci = f"{address}/actions/workflows/ci.yml"
    badges = f" [![CI]({ci}/badge.svg)]({ci}) [![Open the notebook in Colab]({BADGE})]({colab(address)})"
    _change(root / "README.md", r"(?<=badge-licence\.svg\)).*", badges)
    notebook = json.loads((root / NOTEBOOK).read_text(encoding="utf-8"))
    head = notebook["cells"][0]["source"]
    badge = f"[![Open in Colab]({address}/raw/main/{BADGE})]({colab(address)})\n"
    head[1:] = ["\n", badge, *head[3 if head[2].startswith("[![") else 1 :]]
    (root / NOTEBOOK).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def written(root: Path) -> str | None:
    """The address that stands in pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def check(root: Path, address: str) -> None:
    """Refuse a release of a repository in which another address stands, or none."""
    if written(root) != address:
        raise SystemExit(f"pyproject.toml says {written(root)}: python .ci/address.py write {address}, and commit")
    for name in ("README.md", NOTEBOOK):
        if colab(address) not in (root / name).read_text(encoding="utf-8"):
            raise SystemExit(f"{name} has no badge of {address}: python .ci/address.py write {address}, and commit")


def index(root: Path, tag: str) -> None:
    """Let the README's links and pictures lead to the tag: an index has no files of the repository."""
    address = written(root)
    if address is None:
        raise SystemExit("pyproject.toml says no address: python .ci/address.py write https://github.com/OWNER/NAME")
    for pattern, kind in (
        (r"(!\[[^\]]*\]\()(?!https?://|#)", "raw"),
        (r"(?<!!)(\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\]\()(?!https?://|#)", "blob"),
    ):
        _change(root / "README.md", pattern, rf"\1{address}/{kind}/{tag}/", every=True)


def _change(path: Path, pattern: str, new: str, *, every: bool = False) -> None:
    text = path.read_text(encoding="utf-8")
    if not re.search(pattern, text):
        raise SystemExit(f"{path} is not as this script expects: {pattern} is not in it")
    path.write_text(re.sub(pattern, new, text, count=0 if every else 1), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    verbs = {"write": write, "check": check, "index": index}
    if len(sys.argv) != 3 or sys.argv[1] not in verbs:
        raise SystemExit(__doc__)
    verbs[sys.argv[1]](Path(__file__).parent.parent, sys.argv[2])
