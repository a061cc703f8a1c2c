"""The networks that are compared: for each its trainer, its plans, and the switches that it changes in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nnunet_eas
from benchmarks.commands import ROOT
from benchmarks.compare import provenance
from nnunet_eas.plans.translation import switches

TRAINERS = ROOT / "benchmarks" / "trainers"
PACKAGE = Path(nnunet_eas.__file__).resolve().parent

SOURCES_OF_ALL = (TRAINERS / "schedule.py",)
SOURCES_OF_EAS = (
    PACKAGE / "network",
    PACKAGE / "cpu",
    PACKAGE / "plans" / "translation.py",
    PACKAGE / "trainer" / "eas_unet_trainer.py",
)
SOURCES_OF_RIVALS = (TRAINERS / "rivals.py", TRAINERS / "segnet.py")
PACKAGES_OF_ALL = ("nnunetv2", "dynamic-network-architectures", "batchgeneratorsv2", "torch")

PAPER = {name: {dim: switches(dim, of_the_paper=True)[name] for dim in (2, 3)} for name in switches(2)}
"""The switches of the paper's network by dimension."""

BATCH_NORM = {dim: f"torch.nn.modules.batchnorm.BatchNorm{dim}d" for dim in (2, 3)}
INSTANCE_NORM = {dim: f"torch.nn.modules.instancenorm.InstanceNorm{dim}d" for dim in (2, 3)}


@dataclass(frozen=True)
class Network:
    """One row of a comparison.

    Attributes:
        title: The name in tables.
        trainer: A trainer of `trainers/short.py`, without `_short`.
        planner: nnU-Net's planner, whose plans give topology and patch; the batch is the same for all networks.
        switches: Values set in `arch_kwargs` of the plan, which is translated for EAS U-Net; a dict goes by dimension.
        sources: Our files, besides `SOURCES_OF_ALL`, that its results depend on.
        packages: Packages, besides `PACKAGES_OF_ALL`, that its results depend on.
    """

    title: str
    trainer: str
    planner: str = "ExperimentPlanner"
    switches: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def is_eas(self) -> bool:
        """True for the variants of EAS U-Net."""
        return self.trainer.startswith("EASUNetTrainer")

    def fingerprint(self) -> str:
        """The fingerprint of its sources as they are."""
        return provenance.fingerprint([*SOURCES_OF_ALL, *self.sources])

    def code(self) -> dict[str, Any]:
        """The version of its code: sources, by the earliest fingerprint that computes the same, and packages."""
        return {
            "sources": provenance.original(self.fingerprint()),
            "versions": {name: version(name) for name in (*PACKAGES_OF_ALL, *self.packages)},
        }


def _rival(title: str, trainer: str, *packages: str) -> Network:
    return Network(title, trainer, sources=SOURCES_OF_RIVALS, packages=packages)


def _of_paper(
    title: str, trainer: str = "EASUNetTrainer", sources: tuple[Path, ...] = SOURCES_OF_EAS, **switches: Any
) -> Network:
    return Network(title, trainer, switches={**PAPER, **switches}, sources=sources)


COMPARED = {
    "default": Network("default nnU-Net", "nnUNetTrainer"),
    "eas": Network("EAS U-Net", "EASUNetTrainer", sources=SOURCES_OF_EAS),
    "eas_paper": _of_paper("EAS U-Net, the paper's"),
    "unet": _rival("U-Net", "UNetTrainer", "monai"),
    "attention_unet": _rival("Attention U-Net", "AttentionUNetTrainer", "monai"),
    "segnet": _rival("SegNet", "SegNetTrainer"),
    "deeplabv3plus": _rival("DeepLabV3+", "DeepLabV3PlusTrainer", "segmentation-models-pytorch", "timm"),
    "resenc_m": Network("nnU-Net ResEnc-M", "nnUNetTrainer", planner="nnUNetPlannerResEncM"),
    "unet_plus_plus": _rival("U-Net++", "UNetPlusPlusTrainer", "monai"),
}
"""nnU-Net's networks, EAS U-Net and the paper's rivals."""

