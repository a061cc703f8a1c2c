"""`nnunet-eas convert oai-zib` at full size against bare reading and compressed writing with SimpleITK.

    python -m benchmarks.speed.conversion --work DIR --out RESULT.json

Both convert the same cases with the same number of workers, in turns. The cases are one synthetic knee of OAI's size
(160 x 384 x 384) under many ids, because drawing takes a minute a knee.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import SimpleITK as sitk

from benchmarks import environment
from nnunet_eas.phantom_archive import write_archive
from nnunet_eas.support.files import write_json

SHAPE, SPACING = (384, 384, 160), (0.36458333, 0.36458333, 0.7)


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for archive and outputs (some GB)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    archive, mri = make_archive(args.work, args.cases)
    runs = []
    for repeat in range(args.repeats):
        for workers in (1, 2):
            run = {
                "repeat": repeat,
                "workers": workers,
                "bare_s": bare(archive, mri, args.work / "bare", workers),
                **ours(archive, mri, args.work / "raw", workers),
            }
            print(run, flush=True)
            runs.append(run)
    of = {w: [r for r in runs if r["workers"] == w] for w in (1, 2)}
    content = {
        "cases": args.cases,
        "shape_zyx": SHAPE,
        "ours_over_bare": {w: statistics.median(r["ours_s"] / r["bare_s"] for r in of[w]) for w in of},
        "one_worker_over_two": statistics.median(a["ours_s"] / b["ours_s"] for a, b in zip(of[1], of[2])),
        "most_memory_of_a_process_mib": max(r["ours_mib"] for r in runs),
        "runs": runs,
        "environment": environment.describe(),
    }
    write_json(args.out, content)
    print(json.dumps({k: v for k, v in content.items() if k not in ("runs", "environment")}, indent=2))


def make_archive(work: Path, cases: int) -> tuple[Path, Path]:
    """Writes one knee under many ids, unless a call before did."""
    folder = work / "archive"
    if not (folder / "complete").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        written = write_archive(folder, cases=1, shape=SHAPE, spacing=SPACING)
        (case,) = written.cases
        masks, lines = written.masks / "segmentation", []
        for n in range(cases):
            number = str(9_900_000 + n)
            series = written.mri / "0.E.1" / number / "20050101" / "10000000"
            shutil.copytree(written.mri / case.series, series)
            lines.append(f"{number}: {series.relative_to(written.mri).as_posix()}")
            for ending in ("mhd", "raw"):
                old = masks / "segmentation_masks" / f"{case.identifier}.segmentation_masks.{ending}"
                new = old.with_name(old.name.replace(case.identifier, number))
                content = old.read_bytes()
                new.write_bytes(
                    content.replace(case.identifier.encode(), number.encode()) if ending == "mhd" else content
                )
        for ending in ("mhd", "raw"):
            (masks / "segmentation_masks" / f"{case.identifier}.segmentation_masks.{ending}").unlink()
        (masks / "doc" / "oai_mri_paths.txt").write_text("\n".join(lines) + "\n")
        (folder / "complete").touch()
    return folder / "archive", folder / "mri"


def ours(archive: Path, mri: Path, output: Path, workers: int) -> dict[str, float]:
    """Seconds of the command from start to end, and the memory of its largest process in MiB."""
    shutil.rmtree(output, ignore_errors=True)
    options = ["oai-zib", "--archive", archive, "--mri", mri, "-d", 500, "--output", output, "--workers", workers]
    code = (
        "import resource, sys; from nnunet_eas.cli.main import main; status = main(sys.argv[1:]); "
        "print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)));"
        "sys.exit(status)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "convert", *map(str, options)], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    return {"ours_s": round(seconds, 2), "ours_mib": round(int(done.stdout.splitlines()[-1]) / 1024)}


def bare(archive: Path, mri: Path, output: Path, workers: int) -> float:
    """Seconds of reading and compressed writing alone."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    masks = sorted((archive / "segmentation" / "segmentation_masks").glob("*.mhd"))
    jobs = [(next((mri / "0.E.1" / m.name.split(".")[0]).glob("*/*")), m, output) for m in masks]
    began = time.perf_counter()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(read_and_write, jobs))
    return round(time.perf_counter() - began, 2)


def read_and_write(job: tuple[Path, Path, Path]) -> None:
    """Reads and writes one case."""
    series, mask, output = job
    name = mask.name.split(".")[0]
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))
    sitk.WriteImage(image, str(output / f"{name}_0000.nii.gz"), useCompression=True)
    sitk.WriteImage(sitk.ReadImage(str(mask)), str(output / f"{name}.nii.gz"), useCompression=True)


if __name__ == "__main__":
    main()
