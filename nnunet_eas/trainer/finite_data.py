"""Preprocessed cases with values that are no numbers, found before a training starts."""

from __future__ import annotations

import glob
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tqdm import tqdm

from nnunet_eas.support.files import write_json

ENDINGS = (".b2nd", ".npz", ".npy")  # of preprocessed images


class FiniteData(nnUNetTrainer):
    """nnUNetTrainer that does not start with images which hold NaN or infinity.

    Each image is read once for all trainings: what was seen stands in a JSON beside the preprocessed data.
    """

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """Opens nnU-Net's datasets, and looks at their images.

        Raises:
            RuntimeError: Images hold values that are not finite.
        """
        datasets: tuple[Any, Any] = super().get_tr_and_val_datasets()
        cases = sorted(case for dataset in datasets for case in dataset.identifiers)
        # on several GPUs each process looks at a share: none waits long for another
        self._check(cases[self.local_rank :: dist.get_world_size()] if self.is_ddp else cases)
        return datasets

    def _check(self, cases: list[str]) -> None:
        folder = Path(self.preprocessed_dataset_folder)
        share = f".{self.local_rank}" if self.is_ddp else ""
        seen_file = folder.parent / f".finite_{folder.name}{share}.json"
        files = {case: file for case in cases if (file := _file_of(folder, case))}
        seen = {case: one for file in _files_of_looks(folder) for case, one in _read(file).items()}
        new = {case: file for case, file in files.items() if seen.get(case, {}).get("file") != _state(file)}
        try:
            for case in tqdm(sorted(new), desc="looking for values that are not finite", leave=False, disable=None):
                seen[case] = {"file": _state(new[case]), "finite": _is_finite(new[case])}
        finally:
            if new:
                with suppress(OSError):  # the folder may be read-only: then every training looks anew
                    write_json(seen_file, seen)
        faulty = [case for case in sorted(files) if not seen[case]["finite"]]
        if faulty:
            raise RuntimeError(
                f"Training images must have finite values, got NaN or infinity in {len(faulty)} of {len(files)} "
                f"preprocessed cases: {', '.join(faulty[:20])}{' ...' if len(faulty) > 20 else ''}. Repair or remove "
                "these scans, and preprocess again."
            )


def _file_of(folder: Path, case: str) -> Path | None:
    return next((file for ending in ENDINGS if (file := folder / f"{case}{ending}").is_file()), None)


def _state(file: Path) -> list[int]:
    """Size in bytes and time in ns, which change when a case is preprocessed again."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _files_of_looks(folder: Path) -> list[Path]:
    """The lists of earlier trainings; one on several GPUs has a list for each process."""
    return sorted(folder.parent.glob(f".finite_{glob.escape(folder.name)}.*json"))


def _read(path: Path) -> dict[str, Any]:
    """Results of earlier looks, by case; empty where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {case: one for case, one in content.items() if isinstance(one.get("finite"), bool)}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_finite(file: Path) -> bool:
    if file.suffix == ".b2nd":
        import blosc2

        channels = blosc2.open(urlpath=str(file), mode="r")
        return all(bool(np.isfinite(channels[number]).all()) for number in range(channels.shape[0]))
    content = np.load(file, mmap_mode="r", allow_pickle=False)
    return bool(np.isfinite(content["data"] if file.suffix == ".npz" else content).all())
