"""What workers gain: evaluations per second of one Ray worker of one thread, and of two, in turns.

The last row is what this machine can give: two processes of one thread that evaluate half the image each and share
nothing, against one of them alone. Two cores that share a cache or its memory's bandwidth are not twice one.

    python benchmarks/cluster.py            # 1024 px, a few minutes
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch

from impasto.methods.cluster import ENVIRONMENT, Cluster
from impasto.methods.schedule import schedule
from impasto.network.models import Models
from impasto.objective.objective import Objective, style_moments
from impasto.settings import Settings


def seconds(cluster: Cluster, workers: int, size: int, evaluations: int) -> float:
    """Seconds per evaluation, the first one left out."""
    settings = cluster.settings
    scale = schedule(size, size, settings)[-1]
    generator = torch.Generator().manual_seed(0)
    content = torch.nn.functional.interpolate(torch.rand(1, 3, 64, 64, generator=generator), (size, size))
    style = style_moments(Models().vgg(), content[..., :256, :256], scale.weights.layers)
    places = cluster._places()
    cluster._places = lambda: places[:workers]  # type: ignore[method-assign]
    times = []
    for number, _ in enumerate(cluster.minimise(scale, content, style, content), start=1):
        times.append(time.perf_counter())
        if number > evaluations:
            break
    cluster._places = lambda: places  # type: ignore[method-assign]
    return (times[-1] - times[0]) / (len(times) - 1)


def apart(size: int, evaluations: int, processes: int) -> float:
    """Seconds per evaluation of half the image, in each of some processes at once that know nothing of each other."""
    command = [sys.executable, __file__, "--size", str(size), "--evaluations", str(evaluations), "--half"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return statistics.mean(float(child.communicate()[0]) for child in children)


def half(size: int, evaluations: int) -> float:
    """Seconds per evaluation of half the image, in this process with one thread."""
    torch.set_num_threads(1)
    settings = Settings(size=size, quality="best")
    scale = schedule(size, size, settings)[-1]
    network = Models().vgg()
    content = torch.rand(1, 3, size // 2, size, generator=torch.Generator().manual_seed(0))
    style = style_moments(network, content[..., :256, :256], scale.weights.layers)
    objective = Objective(network, content, style, scale.weights)
    times = []
    for _ in range(evaluations + 1):
        times.append(time.perf_counter())
        objective(content)
    return (time.perf_counter() - times[1]) / evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--evaluations", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--half", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.half:
        print(half(arguments.size, arguments.evaluations))
        return
    os.environ.update(ENVIRONMENT)
    import ray
    from ray.cluster_utils import Cluster as Nodes

    node = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
    nodes = Nodes(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    ray.init(address=nodes.address, log_to_driver=False)
    cluster = Cluster("auto", Settings(size=arguments.size, quality="best"), smallest=1)
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(arguments.turns):
        for workers in found:
            found[workers].append(seconds(cluster, workers, arguments.size, arguments.evaluations))
    ray.shutdown()
    nodes.shutdown()
    one, two = (statistics.median(found[workers]) for workers in (1, 2))
    print("| workers of one thread | seconds per evaluation | throughput |\n| --- | --- | --- |")
    print(f"| 1 | {one:.2f} | 1.00 |\n| 2 | {two:.2f} | {one / two:.2f} |")
    alone, both = (apart(arguments.size, arguments.evaluations, count) for count in (1, 2))
    print(f"| 2 that share nothing, half the image each | {both:.2f} (alone {alone:.2f}) | {2 * alone / both:.2f} |")


if __name__ == "__main__":
    main()
