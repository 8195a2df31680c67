"""On a cluster as on one machine. The clusters here are processes on this machine."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_image

from impasto.errors import SettingsError
from impasto.images.reading import read_image, to_image, write_image
from impasto.methods.cluster import ENVIRONMENT, Cluster, Strip, check_answers, connect, strips
from impasto.methods.schedule import Scale, schedule
from impasto.network.models import Models
from impasto.objective.objective import Objective, style_moments
from impasto.objective.optimize import LBFGS, minimise
from impasto.objective.tiles import ALIGNMENT
from impasto.painting import Painter, paint, paint_steps
from impasto.runs.batch import plan
from impasto.runs.cluster import paint_many, paint_tasks
from impasto.runs.film import film_file
from impasto.settings import Settings

HEIGHT, WIDTH = 200, 136
SETTINGS = Settings(
    size=HEIGHT, quality="draft", smoothness=1.0, style_layers="relu1_1,relu3_1", content_layers="relu2_2"
)
CONTENT, STYLE = random_image(HEIGHT, WIDTH, seed=1), random_image(90, 120, seed=2)


@pytest.mark.parametrize(
    ("height", "count", "margin"), [(200, 2, 32), (1000, 7, 96), (97, 5, 96), (64, 3, 32), (33, 2, 32)]
)
def test_strips_are_a_partition(height: int, count: int, margin: int):
    parts = strips(height, 50, count, margin)
    assert sum(part.height for part in parts) == height
    assert len(parts) <= count
    tops = [sum(p.height for p in parts[:i]) for i in range(len(parts))]
    assert all(top % ALIGNMENT == 0 for top in tops)
    assert all(part.height >= margin for part in parts) or len(parts) == 1
    assert (parts[0].above, parts[-1].below) == (0, 0)
    assert all(a.below == b.above == margin for a, b in pairwise(parts))


@pytest.mark.parametrize("quality", ["instant", "reference"])
def test_what_cannot_be_spread_is_refused(quality: str):
    with pytest.raises(SettingsError, match="cannot be spread"):
        paint_steps(CONTENT, STYLE, Settings(size=64, quality=quality, cluster="local"))


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with one core each."""
    os.environ.update(ENVIRONMENT)
    import ray
    from ray.cluster_utils import Cluster as Nodes

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    nodes = Nodes(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def problem() -> tuple[Scale, dict[str, Any]]:
    scale = schedule(HEIGHT, WIDTH, SETTINGS)[-1]
    network = Models().vgg()
    return scale, style_moments(network, STYLE, scale.weights.layers)


def alone(scale: Scale, style: dict[str, Any]) -> list[Any]:
    objective = Objective(Models().vgg(), CONTENT, style, scale.weights)
    return list(minimise(objective, CONTENT * 0.9, LBFGS(), scale.evaluations))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
class TestOnTwoNodes:
    def test_the_same_picture(self, two_nodes: Any):
        scale, style = problem()
        cluster = Cluster("auto", SETTINGS, smallest=1)
        steps = list(cluster.minimise(scale, CONTENT, style, CONTENT * 0.9))
        expected = alone(scale, style)
        assert len(cluster._places()) == 2
        assert len(steps) == len(expected) + 1  # the whole picture comes last
        for ours, theirs in zip(steps, expected, strict=False):
            for name, term in theirs.evaluation.terms.items():
                torch.testing.assert_close(ours.evaluation.terms[name], term, rtol=1e-3, atol=0)
        assert steps[-1].image.shape == CONTENT.shape
        assert (steps[-1].image - expected[-1].image).abs().mean() < 1e-4

    def test_a_worker_that_dies_is_replaced_and_a_node_that_joins_is_used(self, two_nodes: Any):
        scale, style = problem()
        cluster = Cluster("auto", SETTINGS, smallest=1)
        steps = []
        for step in cluster.minimise(scale, CONTENT, style, CONTENT * 0.9):
            steps.append(step)
            if len(steps) == 3:
                two_nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20)
                pid = cluster.ray.get(cluster.workers[1].process.remote())
                os.kill(pid, signal.SIGKILL)
        assert len(cluster._places()) == 3
        assert any("lost" in (step.note or "") for step in steps)
        expected = alone(scale, style)
        assert (steps[-1].image - expected[-1].image).abs().mean() < 1e-4

    def test_many_pictures(self, two_nodes: Any):
        photos = [random_image(40, 56, seed) for seed in range(5)]
        settings = Settings(size=56, quality="draft", style_layers="relu1_1", content_layers="relu2_1")
        painted = dict(paint_many([(photo, STYLE) for photo in photos], settings))
        assert sorted(painted) == list(range(5))
        for number, photo in enumerate(photos):
            assert (painted[number] - paint(photo, STYLE, settings)).abs().mean() < 1e-3
        with pytest.raises(SettingsError, match="nocturnal"):
            list(paint_many([(photos[0], "nocturnal")], settings))

    def test_a_batch(self, two_nodes: Any, tmp_path: Path):
        """Whole pictures, each claimed, painted and written where it is painted; files are found from here."""
        for name, image in (("a", CONTENT), ("b", CONTENT.flip(3)), ("x", STYLE)):
            write_image(tmp_path / f"{name}.png", image)
        (tmp_path / "c.png").write_bytes(b"no picture")
        settings = Settings(size=56, quality="draft", style_layers="relu1_1", content_layers="relu2_1")
        photographs = [Path(os.path.relpath(tmp_path / f"{name}.png")) for name in "abc"]
        tasks = plan(photographs, [tmp_path / "x.png"], settings, tmp_path / "out")
        results = {result.task: result for result in paint_tasks(tasks, "auto")}
        assert [results[task].status for task in tasks] == ["painted", "painted", "failed"]
        assert "c.png" in str(results[tasks[2]].error)
        here = to_image(paint(tasks[0].content, tasks[0].style[0], settings)).image
        assert (read_image(tasks[0].output).image - here).abs().mean() < 2e-3
        again = paint_tasks(tasks[:2], "auto")
        assert [result.status for result in again] == ["there"] * 2

    def test_the_shots_of_a_film(self, two_nodes: Any, tmp_path: Path):
        """Several at a time, with the film's own numbers; gone on with on one machine after a stop."""
        pytest.importorskip("av")
        pytest.importorskip("cv2")
        one, other = random_image(40, 60, 1), 1 - random_image(40, 60, 1)
        frames = tmp_path / "frames"
        frames.mkdir()
        for number, (image, x) in enumerate((image, x) for image in (one, other, one) for x in (0, 2)):
            write_image(frames / f"{number:03d}.png", image[..., x : x + 56])
        write_image(tmp_path / "style.png", STYLE)
        settings = Settings(size=56, quality="draft", style_layers="relu1_1", content_layers="relu2_1")
        how: dict[str, Any] = {
            "clip": frames,
            "style": [str(tmp_path / "style.png")],
            "painter": Painter(),
            "keep": True,
            "keep_every": 0,
        }
        assert film_file(output=tmp_path / "here", settings=settings, **how) == 6
        spread = replace(settings, cluster="auto")
        assert film_file(output=tmp_path / "apart", settings=spread, **how) == 6
        stop: Any = lambda number, frames: number < 5  # noqa: E731
        film_file(output=tmp_path / "stopped", settings=spread, **how, every=stop)
        said: list[str] = []
        film_file(output=tmp_path / "stopped", settings=settings, **how, note=said.append)
        assert said == ["goes on from frame 5"]  # where the last shot begins
        for place in ("apart", "stopped"):
            for number in range(1, 7):
                painted, here = (read_image(tmp_path / name / f"{number:06d}.png").image for name in (place, "here"))
                assert (painted - here).abs().mean() < 3e-3
        with pytest.raises(SettingsError, match="did you mean faces"):
            film_file(output=tmp_path / "wrong", settings=spread, **how, protect="fases")
        with pytest.raises(SettingsError, match="leave out cluster"):
            film_file(output=tmp_path / "loop", settings=spread, **how, loop=True)

    def test_another_clusters_address_is_not_ignored(self, two_nodes: Any):
        assert connect("auto") is connect(two_nodes.address)
        with pytest.raises(SettingsError, match=r"is connected to the Ray cluster .* already"):
            connect("127.0.0.1:1")

    def only_the_last_scale(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Paint the last scale on the cluster; returns where the numbers of workers are noted that were hired."""
        hired: list[int] = []
        hire = Cluster._hire

        def noted(cluster: Cluster, places: Any) -> None:
            hired.append(len(places))
            hire(cluster, places)

        monkeypatch.setattr("impasto.methods.cluster.Cluster.wants", lambda self, scale: scale.picture[0] == HEIGHT)
        monkeypatch.setattr("impasto.methods.cluster.SMALLEST_STRIP", 1)
        monkeypatch.setattr("impasto.methods.cluster.Cluster._hire", noted)
        return hired

    def test_from_the_settings(self, two_nodes: Any, monkeypatch: pytest.MonkeyPatch):
        """The whole way, with the command's words; small scales are painted here."""
        hired = self.only_the_last_scale(monkeypatch)
        steps = [step.image for step in paint_steps(CONTENT, STYLE, SETTINGS, cluster="auto")]
        apart = steps[-1]
        assert {step.shape[-1] / step.shape[-2] for step in steps} == {WIDTH / HEIGHT}
        assert len(hired) == 1
        assert hired[0] >= 2
        together = paint(CONTENT, STYLE, SETTINGS)
        assert apart.shape == together.shape
        assert (apart - together).abs().mean() < 1e-3

    def test_with_masks_and_what_is_protected(self, two_nodes: Any, monkeypatch: pytest.MonkeyPatch):
        hired = self.only_the_last_scale(monkeypatch)
        monkeypatch.setattr("impasto.methods.cluster.SHOWN", 64)  # on its way the picture is seen smaller
        mask = torch.zeros(1, 3, HEIGHT, WIDTH)
        mask[..., 60:] = 1
        guides = {"mask": mask, "style_mask": ["black", "white"], "protect": "10%,35%,60%,65%"}
        apart, together = (
            paint(CONTENT, [STYLE, STYLE.flip(1)], SETTINGS, keep_lines=40, cluster=cluster, **guides)
            for cluster in ("auto", "none")
        )
        assert len(hired) == 1
        assert hired[0] >= 2
        assert (apart - together).abs().mean() < 1e-3


def test_a_cluster_that_is_not_there_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_answers(f"127.0.0.1:{port}")
        check_answers(f"ray://127.0.0.1:{port}")
        check_answers("auto")
    with pytest.raises(SettingsError, match=r"cannot be reached: .*refused; start one"):
        check_answers(f"127.0.0.1:{port}")


def test_one_strip_is_the_whole():
    assert strips(100, 80, 1, 32) == [Strip(0, 1, 100, 80, 0, 0)]
