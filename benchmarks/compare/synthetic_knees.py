"""A dataset of synthetic knees in nnU-Net's raw layout, with the paper's two cartilage labels: thin structures.

    python -m benchmarks.compare.synthetic_knees --out DIR --knees 20 --shape 128 128 24

Sagittal slices lie along x, the axis of the largest spacing, so that nnU-Net's 2d configuration takes them. Every knee
fills the same field of view: the larger the shape, the finer the voxels. The same arguments give the same knees.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from nnunet_eas.phantom import LABELS, knee
from nnunet_eas.support.files import replacing, write_json

NAME = "Dataset520_PhantomKnees"
FIELD_OF_VIEW_MM = (96.0, 110.0, 92.0)
CARTILAGE = {"femoral_cartilage": 1, "tibial_cartilage": 2}


def main() -> None:
    """Writes the dataset; existing knees are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help=f"the folder in which {NAME} is made")
    parser.add_argument("--knees", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 128, 24), metavar="EDGE", help="voxels, z y x")
    args = parser.parse_args()
    folder = args.out / NAME
    for subfolder in ("imagesTr", "labelsTr"):
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
    spacing = tuple(length / edge for length, edge in zip(FIELD_OF_VIEW_MM, args.shape, strict=True))
    for seed in tqdm(range(args.knees), desc="drawing knees"):
        mask = folder / "labelsTr" / f"knee_{seed:03d}.nii.gz"
        if not mask.is_file():
            drawn = knee(seed=seed, shape=tuple(args.shape), spacing=spacing)
            cartilage = np.zeros_like(drawn.segmentation)
            for name, label in CARTILAGE.items():
                cartilage[drawn.segmentation == LABELS[name]] = label
            _write(drawn.image, spacing, folder / "imagesTr" / f"knee_{seed:03d}_0000.nii.gz")
            _write(cartilage, spacing, mask)
    content = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, **CARTILAGE},
        "numTraining": args.knees,
        "file_ending": ".nii.gz",
        # results are told apart by this file's bytes too: other words would make the committed ones out of date
        "description": f"made knees, seeds 0 to {args.knees - 1}",
    }
    write_json(folder / "dataset.json", content)


def _write(array: np.ndarray, spacing: tuple[float, ...], path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    with replacing(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)


if __name__ == "__main__":
    main()
