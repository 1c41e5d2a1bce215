"""``scripts/bench``: measure, and write the results into docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable

import typer

from scripts.benchmarks.answers import answers
from scripts.benchmarks.audit_speed import audit
from scripts.benchmarks.bulk import bulk
from scripts.benchmarks.cluster import cluster
from scripts.benchmarks.cluster_ray import nodes
from scripts.benchmarks.drift import drift
from scripts.benchmarks.duplicate_pictures import pictures
from scripts.benchmarks.encoders import encoders
from scripts.benchmarks.faults import faults
from scripts.benchmarks.kinds import kinds
from scripts.benchmarks.label_errors import labels
from scripts.benchmarks.matching import match
from scripts.benchmarks.memory import memory
from scripts.benchmarks.mwpd import mwpd
from scripts.benchmarks.novelty import novelty
from scripts.benchmarks.peers import peers
from scripts.benchmarks.review import review
from scripts.benchmarks.scale import scale
from scripts.benchmarks.search import search
from scripts.benchmarks.serving import serve
from scripts.benchmarks.targets import targets
from scripts.benchmarks.tuning import tune

app = typer.Typer(add_completion=False, help="Measure, and write docs/benchmarks.md.")
COMMANDS: tuple[Callable[..., None], ...] = (
    *(answers, targets, mwpd, encoders, tune, search, kinds, peers, scale, memory, faults, novelty),
    *(labels, review, drift, match, audit, serve, pictures, bulk, cluster, nodes),
)
for command in COMMANDS:
    app.command()(command)

if __name__ == "__main__":
    app()
