"""What is compared: a trainer, the plans it trains from, and what is turned in them."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nnunet_eas

TRAINERS = Path(__file__).parent.resolve() / "trainers"
PACKAGE = Path(nnunet_eas.__file__).resolve().parent

OF_ALL = (TRAINERS / "schedule.py",)
OF_EAS = (PACKAGE / "network", PACKAGE / "plans" / "translation.py", PACKAGE / "trainer" / "eas_unet_trainer.py")
OF_RIVALS = (TRAINERS / "rivals.py", TRAINERS / "segnet.py")

NORM_OF_EAS = {2: "torch.nn.modules.batchnorm.BatchNorm2d", 3: "torch.nn.modules.instancenorm.InstanceNorm3d"}
OTHER_NORM = {2: "torch.nn.modules.instancenorm.InstanceNorm2d", 3: "torch.nn.modules.batchnorm.BatchNorm3d"}
"""By the dimension, the norm that the design chooses, and the one that it does not."""

HOST_PACKAGES = ("nnunetv2", "dynamic-network-architectures", "batchgeneratorsv2", "torch")


@dataclass(frozen=True)
class Arm:
    """One row of a table.

    Args:
        title: As a reader knows it.
        trainer: A trainer of `trainers/short.py`, without _short.
        planner: nnU-Net's planner; its plans give topology and patch, the batch is the same for all.
        switches: What is turned in the plan's `arch_kwargs`, translated for EAS U-Net; a dict goes by the dimension.
        sources: Our files that its result depends on.
        packages: Other packages that it depends on.
    """

    title: str
    trainer: str
    planner: str = "ExperimentPlanner"
    switches: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def of_eas(self) -> bool:
        """Whether its network is EAS U-Net."""
        return self.trainer.startswith("EASUNetTrainer")

    def code(self) -> dict[str, Any]:
        """What tells one version of the code from another: our sources, and the packages' versions."""
        return {
            "sources": _fingerprint([*OF_ALL, *self.sources]),
            "versions": {name: importlib.metadata.version(name) for name in (*HOST_PACKAGES, *self.packages)},
        }


def _rival(title: str, trainer: str, *packages: str) -> Arm:
    return Arm(title, trainer, sources=OF_RIVALS, packages=packages)


def _switched(title: str, **switches: Any) -> Arm:
    return Arm(title, "EASUNetTrainer", switches=switches, sources=OF_EAS)


NETWORKS = {
    "default": Arm("default nnU-Net", "nnUNetTrainer"),
    "eas": Arm("EAS U-Net", "EASUNetTrainer", sources=OF_EAS),
    "unet": _rival("U-Net", "UNetTrainer", "monai"),
    "attention_unet": _rival("Attention U-Net", "AttentionUNetTrainer", "monai"),
    "segnet": _rival("SegNet", "SegNetTrainer"),
    "deeplabv3plus": _rival("DeepLabV3+", "DeepLabV3PlusTrainer", "segmentation-models-pytorch", "timm"),
    "resenc_m": Arm("nnU-Net ResEnc-M", "nnUNetTrainer", planner="nnUNetPlannerResEncM"),
    "unet_plus_plus": _rival("U-Net++", "UNetPlusPlusTrainer", "monai"),
}

ABLATION = {
    "eas_separable_stem": _switched("stem separable", stem="separable"),
    "eas_full_blocks": _switched("blocks of full convolutions", block="full"),
    "eas_strided": _switched("strided convolution for pooling", pool="conv"),
    "eas_no_module": _switched("without EAS module", eas_module=False),
    "eas_full_dilated": _switched("dilated convolutions full", dilated_block="full"),
    "eas_paper_rates": _switched("the paper's rates, 6, 12 and 18, on every map", dilations=[6, 12, 18]),
    "eas_no_fusion": _switched("without output fusion", output_fusion=False),
    "eas_other_norm": _switched("instance norm in 2-D, batch norm in 3-D", norm_op=OTHER_NORM),
}

CONTROLS = {
    "default_eas_start": Arm(
        "default nnU-Net with EAS U-Net's norm and first weights",
        "nnUNetTrainer_eas_start",
        switches={"norm_op": NORM_OF_EAS},
        sources=(PACKAGE / "network" / "eas_unet.py", TRAINERS / "short.py"),
    ),
}
"""How much of a difference is the start and not the architecture."""

LENGTHS = {
    "eas_earlystop": Arm(
        "EAS U-Net, stopped early",
        "EASUNetTrainer_earlystop",
        sources=(*OF_EAS, PACKAGE / "trainer" / "early_stopping.py", TRAINERS / "short.py"),
    ),
}

ARMS = {**NETWORKS, **CONTROLS, **ABLATION, **LENGTHS}


def _fingerprint(paths: Iterable[Path]) -> str:
    """Of the sources as Python reads them: comments, docstrings and layout do not count."""
    files = sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))
    trees = [ast.unparse(_without_docstrings(ast.parse(file.read_text(encoding="utf-8")))) for file in files]
    return hashlib.sha256("\0".join(trees).encode()).hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
