r"""Writes every generated table: the comparisons in `results`, and the blocks of docs and the README.

    python -m benchmarks.pages

Everything comes from committed results; a test compares the pages with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.commands import ROOT
from benchmarks.compare.comparison import compare
from benchmarks.compare.comparison_markdown import summary
from benchmarks.compare.presets import PRESETS
from benchmarks.compare.results_table import results_table
from benchmarks.markdown import put_between_marks
from benchmarks.planning.memory_tables import compiled_table, fit, gpu_fit, kept_table, voxels_table
from benchmarks.speed.cpu_tables import busy_table, paths_table
from benchmarks.speed.gpu_table import depthwise_table, gpu_table
from benchmarks.speed.speed_table import speed_table
from nnunet_eas.support.files import read_json

RESULTS = ROOT / "benchmarks" / "results"
COMPARISONS = {
    "comparison": ("runs", "costs.json", "comparison", "comparison.md"),
    "rivals": ("runs", "costs.json", "rivals", "comparison.md"),
    "ablation": ("runs", "costs_of_ablation.json", "ablation", "comparison.md"),
    "variants": ("runs_of_variants", "costs.json", "variants", "network.md"),
    "synthetic_knees": ("runs_of_phantom_knees", "costs.json", "phantom_knees", "comparison.md"),
    "redrawn_knees": ("runs_of_redrawn_knees", "costs.json", "redrawn_knees", "comparison.md"),
}
"""For every preset of the committed results: the runner's folder, the costs, the files to write, and the page."""


def main() -> None:
    """Writes all pages of the source folder."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write_pages(ROOT)


def write_pages(root: Path) -> None:
    """Writes the comparisons and the blocks of the pages below a source folder.

    Raises:
        RuntimeError: Committed results do not fit together.
    """
    docs = root / "docs" / "benchmarks"
    for block, (runs, costs, name, page) in COMPARISONS.items():
        out = root / "benchmarks" / "results" / name
        tables, faults = compare(RESULTS / runs, RESULTS / costs, PRESETS[block], out)
        if faults:
            raise RuntimeError(f"committed results must fit together, got {'; '.join(faults)} Correct provenance.json.")
        put_between_marks(docs / page, block, summary(tables))
        if block == "comparison":
            put_between_marks(root / "README.md", "results", results_table(tables))
    others = {"0.1.0, bfloat16": "speed_cpu.json", "0.1.0, bfloat16, `--quick`": "speed_cpu_quick.json"}
    table = speed_table(_result("speed_cpu_avx2.json"), {head: _result(name) for head, name in others.items()})
    put_between_marks(docs / "speed.md", "speed", table)
    put_between_marks(docs / "speed.md", "gpu", gpu_table([_result("gpu.json")]))
    put_between_marks(docs / "speed.md", "gpu-before", gpu_table([_result("gpu_before_kernels.json")]))
    put_between_marks(docs / "speed.md", "gpu-layouts", gpu_table([_result("gpu_layouts.json")]))
    put_between_marks(docs / "speed.md", "depthwise", depthwise_table(_result("depthwise_gpu.json")))
    cpu = root / "docs" / "explanation" / "cpu.md"
    put_between_marks(cpu, "paths", paths_table(_result("cpu_paths.json")))
    put_between_marks(cpu, "busy", busy_table(_result("busy_machine.json")))
    memory = root / "docs" / "explanation" / "memory.md"
    put_between_marks(memory, "fit", fit(_result("training_memory.json")))
    on_gpu = [_result("gpu.json"), _result("gpu_before_kernels.json")]
    put_between_marks(memory, "gpu-fit", gpu_fit(on_gpu))
    put_between_marks(memory, "voxels", voxels_table(_result("training_memory.json")))
    put_between_marks(memory, "kept", kept_table(_result("kept_bytes.json")))
    put_between_marks(memory, "compiled", compiled_table(_result("compiled_peak.json")))


def _result(name: str) -> Any:
    return read_json(RESULTS / name, name)


if __name__ == "__main__":
    main()