ABLATION = {
    "paper_separable_stem": _of_paper("stem separable", stem="separable"),
    "paper_full_blocks": _of_paper("blocks of full convolutions", block="full"),
    "paper_strided": _of_paper("strided convolution for pooling", pool="conv"),
    "paper_no_module": _of_paper("without EAS module", eas_module=False),
    "paper_full_dilated": _of_paper("dilated convolutions full", dilated_block="full"),
    "paper_fixed_rates": _of_paper("the paper's rates, 6, 12 and 18, on every map", dilations=[6, 12, 18]),
    "paper_no_fusion": _of_paper("without output fusion", output_fusion=False),
    "paper_other_norm": _of_paper(
        "instance norm in 2-D, batch norm in 3-D", norm_op={2: INSTANCE_NORM[2], 3: BATCH_NORM[3]}
    ),
}
"""The paper's EAS U-Net with one switch changed in each."""

CONTROLS = {
    "default_eas_start": Network(
        "default nnU-Net with the norm and first weights of the paper's EAS U-Net",
        "nnUNetTrainer_eas_start",
        switches={"norm_op": PAPER["norm_op"]},
        sources=(PACKAGE / "network" / "eas_unet.py", TRAINERS / "short.py"),
    ),
}
"""Shows how much of a difference comes from the start and not from the architecture."""

_SOURCES_OF_SHORT = (*SOURCES_OF_EAS, TRAINERS / "short.py")
FIRST_WEIGHTS = {
    "paper_he_start": _of_paper("the paper's, He's first weights", "EASUNetTrainer_he", _SOURCES_OF_SHORT),
    "paper_pytorch_start": _of_paper(
        "the paper's, PyTorch's first weights", "EASUNetTrainer_pytorch", _SOURCES_OF_SHORT
    ),
}
"""The paper's EAS U-Net with other first weights."""

LENGTHS = {
    "paper_earlystop": _of_paper(
        "the paper's, stopped early",
        "EASUNetTrainer_earlystop",
        (*_SOURCES_OF_SHORT, PACKAGE / "trainer" / "schedules.py"),
    ),
}
"""The paper's EAS U-Net with other ends of the training."""

CHANGES = {"shortcut": True, "eas_first_scale": 0.1, "norm_op": BATCH_NORM}
"""The three changes that `EASUNetTrainer` makes to the paper's network."""

DEEPER = {"n_conv_per_stage": [2, 2, 3, 4], "n_conv_per_stage_decoder": [3, 2, 2]}
"""More blocks in the low stages, for plans of four stages."""

VARIANTS = {
    "v_shortcut": _of_paper("shortcuts", shortcut=True),
    "v_batch": _of_paper("batch norm", norm_op=BATCH_NORM),
    "v_shortcut_gate": _of_paper("shortcuts, EAS module added", shortcut=True, eas_first_scale=0.1),
    "v_shortcut_nomodule": _of_paper("shortcuts, no EAS module", shortcut=True, eas_module=False),
    "v_shortcut_deep": _of_paper("shortcuts, deeper low stages", shortcut=True, **DEEPER),
    "v_shortcut_scale_quarter": _of_paper("shortcuts, first weights 0.25", shortcut=True, initial_scale=0.25),
    "v_shortcut_scale_one": _of_paper("shortcuts, first weights 1.0", shortcut=True, initial_scale=1.0),
    "v_shortcut_batch": _of_paper("shortcuts, batch norm", shortcut=True, norm_op=BATCH_NORM),
    "v_shortcut_batch_nomodule": _of_paper(
        "shortcuts, batch norm, no EAS module", shortcut=True, norm_op=BATCH_NORM, eas_module=False
    ),
    "v_shortcut_batch_gate": _of_paper("all three: shortcuts, batch norm, EAS module added", **CHANGES),
    "v_shortcut_batch_gate_deep": _of_paper("all three, deeper low stages", **CHANGES, **DEEPER),
    "v_shortcut_batch_gate_quarter": _of_paper("all three, first weights 0.25", **CHANGES, initial_scale=0.25),
    "v_shortcut_batch_gate_one": _of_paper("all three, first weights 1.0", **CHANGES, initial_scale=1.0),
    "v_shortcut_batch_gate_warmup": _of_paper(
        "all three, learning rate warmed up", "EASUNetTrainer_warmup", _SOURCES_OF_SHORT, **CHANGES
    ),
}
"""What was tried for arch format 2: the paper's network with the named changes."""

NETWORKS = {**COMPARED, **CONTROLS, **ABLATION, **FIRST_WEIGHTS, **LENGTHS, **VARIANTS}
