"""Hostile files of every kind that is read, as many as asked for: `pytest -m attack`.

A sentence or a sound result within 20 s of processor time and 1 GB a file, whatever it holds. The seed is new each
run, and printed: IMPASTO_ATTACK_SEED repeats a run, IMPASTO_ATTACK_FILES sets how many files (600 unless set).
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import bounded
import numpy as np
import pytest
from bounded import BYTES, bounded_all
from hostile import hostile

TOGETHER = 20  # files that one process reads, one after the other
ADDRESSES = 4 * 10**9  # bytes that it may ask for; those that it does not use cost nothing


@pytest.mark.attack
def test_hostile_files(tmp_path: Path, seed: int) -> None:
    count = int(os.environ.get("IMPASTO_ATTACK_FILES", "600"))
    (tmp_path / "sound").mkdir()
    files = islice(hostile(tmp_path / "sound", np.random.default_rng(seed)), count)
    paths = [tmp_path / f"file{number}" for number in range(TOGETHER)]
    tried: Counter[str] = Counter()
    read: Counter[str] = Counter()
    found: list[str] = []
    most = longest = 0.0
    while batch := list(islice(files, TOGETHER)):
        works = []
        for path, (kind, content) in zip(paths, batch, strict=False):
            path.write_bytes(content)
            works.append((getattr(bounded, kind), path))
        outcomes = bounded_all(works, memory=ADDRESSES)
        for work, outcome, (kind, content) in zip(works, outcomes, batch, strict=True):
            if not outcome.ended or outcome.bytes > BYTES:  # alone: of one process that reads many, the most counts
                outcome = bounded.bounded(*work, memory=ADDRESSES)
            if not outcome.ended or outcome.bytes > BYTES:
                name = f"attack-{seed}-{len(found)}"
                Path(name).write_bytes(content)
                found.append(f"{name} {kind}: {outcome}")
                print(found[-1], flush=True)
            tried[kind] += 1
            read[kind] += outcome.words.endswith("read")
            most, longest = max(most, outcome.bytes), max(longest, outcome.seconds)
        if tried.total() % 500 == 0:
            print(f"{tried.total()} files, {len(found)} wrong", flush=True)
    for kind, tries in tried.items():
        print(f"{kind}: {tries} files, {read[kind]} read")
    print(
        f"{count} files, {len(found)} wrong; at most {most / 1e6:.0f} MB and {longest:.1f} s of processor time a file"
    )
    assert 0 < read["read_or_refuse"] < tried["read_or_refuse"]
    assert not found
