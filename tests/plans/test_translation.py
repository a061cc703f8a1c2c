import copy
import json
import math

import pytest
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from planned import planned_unet

from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.training_memory import network_on_meta
from nnunet_eas.plans.translation import (
    NETWORK_CLASS_NAME,
    architecture_differences,
    dilation_rates,
    translate_architecture,
    translate_plans,
)


def planned(patch_size, strides, kernels=None, residual=False, batch_size=12):
    """A configuration as nnU-Net's planner writes it."""
    configuration = planned_unet(patch_size, strides, kernels, [4, 8, *[16] * 8], residual)
    return {"batch_size": batch_size, **configuration}


PAPER = planned((384, 384), [[1, 1]] + [[2, 2]] * 4)
SEVEN_STAGES = planned((384, 384), [[1, 1]] + [[2, 2]] * 6)
SMALL = planned((56, 40), [[1, 1]] + [[2, 2]] * 3)
KNEE_3D = planned((80, 192, 160), [[1, 1, 1]] + [[2, 2, 2]] * 4 + [[1, 2, 2]])
FLAT_3D = planned((8, 64, 48), [[1, 1, 1], [1, 2, 2], [2, 2, 2], [4, 2, 2]], [[1, 3, 3]] * 2 + [[3, 3, 3]] * 2)


def plans(**configurations):
    return {"plans_name": "nnUNetPlans", "dataset_name": "Dataset999_Tiny", "configurations": configurations}


def build(architecture, **kwargs):
    return get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        input_channels=1,
        output_channels=3,
        **kwargs,
    )


@pytest.mark.parametrize(
    ("edges", "rates"),
    [
        ((24, 24), [[6, 6], [12, 12], [18, 18]]),  # the paper's geometry: DeepLab's rates
        ((6, 6), [[2, 2], [3, 3], [5, 5]]),
        ((7, 5), [[2, 1], [4, 3], [5, 4]]),
        ((5, 6, 5), [[1, 2, 1], [3, 3, 3], [4, 5, 4]]),
        ((1, 8, 6), [[1, 2, 2], [1, 4, 3], [1, 6, 5]]),
        ((2, 2), [[1, 1]]),
        ((3, 2), [[1, 1], [2, 1]]),
        ((1, 1), [[1, 1]]),
    ],
)
def test_rates(edges, rates):
    assert dilation_rates(edges) == rates


@given(st.lists(st.integers(1, 200), min_size=2, max_size=3))
def test_rates_are_quarters_of_the_edge_that_stay_on_the_map(edges):
    branches = dilation_rates(edges)
    assert 1 <= len(branches) <= 3
    assert all(branches.count(branch) == 1 for branch in branches)
    assert branches == sorted(branches)
    for axis, edge in enumerate(edges):
        for branch in branches:
            assert 1 <= branch[axis] <= max(1, edge - 1)
        exact = {max(1, min(math.floor(q * edge + 0.5), edge - 1)) for q in (0.25, 0.5, 0.75)}
        assert {branch[axis] for branch in branches} == exact


def test_the_papers_geometry_gives_deeplabs_rates():
    assert translate_architecture(PAPER)["arch_kwargs"]["dilations"] == [[6, 6], [12, 12], [18, 18]]


@pytest.mark.parametrize("configuration", [PAPER, SEVEN_STAGES, SMALL, KNEE_3D, FLAT_3D])
def test_topology_is_kept_and_every_argument_written_out(configuration):
    source = configuration["architecture"]["arch_kwargs"]
    translated = translate_architecture(configuration)
    kwargs = translated["arch_kwargs"]
    kept = set(source) - {"norm_op", "norm_op_kwargs"}
    assert {k: kwargs[k] for k in kept} == {k: source[k] for k in kept}
    assert translated["network_class_name"] == NETWORK_CLASS_NAME
    given_by_nnunet = {"self", "input_channels", "num_classes", "deep_supervision", "unknown"}
    assert set(kwargs) == set(EASUNet.__init__.__annotations__) - given_by_nnunet - {"return"}
    assert json.loads(json.dumps(translated)) == translated


