"""Fetch a published file of weights into the user's cache: only when asked, verified, resumable."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from impasto.errors import WeightsError
from impasto.network.weights import VGG, WeightsFile, cache_folder, located, remedy, sha256

ATTEMPTS = 5  # requests per call, each going on where the last broke off
BLOCK = 1 << 18  # bytes


def download(
    file: WeightsFile = VGG,
    *,
    url: str | None = None,
    cache: Path | None = None,
    timeout: float = 30.0,
    report: Callable[[int], Any] = lambda received: None,
) -> Path:
    """Path of the verified file in the cache, fetched if it is not there; goes on where an earlier call stopped.

    Args:
        file: what to fetch.
        url: from where; None is the file's published address.
        cache: folder to keep it in; None is the user's cache.
        timeout: seconds without an answer after which the server counts as gone.
        report: called with the bytes received so far.

    Raises:
        WeightsError: the server cannot be reached, breaks off, or sends something else. Nothing unverified is ever
            found under the file's name.
    """
    cache, url = cache or cache_folder(), url or file.url
    target, part = cache / file.name, cache / f"{file.name}.part"
    if target.is_file() and located(target, "cache", file).verified:
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _receive(file, url, part, timeout, report)
        if sha256(part) != file.sha256:
            part.unlink()
            raise WeightsError(f"{url} sent another file than {file.name} (sha256 {file.sha256}); nothing was kept")
        part.replace(target)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _receive(file: WeightsFile, url: str, part: Path, timeout: float, report: Callable[[int], Any]) -> None:
    """Fill `part` up to the file's size, asking again for the rest when the connection breaks off."""
    received, reason = _size(part), "the server ended the connection"
    for _ in range(ATTEMPTS):
        before = received
        if received == file.size:
            return
        try:
            _request(file, url, part, timeout, report)
        except HTTPError as error:
            if error.code == 416:  # the server's file ends before ours goes on: they are not the same
                part.unlink(missing_ok=True)
            raise WeightsError(f"{url} answered {error.code} {error.reason}; {remedy(file)}") from error
        except WeightsError:
            raise
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error) or type(error).__name__)
        received = _size(part)
        if received <= before:
            break
    if received != file.size:
        raise WeightsError(
            f"the download of {url} stopped at {received} of {file.size} bytes ({reason}); "
            "run it again to go on from there"
        )


def _request(file: WeightsFile, url: str, part: Path, timeout: float, report: Callable[[int], Any]) -> None:
    """One request for what `part` lacks; a server without Range support sends all of it again."""
    start = _size(part) if _size(part) < file.size else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urlopen(request, timeout=timeout) as response:
        if response.headers.get_content_type() == "text/html":
            raise WeightsError(f"{url} sent a web page, not {file.name}; {remedy(file)}")
        received = start if response.status == 206 else 0
        with part.open("ab" if received else "wb") as stream:
            while block := response.read(BLOCK):
                stream.write(block)
                received += len(block)
                report(received)
                if received > file.size:
                    break
    if received > file.size:
        part.unlink()
        raise WeightsError(f"{url} sent another file than {file.name}: it is longer than {file.size} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
