"""`benchmarks/gpu.py` on the processor, small: what it prints is a table, and a wrong device is found out."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_it_prints_both_tables(gpu: ModuleType, capsys: pytest.CaptureFixture[str]):
    status = gpu.main(["--device", "cpu", "--sizes", "64", "--qualities", "draft", "--precisions", "float32"])
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert status == 0
    assert [len(row) for row in rows] == [7] * (2 + 2 + 2 + 1)
    assert all(float(row[3]) > 0 and int(row[4]) > 0 for row in rows[-1:])
    assert [row[6].strip() for row in rows[2:4]] == ["yes"] * 2


class Painter:
    """Its first loss is off by a share on any device but the processor."""

    def __init__(self, share: float) -> None:
        self.share = share

    def steps(self, photo: Any, painting: Any, settings: Any) -> Iterator[Any]:
        wrong = 1.0 if settings.device == "cpu" else 1 + self.share
        for total in (2.0 * wrong, 1.0):
            yield type("Step", (), {"losses": {"total": total}})


@pytest.mark.parametrize(("share", "right"), [(0.001, True), (0.05, False)])
def test_a_wrong_device_is_found_out(gpu: ModuleType, share: float, right: bool):
    assert gpu.check(Painter(share), Path(), Path(), "cuda", 64) is right