@pytest.mark.parametrize("configuration", [PAPER, SMALL, FLAT_3D])
def test_nnunet_builds_it_and_the_outputs_fit_its_loss(configuration):
    import torch

    translated = translate_architecture(configuration)
    network = build(translated, deep_supervision=True)
    assert isinstance(network, EASUNet)
    outputs = network(torch.zeros(1, 1, *configuration["patch_size"]))
    strides = configuration["architecture"]["arch_kwargs"]["strides"]
    edges = list(configuration["patch_size"])
    for output, stride in zip(outputs, strides, strict=False):
        edges = [e // s for e, s in zip(edges, stride, strict=True)]
        assert list(output.shape[2:]) == edges
    assert len(outputs) == len(strides) - 1


def test_the_norm_is_batch_norm():
    assert translate_architecture(SMALL)["arch_kwargs"]["norm_op"].endswith("BatchNorm2d")
    assert translate_architecture(FLAT_3D)["arch_kwargs"]["norm_op"].endswith("BatchNorm3d")


@given(st.integers(1, 500))
def test_the_batch_size_changes_nothing(batch_size):
    assert translate_architecture({**SMALL, "batch_size": batch_size}) == translate_architecture(SMALL)


def test_residual_plans_get_two_blocks_a_stage():
    residual = translate_architecture(planned((64, 48), [[1, 1]] + [[2, 2]] * 3, residual=True))["arch_kwargs"]
    assert residual["n_conv_per_stage"] == [2] * 4
    assert residual["n_conv_per_stage_decoder"] == [2] * 3
    assert "n_blocks_per_stage" not in residual


@pytest.mark.slow
@given(
    shape=st.lists(st.integers(8, 160), min_size=2, max_size=3),
    spacing=st.lists(st.floats(0.3, 6), min_size=3, max_size=3),
)
def test_whatever_nnunets_topology_rule_gives_can_be_translated(shape, spacing):
    _, strides, kernels, patch, _ = get_pool_and_conv_props(spacing[: len(shape)], shape, 4, 999999)
    strides, kernels = [list(s) for s in strides], [list(k) for k in kernels]
    configuration = planned([int(p) for p in patch], strides, kernels)
    if len(strides) < 2:
        with pytest.raises(ValueError, match="n_stages must be at least 2"):
            translate_architecture(configuration)
        return
    kwargs = translate_architecture(configuration)["arch_kwargs"]
    edges = [p // math.prod(s[a] for s in strides) for a, p in enumerate(patch)]
    assert all(rate < edge or rate == edge == 1 for branch in kwargs["dilations"] for rate, edge in zip(branch, edges))
    network_on_meta(translate_architecture(configuration), 1, 3, deep_supervision=False)


def test_nothing_given_is_changed():
    before = copy.deepcopy(SMALL)
    translated = translate_architecture(SMALL)
    translated["arch_kwargs"]["strides"][0][0] = 99
    original = plans(**{"2d": SMALL})
    translate_plans(original)["configurations"]["2d"]["patch_size"][0] = 99
    assert before == SMALL
    assert original == plans(**{"2d": before})


def test_every_configuration_is_translated_inherited_ones_by_their_own_patch():
    wide = {"inherits_from": "2d", "patch_size": [112, 80]}
    more = {"inherits_from": "2d", "batch_size": 3}
    translated = translate_plans(plans(**{"2d": SMALL, "2d_wide": wide, "2d_more": more, "3d_fullres": KNEE_3D}))
    rates = {k: c["architecture"]["arch_kwargs"]["dilations"] for k, c in translated["configurations"].items()}
    assert rates["2d"] == rates["2d_more"] == dilation_rates((7, 5))
    assert rates["2d_wide"] == dilation_rates((14, 10))
    assert rates["3d_fullres"] == dilation_rates((5, 6, 5))
    of_more = translated["configurations"]["2d_more"]
    assert {k: v for k, v in of_more.items() if k not in ("architecture", "recompute")} == more


def test_whoever_wrote_recompute_into_the_plans_decides():
    configurations = {"2d": SMALL, "3d_fullres": {**KNEE_3D, "recompute": False}}
    configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    translated = translate_plans(plans(**configurations))["configurations"]
    assert {name: plan.get("recompute") for name, plan in translated.items()} == {
        "2d": True,
        "3d_fullres": False,
        "3d_cascade_fullres": None,  # its parent's
    }


def test_a_plan_that_names_the_network_stands_as_it_is():
    own = {**SMALL, "architecture": translate_architecture(SMALL)}
    own["architecture"]["arch_kwargs"].update(dilations=[[3, 3]], norm_op="torch.nn.modules.batchnorm.BatchNorm2d")
    inherited = {"inherits_from": "2d", "batch_size": 2}
    given_plans = plans(**{"2d": own, "2d_small": inherited})
    assert translate_plans(given_plans) == given_plans


def test_the_patch_of_a_plan_that_names_the_network_is_checked():
    own = {**SMALL, "architecture": translate_architecture(SMALL), "patch_size": [60, 40]}
    with pytest.raises(ValueError, match=r"Configuration 2d of nnUNetPlans: patch_size must be divisible by \[8, 8\]"):
        translate_plans(plans(**{"2d": own}))


def recorded_with(dilations, **changes):
    recorded = translate_plans(plans(**{"2d": {**SMALL, **changes}}))
    recorded["configurations"]["2d"]["architecture"]["arch_kwargs"]["dilations"] = dilations
    return recorded


def test_a_trained_network_of_the_same_shape_is_kept():
    translated = translate_plans(plans(**{"2d": {**SMALL, "batch_size": 5}}), trained=recorded_with([[1, 1]]))
    configuration = translated["configurations"]["2d"]
    assert configuration["architecture"]["arch_kwargs"]["dilations"] == [[1, 1]]
    assert configuration["batch_size"] == 5


def test_a_trained_network_of_another_patch_topology_or_class_is_not():
    fresh = translate_plans(plans(**{"2d": SMALL}))
    assert translate_plans(plans(**{"2d": SMALL}), trained=recorded_with([[1, 1]], patch_size=[64, 64])) == fresh
    narrow = copy.deepcopy(SMALL)
    narrow["architecture"]["arch_kwargs"]["features_per_stage"] = [2, 4, 8, 8]
    assert translate_plans(plans(**{"2d": SMALL}), trained=translate_plans(plans(**{"2d": narrow}))) == fresh
    assert translate_plans(plans(**{"2d": SMALL}), trained=plans(**{"2d": SMALL})) == fresh
    assert translate_plans(plans(**{"2d": SMALL}), trained=plans(**{"3d_fullres": FLAT_3D})) == fresh


def of_format_1(configuration):
    named = {**configuration, "architecture": translate_architecture(configuration, of_the_paper=True)}
    for key in ("shortcut", "eas_first_scale", "initial_scale"):
        del named["architecture"]["arch_kwargs"][key]
    named["architecture"]["arch_kwargs"]["arch_format"] = 1
    return named


def test_a_later_arch_format_does_not_join_trained_folds():
    """Planned anew by this version, with the name of the plans that an earlier one has trained."""
    trained = plans(**{"3d_fullres": of_format_1(FLAT_3D)})
    anew = plans(**{"3d_fullres": {**FLAT_3D, "architecture": translate_architecture(FLAT_3D)}})
    assert translate_plans(anew, trained=trained) == trained
    assert translate_plans(trained, trained=anew) == trained


@pytest.mark.parametrize(("configuration", "norm"), [(SMALL, "BatchNorm2d"), (FLAT_3D, "InstanceNorm3d")])
def test_the_paper_s_network(configuration, norm):
    paper = translate_architecture(configuration, of_the_paper=True)
    kwargs = paper["arch_kwargs"]
    assert kwargs["norm_op"].endswith(norm)
    assert (kwargs["shortcut"], kwargs["eas_first_scale"]) == (False, None)
    assert architecture_differences(paper, of_format_1(configuration)["architecture"]) == []
    ours = {**configuration, "architecture": translate_architecture(configuration)}
    (found,) = translate_plans(plans(c=ours), of_the_paper=True)["configurations"].values()
    assert found["architecture"] == paper


def test_the_paper_s_trainer_leaves_what_plans_chose():
    old = of_format_1(FLAT_3D)
    old["architecture"]["arch_kwargs"]["norm_op"] = "torch.nn.modules.batchnorm.BatchNorm3d"
    own = {**FLAT_3D, "architecture": translate_architecture(FLAT_3D)}
    own["architecture"]["arch_kwargs"].update(eas_first_scale=0.5)
    found = translate_plans(plans(old=old, own=own, more={"inherits_from": "own"}), of_the_paper=True)
    assert found["configurations"]["old"] == old
    for name in ("own", "more"):
        kwargs = found["configurations"][name]["architecture"]["arch_kwargs"]
        assert (kwargs["eas_first_scale"], kwargs["shortcut"]) == (0.5, False)


def test_plans_from_before_the_architecture_was_recorded():
    old = {
        "patch_size": [56, 40],
        "batch_size": 12,
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 16,
        "n_conv_per_stage_encoder": [2] * 4,
        "n_conv_per_stage_decoder": [2] * 3,
        "num_pool_per_axis": [3, 3],
        "pool_op_kernel_sizes": [[1, 1]] + [[2, 2]] * 3,
        "conv_kernel_sizes": [[3, 3]] * 4,
    }
    assert translate_plans(plans(**{"2d": old}))["configurations"]["2d"]["architecture"] == translate_architecture(
        SMALL
    )


def test_differences_are_named():
    a, b = translate_architecture(SMALL), translate_architecture(SMALL)
    assert architecture_differences(a, json.loads(json.dumps(b))) == []
    b["arch_kwargs"]["dilations"] = [[1, 1]]
    assert architecture_differences(a, b) == ["dilations [[2, 1], [4, 3], [5, 4]] there and [[1, 1]] here"]
    assert PlainConvUNet.__name__ in architecture_differences(SMALL["architecture"], b)[0]


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (planned((56, 42), [[1, 1]] + [[2, 2]] * 3), r"patch_size must be divisible by \[8, 8\].*Use e.g. \[56, 48\]"),
        (planned((7, 7), [[1, 1]]), "n_stages must be at least 2, got 1"),
        (
            planned((56, 40), [[1, 1]] + [[2, 2]] * 3, [[3, 3]] * 3),
            "kernel_sizes must have n_stages = 4 entries, got 3",
        ),
    ],
)
def test_plans_that_no_unet_can_take(configuration, message):
    with pytest.raises(ValueError, match=message):
        translate_architecture(configuration)
    with pytest.raises(ValueError, match=f"Configuration 2d of nnUNetPlans: .*{message}"):
        translate_plans(plans(**{"2d": configuration}))


def test_an_architecture_without_stages_is_refused():
    primus = {"network_class_name": "a.b.Primus", "arch_kwargs": {"patch_size": [8, 8]}, "_kw_requires_import": []}
    with pytest.raises(ValueError, match=r"architecture must be a U-Net .* got a\.b\.Primus without n_stages"):
        translate_architecture({**SMALL, "architecture": primus})
