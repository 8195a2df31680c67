"""What workers gain: evaluations per second of one Ray worker of one thread, and of two, in turns.

python benchmarks/cluster.py            # 1024 px, a few minutes
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from impasto.cluster import ENVIRONMENT, Cluster
from impasto.objective import style_moments
from impasto.painting import feature_network
from impasto.schedule import schedule
from impasto.settings import Settings


def seconds(cluster: Cluster, workers: int, size: int, evaluations: int) -> float:
    """Seconds per evaluation, the first one left out."""
    settings = cluster.settings
    scale = schedule(size, size, settings)[-1]
    generator = torch.Generator().manual_seed(0)
    content = torch.nn.functional.interpolate(torch.rand(1, 3, 64, 64, generator=generator), (size, size))
    style = style_moments(feature_network(settings), content[..., :256, :256], scale.weights.layers)
    places = cluster._places()
    cluster._places = lambda: places[:workers]  # type: ignore[method-assign]
    times = []
    for number, _ in enumerate(cluster.minimise(scale, content, style, content), start=1):
        times.append(time.perf_counter())
        if number > evaluations:
            break
    cluster._places = lambda: places  # type: ignore[method-assign]
    return (times[-1] - times[0]) / (len(times) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--evaluations", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
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


if __name__ == "__main__":
    main()
