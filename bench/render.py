"""Milliseconds to render a face on one core: python bench/render.py [--side 48] [--faces 140].

Processor time of this process counts, the median over people of each one's mean, a person's shape
included; the stages' shares are those of a second round under the profiler. Milliseconds do not
travel between machines.
"""

import argparse
import cProfile
import os
import pstats
import statistics
import time

os.environ["OMP_NUM_THREADS"] = "1"

from mien.render.faces import Plan, orders, render_person

STAGES = {
    "identity": "people's shapes",
    "pose": "pose",
    "rasterize": "triangles to pixels",
    "normals": "normals",
    "paint": "paint",
    "occlusion": "occlusion",
    "shadow": "shadow",
    "reflected": "light",
    "background": "background",
    "developed": "camera",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--faces", type=int, default=140)
    options = parser.parse_args()
    plan = Plan(options.faces, options.side, 0, "balanced", 0.0, 0.1)
    everyone = [its for its in orders(plan) if its]
    render_person(plan, "train", everyone[0])  # textures and pack are read once
    each = []
    for its in everyone:
        began = time.process_time()
        render_person(plan, "train", its)
        each.append(1000 * (time.process_time() - began) / len(its))
    low, middle, high = statistics.quantiles(each, n=10)[0], statistics.median(each), max(each)
    print(f"{options.side} pixels: {middle:.1f} ms a face (10%: {low:.1f}, slowest: {high:.1f})")
    profile = cProfile.Profile()
    profile.runcall(lambda: [render_person(plan, "train", its) for its in everyone])
    stats = pstats.Stats(profile).stats
    total = sum(timing[2] for timing in stats.values())
    for function, name in STAGES.items():
        spent = sum(
            timing[3]
            for (path, _, called), timing in stats.items()
            if called == function and "render" in path
        )
        print(f"  {name:20} {spent / total:5.1%}")
    print("  (pose and people's shapes hold normals too; the rest is gathering between the stages)")


if __name__ == "__main__":
    main()
