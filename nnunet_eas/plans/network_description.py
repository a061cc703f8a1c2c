"""Texts of the architecture figure of a plan's EAS U-Net, in the order of its stages."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.translation import bottleneck_edges, names_eas_unet


class Stage(NamedTuple):
    """One resolution: lines of text, and the kind of each block in order."""

    lines: list[str]
    blocks: list[str]


class EASModuleFacts(NamedTuple):
    """The EAS module: title, lines per dilated branch, and whether the pooled branch is added behind the norm."""

    title: str
    dilated: list[list[str]]
    pooled_behind_norm: bool


class Description(NamedTuple):
    """All texts of the figure; lists by stage, full resolution first."""

    input: list[str]
    first_block: str
    encoder: list[Stage]
    down: list[str]  # into the stage below
    eas_module: EASModuleFacts | None
    up: list[str]  # out of the stage below
    decoder: list[Stage]
    head: list[str]
    fusion: list[str] | None
    prediction: list[str]
    legend: dict[str, str]  # block kind -> its steps


def describe_network(
    architecture: Mapping[str, Any], *, patch_size: Sequence[int], input_channels: int, num_outputs: int
) -> Description:
    """Describes a network that is given as a plan records it, for a patch in voxels."""
    if not names_eas_unet(architecture):
        raise ValueError(
            f"architecture must be an EAS U-Net, got {architecture['network_class_name']}. "
            "Translate the plan first (nnunet_eas.plans.translation.translate_plans)."
        )
    defaults = {name: p.default for name, p in inspect.signature(EASUNet).parameters.items()}
    kwargs = {**defaults, **architecture["arch_kwargs"]}
    n, dim = kwargs["n_stages"], len(patch_size)
    if n < 2:
        raise ValueError(f"n_stages must be at least 2, got {n}. A U-Net needs a stage to skip over.")
    features = _per_stage(kwargs, "features_per_stage", n)
    strides = _per_axis("strides", _per_stage(kwargs, "strides", n), dim)
    kernels = _per_axis("kernel_sizes", _per_stage(kwargs, "kernel_sizes", n), dim)
    bottleneck_edges(patch_size, strides)  # the whole network first: its error names the patch that would fit
    sizes = [_times(bottleneck_edges(patch_size, strides[: s + 1])) for s in range(n)]

    residual = kwargs["shortcut"] and kwargs["block"] == "separable"
    with_same_channels = "residual" if residual else kwargs["block"]

    def stages(n_conv: Sequence[int]) -> list[Stage]:
        topology = zip(sizes, features, n_conv, kernels, strict=False)  # a decoder lacks the last stage
        return [
            Stage(
                [size, _count(f, "channel"), f"{_count(c, 'block')}, {_times(kernel)}"],
                [kwargs["block"], *[with_same_channels] * (c - 1)],
            )
            for size, f, c, kernel in topology
        ]

    first_block = kwargs["stem"] if kwargs["block"] == "separable" else "full"
    encoder = stages(_per_stage(kwargs, "n_conv_per_stage", n))
    encoder[0].blocks[0] = first_block
    for s in range(1, n):  # as in EASEncoder
        strided = kwargs["pool"] == "conv" and math.prod(strides[s]) > 1
        if features[s] == features[s - 1] and not strided:
            encoder[s].blocks[0] = with_same_channels
    decoder = stages(_per_stage(kwargs, "n_conv_per_stage_decoder", n - 1)[::-1])
    kinds, eas_module = {kind for stage in (*encoder, *decoder) for kind in stage.blocks}, None
    if kwargs["eas_module"]:
        scaled = kwargs["eas_first_scale"] is not None
        kinds.add(kwargs["dilated_block"])
        rates = _per_axis("dilations", (1, 2, 3) if kwargs["dilations"] is None else kwargs["dilations"], dim)
        rates = [rate if len(set(rate)) > 1 else rate[:1] for rate in rates]
        eas_module = EASModuleFacts(
            title=f"EAS module{', added' * scaled}: {sizes[-1]}, {_count(features[-1], 'channel')}",
            dilated=[[f"{_times(kernels[-1])}, rate {_times(rate)}", kwargs["dilated_block"]] for rate in rates],
            pooled_behind_norm="InstanceNorm" in _class_name(kwargs["norm_op"]),  # as in EASModule
        )
    pooling = "max pooling" if kwargs["pool"] == "max" else "strided convolution"
    resize = [f"{'bilinear' if dim == 2 else 'trilinear'} resize,", "concatenate, 1x1"] if n > 2 else ["1x1"]
    outputs = _count(num_outputs, "channel")
    return Description(
        input=["input", _count(input_channels, "channel"), sizes[0]],
        first_block=first_block,
        encoder=encoder,
        down=[f"{pooling}\nstride {_times(s)}" if math.prod(s) > 1 else "no pooling" for s in strides[1:]],
        eas_module=eas_module,
        up=[f"transposed convolution\nstride {_times(stride)}" for stride in strides[1:]],
        decoder=decoder,
        head=["1x1", outputs],
        fusion=["output fusion", *resize] if kwargs["output_fusion"] else None,
        prediction=["prediction", outputs, sizes[0]],
        legend={kind: _block_steps(kind, kwargs) for kind in ("separable", "residual", "full") if kind in kinds},
    )


def _block_steps(kind: str, kwargs: Mapping[str, Any]) -> str:
    def norm_and(nonlin: str) -> list[str]:
        steps = [_class_name(kwargs["norm_op"]), _class_name(kwargs[nonlin])]
        return steps[::-1] if kwargs["nonlin_first"] else steps

    first = ["convolution"] if kind == "full" else ["depthwise convolution", *norm_and("nonlin"), "1x1"]
    last = norm_and("pointwise_nonlin")
    if kind == "residual":
        last = [_class_name(kwargs["norm_op"]), "plus the block's input", _class_name(kwargs["pointwise_nonlin"])]
    steps = [*first, _class_name(kwargs["dropout_op"]), *last]
    return f"{kind} block: " + " \N{RIGHTWARDS ARROW} ".join(step for step in steps if step)


def _per_stage(kwargs: Mapping[str, Any], name: str, n: int) -> list[Any]:
    values = [kwargs[name]] * n if isinstance(kwargs[name], int) else list(kwargs[name])
    if len(values) != n:
        raise ValueError(f"{name} must have {n} entries, got {len(values)}. It goes by the plan's n_stages.")
    return values


def _per_axis(name: str, values: Sequence[int | Sequence[int]], dim: int) -> list[list[int]]:
    per_axis = [[v] * dim if isinstance(v, int) else list(v) for v in values]
    if any(len(v) != dim for v in per_axis):
        raise ValueError(f"{name} must have {dim} axes, as patch_size, got {per_axis}. Give the patch of this plan.")
    return per_axis


def _class_name(imported: str | None) -> str:
    return "" if imported is None else imported.rsplit(".", 1)[-1]


def _times(edges: Sequence[int]) -> str:
    return "x".join(str(edge) for edge in edges)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
