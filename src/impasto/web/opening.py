"""Whether there is a browser in front of whoever started the studio, and opening the page in it."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

ELSEWHERE = ("SSH_CONNECTION", "SSH_TTY", "CI", "container", "KUBERNETES_SERVICE_HOST", "PYTEST_CURRENT_TEST")
"""Of the environment: whoever sees the terminal sits at another machine, or nobody does."""
CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def has_browser(
    environment: Mapping[str, str] = os.environ,
    *,
    platform: str = sys.platform,
    terminal: bool | None = None,
    containers: Iterable[Path] = CONTAINERS,
) -> bool:
    """Whether a page that is opened here is seen by whoever gave the command.

    Args:
        terminal: whether the command's words go to one; None looks.
        containers: files that only containers have.
    """
    if terminal is None:
        terminal = sys.stdout.isatty()
    if not terminal or any(environment.get(name) for name in ELSEWHERE) or any(one.exists() for one in containers):
        return False
    return platform in ("win32", "darwin") or any(environment.get(name) for name in DISPLAYS)


def open_page(url: str, opens: Callable[[str], object] = webbrowser.open) -> None:
    """Open a page, without waiting: some browsers stay until they are closed; what goes wrong is no fault of ours."""

    def quietly() -> None:
        try:
            opens(url)
        except Exception as error:  # `webbrowser.Error`, or what a desktop makes of it
            print(f"note: no browser could be opened ({error}); open {url} yourself", file=sys.stderr)

    threading.Thread(target=quietly, daemon=True).start()
