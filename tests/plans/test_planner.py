import inspect
import io
import json
import math
import os
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiment_dataset
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_eas.cli import main as cli
from nnunet_eas.network.eas_unet import EASUNet
from nnunet_eas.plans.memory_budget import RESERVED
from nnunet_eas.plans.preprocessing import plan_experiment
from nnunet_eas.plans.training_memory import training_step_memory
from nnunet_eas.plans.translation import PLANS_FORMAT, translate_plans
from nnunet_eas.trainer import EASUNetTrainer

KNEE = {"shapes": [[160, 384, 384]], "spacings": [[0.7, 0.36, 0.36]], "cases": 507}
SMALL = {"shapes": [[14, 40, 56], [12, 36, 52]], "spacings": [[1.5, 1.0, 0.8]] * 2}
SLICES = {"shapes": [[1, 60, 80]] * 2, "spacings": [[999, 0.5, 0.5]] * 2}
FLAT = {"shapes": [[12, 128, 96]] * 3, "spacings": [[5.0, 0.7, 0.7]] * 3}
LARGE = {"shapes": [[150, 160, 170]] * 2, "spacings": [[0.5, 0.5, 0.5]] * 2}  # for 1 GB
STRIPES = {"shapes": [[1, 600, 12]], "spacings": [[999, 1.0, 0.2]], "cases": 500}
LONG = {
    "shapes": [[114, 21, 22]],
    "spacings": [[1, 0.3, 0.5]],
    "cases": 500,
    "labels": {"background": 0, **{f"structure_{i}": i for i in range(1, 21)}},
}
REGIONS = {"background": 0, "knee": [1, 2], "cartilage": 2}
RANDOM_DATASETS = int(os.environ.get("RANDOM_DATASETS", "12"))  # benchmarks/checks/random_datasets.py draws 200


def networks(plans_file, dataset_json):
    """Per configuration of a plans file: its manager, its network on the meta device, and the network's channels."""
    manager = PlansManager(str(plans_file))
    for name in manager.available_configurations:
        configuration = manager.get_configuration(name)
        channels = determine_num_input_channels(manager, configuration, dataset_json)
        with torch.device("meta"):
            network = get_network_from_plans(
                configuration.network_arch_class_name,
                configuration.network_arch_init_kwargs,
                configuration.network_arch_init_kwargs_req_import,
                channels,
                manager.get_label_manager(dataset_json).num_segmentation_heads,
                allow_init=False,
                deep_supervision=True,
            )
        yield name, configuration, network, channels


def bottleneck(configuration):
    return [
        edge // math.prod(strides[axis] for strides in configuration.pool_op_kernel_sizes)
        for axis, edge in enumerate(configuration.patch_size)
    ]


def deep_supervision_shapes(configuration):
    """Shapes of the targets that nnU-Net's loader makes; there is none for the coarsest map."""
    scales = 1 / np.cumprod(np.vstack(configuration.pool_op_kernel_sizes), axis=0)[:-1]
    return [tuple(round(edge * s) for edge, s in zip(configuration.patch_size, scale)) for scale in scales]


def check_that_it_trains(configuration, network, channels):
    patch = configuration.patch_size
    assert configuration.network_arch_class_name.endswith(".EASUNet")
    assert configuration.batch_size >= 2
    for rates in configuration.network_arch_init_kwargs["dilations"]:
        for rate, edge in zip(rates, bottleneck(configuration), strict=True):
            assert 1 <= rate < edge or rate == edge == 1
    with torch.no_grad():
        outputs = network(torch.empty(2, channels, *patch, device="meta"))
    assert [tuple(output.shape[2:]) for output in outputs] == deep_supervision_shapes(configuration)


def check_that_it_fits(configuration, channels, outputs, target_gb, has_regions=False):
    step = training_step_memory(
        configuration.configuration["architecture"],
        input_channels=channels,
        num_outputs=outputs,
        patch_size=list(configuration.patch_size),
        batch_size=configuration.batch_size,
        has_regions=has_regions,
        recompute=configuration.configuration["recompute"],
    )
    assert step.peak <= target_gb * 1e9 * (1 - RESERVED)


@st.composite
def geometries(draw):
    """Shapes and spacings of one to three images, alike but not equal; a target."""
    base, steps = draw(st.floats(0.1, 10)), draw(st.tuples(*[st.floats(1, 20)] * 3))
    spacing = [min(base * step, 10) for step in steps]
    shapes = draw(st.lists(st.lists(st.integers(1, 600), min_size=3, max_size=3), min_size=1, max_size=3))
    if draw(st.booleans()):
        spacing, shapes = [999, *spacing[1:]], [[1, *shape[1:]] for shape in shapes]
    return {
        "shapes": shapes,
        "spacings": [[s * draw(st.floats(0.9, 1.1)) for s in spacing] for _ in shapes],
        "channels": draw(st.integers(1, 4)),
        "cases": draw(st.integers(len(shapes), 600)),
    }


@pytest.mark.slow
@settings(max_examples=RANDOM_DATASETS, phases=[Phase.generate])  # shrinking would take minutes
@given(geometry=geometries(), target_gb=st.floats(1, 24))
def test_every_dataset_gets_networks_that_train_or_a_line_why_not(folders_in, geometry, target_gb):
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        folders = folders_in(Path(root), patch)
        folders.write(**geometry)
        median = np.median(geometry["shapes"], 0)
        planned = set()
        try:
            target_gb = planned_at(target_gb)
        except ValueError as error:
            without = left_out(str(error))
            assert not folders.plans_file().exists()
        else:
            without = left_out(printed.getvalue())
            dataset_json = json.loads(folders.dataset_file.read_text())
            for name, configuration, network, channels in networks(folders.plans_file(), dataset_json):
                check_that_it_trains(configuration, network, channels)
                in_a_cascade = geometry["channels"] + 2 * (len(configuration.patch_size) == 3)
                assert channels <= in_a_cascade
                check_that_it_fits(configuration, in_a_cascade, 3, target_gb)
                planned.add(name)
        assert not list(folders.root.rglob(".partial_*"))

    assert not planned & without
    assert (planned | without) >= ({"2d", "3d_fullres"} if median.min() > 1 else {"2d"})
    if without:
        assert median.min() < 13  # three times the least edge can be pooled, whatever the spacing
    assert ("3d_lowres" in planned) == ("3d_cascade_fullres" in planned)


def planned_at(target_gb):
    """Plans for this target; for the one that the error asks for, where this one is too small."""
    try:
        plan_experiment(901, gpu_memory_target_in_gb=target_gb)
    except ValueError as error:
        asked_for = re.search(r"at least ([0-9.]+) GB", str(error))
        if not asked_for:
            raise
        target_gb = float(asked_for[1])
        plan_experiment(901, gpu_memory_target_in_gb=target_gb)
    return target_gb


def left_out(text):
    return {name for name in ("2d", "3d_fullres") if f"{name} of Dataset901_Shapes: the images are too small" in text}


@pytest.fixture(scope="module")
def planned_once(tmp_path_factory, folders_in):
    """A small data set with its plan, made once; to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        folders = folders_in(tmp_path_factory.mktemp("planned") / "nnunet", patch)
        folders.write(**SMALL)
        plan_experiment(901)
    return folders.root


@pytest.fixture
def small(planned_once, folders):
    """The small data set with its plan."""
    shutil.copytree(planned_once, folders.root, dirs_exist_ok=True)
    return folders


def plan(folders, geometry, target_gb=8.0, **more):
    folders.write(**geometry)
    return plan_experiment(901, gpu_memory_target_in_gb=target_gb, **more)


def by_name(folders):
    dataset_json = json.loads(folders.dataset_file.read_text())
    return {name: parts for name, *parts in networks(folders.plans_file(), dataset_json)}


def test_the_same_dataset_and_flags_give_the_same_file(small):
    before = small.files()
    assert set(before) == {"dataset.json", "dataset_fingerprint.json", "EASUNetPlans.json"}
    plan_experiment(901)
    assert small.files() == before


def test_the_file_holds_what_is_returned(small):
    assert json.loads(json.dumps(plan_experiment(901))) == small.plans()


def test_the_plan_says_who_made_it_and_for_what(folders):
    plans = plan(folders, SLICES, 3, plans_name="Mine")
    assert plans["experiment_planner_used"] == "EASUNetPlanner"
    assert plans["plans_name"] == "Mine"
    assert plans["nnunet_eas"] == {
        "plans_format": PLANS_FORMAT,
        "gpu_memory_target_in_gb": 3.0,
        "reserved": RESERVED,
    }
    assert plans["configurations"]["2d"]["data_identifier"] == "Mine_2d"
    assert set(folders.plans("Mine")) == set(plans)
    assert not folders.plans_file().exists()


def test_every_argument_of_the_network_is_written_out(small):
    arguments = set(inspect.signature(EASUNet).parameters)
    given_by_nnunet = {"input_channels", "num_classes", "deep_supervision", "unknown"}
    configurations = small.plans()["configurations"]
    assert set(configurations) == {"2d", "3d_fullres"}
    for configuration in configurations.values():
        assert set(configuration["architecture"]["arch_kwargs"]) == arguments - given_by_nnunet


def test_the_norm_is_batch_norm(small):
    norms = {
        name: configuration.network_arch_init_kwargs["norm_op"] for name, (configuration, *_) in by_name(small).items()
    }
    assert norms["2d"].endswith("BatchNorm2d")
    assert norms["3d_fullres"].endswith("BatchNorm3d")


@pytest.mark.slow
def test_an_axis_of_one_voxel_is_not_dilated(folders):
    plan(folders, {"shapes": [[1, 150, 190]], "spacings": [[0.5, 0.5, 2.0]]})  # one sagittal column, sliced across
    planned = by_name(folders)
    for name, axis in (("2d", 0), ("3d_fullres", 1)):
        configuration, network, channels = planned[name]
        assert configuration.patch_size[axis] == 1
        rates = configuration.network_arch_init_kwargs["dilations"]
        assert {rate[axis] for rate in rates} == {1}
        assert len(rates) > 1
        check_that_it_trains(configuration, network, channels)


def test_anisotropic_kernels_and_strides_are_kept(folders):
    plan(folders, FLAT)
    configuration, network, _ = by_name(folders)["3d_fullres"]
    kwargs = configuration.network_arch_init_kwargs
    assert kwargs["kernel_sizes"][0] == [1, 3, 3]
    assert kwargs["kernel_sizes"][-1] == [3, 3, 3]
    assert kwargs["strides"][:2] == [[1, 1, 1], [1, 2, 2]]
    assert tuple(next(network.parameters()).shape[2:]) == (1, 3, 3)


def test_topology_and_spacing_are_the_default_planners(folders):
    folders.write(**FLAT)
    plan_experiment_dataset(901, gpu_memory_target_in_gb=100)
    plan_experiment(901, gpu_memory_target_in_gb=100)  # both take the whole image, whatever it costs
    ours, default = folders.plans(), folders.plans("nnUNetPlans")
    decided_by_the_network = {"architecture", "batch_size", "data_identifier"}
    assert not any(configuration["recompute"] for configuration in ours["configurations"].values())
    for name, configuration in default["configurations"].items():
        for key in set(configuration) - decided_by_the_network:
            assert ours["configurations"][name][key] == configuration[key], key
        for key in ("n_stages", "features_per_stage", "strides", "kernel_sizes", "n_conv_per_stage"):
            ours_has, default_has = (
                p["configurations"][name]["architecture"]["arch_kwargs"][key] for p in (ours, default)
            )
            assert ours_has == default_has
    assert set(ours) - set(default) == {"nnunet_eas"}


def test_recomputation_is_planned_where_memory_is_short(folders):
    wanted = {}
    for target_gb in (1, 100):
        plan(folders, LARGE, target_gb)
        wanted[target_gb] = folders.plans()["configurations"]["3d_fullres"]
    assert wanted[1]["recompute"]
    assert not wanted[100]["recompute"]
    assert math.prod(wanted[1]["patch_size"]) < math.prod(wanted[100]["patch_size"])


@pytest.mark.slow
def test_a_larger_target_never_gives_a_smaller_step(folders):
    voxels = {"2d": [], "3d_fullres": []}
    folders.write(**KNEE)
    for target_gb in (4, 8, 16, 24, 40, 80):
        configurations = plan_experiment(901, gpu_memory_target_in_gb=target_gb)["configurations"]
        for name, seen in voxels.items():
            seen.append(configurations[name]["batch_size"] * math.prod(configurations[name]["patch_size"]))
    for seen in voxels.values():
        assert seen == sorted(seen)
        assert seen[-1] > 4 * seen[0]


def test_slices_are_planned_in_2d_alone(folders):
    plan(folders, SLICES)
    assert list(folders.plans()["configurations"]) == ["2d"]
    check_that_it_trains(*by_name(folders)["2d"])


@pytest.mark.slow
@pytest.mark.parametrize("has_regions", [False, True], ids=["classes", "regions"])
def test_large_images_get_a_cascade_and_its_second_stage_fits_with_its_own_input(folders, has_regions):
    labels = {"labels": REGIONS, "regions_class_order": [1, 2]} if has_regions else {}
    plan(folders, {**LARGE, **labels}, 1)
    planned = by_name(folders)
    assert set(planned) == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    assert folders.plans()["configurations"]["3d_cascade_fullres"] == {
        "inherits_from": "3d_fullres",
        "previous_stage": "3d_lowres",
    }
    assert [planned[name][2] for name in ("3d_fullres", "3d_lowres", "3d_cascade_fullres")] == [1, 1, 3]
    for configuration, network, channels in planned.values():
        check_that_it_trains(configuration, network, channels)
        check_that_it_fits(configuration, channels, 2 if has_regions else 3, 1, has_regions)


def test_the_spacing_of_3d_fullres_can_be_given_in_the_images_axis_order(folders):
    geometry = {"shapes": [[40, 36, 20]], "spacings": [[0.8, 1.0, 2.0]]}
    plan(folders, geometry, overwrite_target_spacing=[1, 1.5, 3])
    plans = folders.plans()
    assert plans["transpose_forward"] == [2, 0, 1]
    assert plans["configurations"]["3d_fullres"]["spacing"] == [3, 1, 1.5]


def test_a_configuration_of_images_too_small_is_left_out_with_a_line(folders, capsys):
    plan(folders, {"shapes": [[40, 6, 5]], "spacings": [[1.2, 1, 1]]})
    assert list(folders.plans()["configurations"]) == ["3d_fullres"]
    line = "2d of Dataset901_Shapes: the images are too small for a U-Net of two stages"
    assert [text for text in capsys.readouterr().out.splitlines() if text.startswith(line)]


def test_images_too_small_for_anything_are_refused(folders):
    with pytest.raises(ValueError, match=r"^2d of Dataset901_Shapes: the images are too small .*edge of at least 4\.$"):
        plan(folders, {"shapes": [[1, 7, 7]], "spacings": [[999, 1, 1]]})
    assert not folders.plans_file().exists()


def test_a_users_own_configuration_stays_and_a_stage_that_is_gone_goes(folders, edit_json):
    plan(folders, LARGE, 1)
    own = {"inherits_from": "3d_fullres", "batch_size": 3}
    edit_json(folders.plans_file(), lambda plans: plans["configurations"].update(mine=own))
    assert {"3d_lowres", "3d_cascade_fullres"} < set(folders.plans()["configurations"])
    plan(folders, SMALL, configurations=["mine"])
    configurations = folders.plans()["configurations"]
    assert set(configurations) == {"2d", "3d_fullres", "mine"}
    assert configurations["mine"] == own


def test_a_users_own_configuration_whose_parent_is_gone_goes_with_a_line(folders, edit_json, capsys):
    plan(folders, LARGE, 1)
    own = {
        "coarse": {"inherits_from": "3d_lowres", "batch_size": 3},
        "coarser": {"inherits_from": "coarse", "batch_size": 4},
        "flat": {"inherits_from": "2d", "batch_size": 5},
        "flatter": {"inherits_from": "flat", "batch_size": 6},
    }
    edit_json(folders.plans_file(), lambda plans: plans["configurations"].update(own))
    capsys.readouterr()
    plan(folders, SMALL)
    plans = folders.plans()
    assert set(plans["configurations"]) == {"2d", "3d_fullres", "flat", "flatter"}
    assert EASUNetTrainer.prepare_plans(plans, "2d") == plans
    printed = capsys.readouterr().out
    assert "coarse: left out, it inherits from 3d_lowres" in printed
    assert "coarser: left out, it inherits from coarse" in printed


@pytest.mark.slow
def test_a_low_resolution_that_the_target_is_too_small_for_is_left_out_with_a_line(folders, capsys):
    plan(folders, LONG, 0.05)
    configurations = folders.plans()["configurations"]
    assert set(configurations) == {"2d", "3d_fullres"}
    assert configurations["3d_fullres"]["batch_dice"] is False
    assert (
        "for 3d_lowres of Dataset901_Shapes, got 0.05: two of its smallest patches do not fit"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("asked_for", [(), ("2d", "3d_fullres", "3d_lowres"), ("3d_cascade_fullres", "2d")])
def test_a_cascade_may_be_asked_for_where_other_stages_are_there(small, asked_for):
    assert set(plan_experiment(901, configurations=asked_for)["configurations"]) == {"2d", "3d_fullres"}


def test_the_trainer_takes_the_plan_as_it_is(small):
    plans = small.plans()
    assert EASUNetTrainer.prepare_plans(plans, "2d") == plans


def test_plans_of_a_later_format_are_not_translated(small):
    plans = small.plans()
    plans["nnunet_eas"]["plans_format"] = PLANS_FORMAT + 1
    with pytest.raises(ValueError, match=r"EASUNetPlans must have a plans_format of at most 2 .* got 3\..*--upgrade"):
        translate_plans(plans)


def write(path, text):
    path.write_text(text)


def change(path, **entries):
    write(path, json.dumps({**json.loads(path.read_text()), **entries}))


def cut(path):
    write(path, path.read_text()[:-20])


def without(path, key):
    write(path, json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))


def zero_spacing(folders):
    change(folders.fingerprint_file, spacings=[[1.5, 1.0, 0.8], [1.5, 0.0, 0.8]])


def later_format(folders):
    change(folders.plans_file(), nnunet_eas={"plans_format": PLANS_FORMAT + 1})


def foreign_plans(folders):
    without(folders.plans_file(), "nnunet_eas")
    change(folders.plans_file(), experiment_planner_used="ExperimentPlanner")


def nothing(folders):
    pass


# what happens before, what is asked for, the error, what it says
BAD_INPUT = {
    "unknown data set": (
        nothing,
        {"dataset_id": 777},
        (ValueError, r"^dataset \(-d\) must be the name .* got 777, which none has\. Correct it"),
    ),
    "two data sets of one id": (
        lambda folders: (folders.raw / "Dataset901_Other").mkdir(),
        {},
        (ValueError, r"got 901, which Dataset901_Other and Dataset901_Shapes have\."),
    ),
    "no dataset.json": (
        lambda folders: folders.dataset_file.unlink(),
        {},
        (FileNotFoundError, r"^dataset\.json must be a file, got .*Convert the dataset first"),
    ),
    "damaged dataset.json": (
        lambda folders: cut(folders.dataset_file),
        {},
        (ValueError, r"^dataset\.json must be whole JSON"),
    ),
    "no labels": (
        lambda folders: without(folders.dataset_file, "labels"),
        {},
        (
            ValueError,
            r"dataset\.json must have labels, got channel_names, numTraining, file_ending, dataset\. Add them",
        ),
    ),
    "no channels": (
        lambda folders: without(folders.dataset_file, "channel_names"),
        {},
        (ValueError, r"dataset\.json must have channel_names, got"),
    ),
    "no fingerprint": (
        lambda folders: folders.fingerprint_file.unlink(),
        {},
        (
            FileNotFoundError,
            r"^The fingerprint must be a file, got .*fingerprint\.json\. Run nnUNetv2_extract_fingerprint -d 901, or",
        ),
    ),
    "damaged fingerprint": (
        lambda folders: cut(folders.fingerprint_file),
        {},
        (
            ValueError,
            r"^The fingerprint must be whole JSON, got .*fingerprint\.json .*Run nnUNetv2_extract_fingerprint -d 901",
        ),
    ),
    "empty fingerprint": (
        lambda folders: write(folders.fingerprint_file, "{}"),
        {},
        (ValueError, r"fingerprint\.json must .*Run nnUNetv2_extract_fingerprint -d 901"),
    ),
    "zero spacing": (
        zero_spacing,
        {},
        (ValueError, r"^spacing of case_001 must be three positive lengths in mm, got \[1\.5, 0\.0, 0\.8\]\."),
    ),
    "target 0": (
        nothing,
        {"gpu_memory_target_in_gb": 0.0},
        (ValueError, r"\(-gpu_memory_target\) must be positive, got 0"),
    ),
    "target -1": (
        nothing,
        {"gpu_memory_target_in_gb": -1.0},
        (ValueError, r"\(-gpu_memory_target\) must be positive, got -1"),
    ),
    "target nan": (
        nothing,
        {"gpu_memory_target_in_gb": math.nan},
        (ValueError, r"\(-gpu_memory_target\) must be positive, got nan"),
    ),
    "target inf": (
        nothing,
        {"gpu_memory_target_in_gb": math.inf},
        (ValueError, r"\(-gpu_memory_target\) must be positive, got inf"),
    ),
    "target too small": (
        nothing,
        {"gpu_memory_target_in_gb": 1e-6},
        (
            ValueError,
            r"\(-gpu_memory_target\) must be at least [0-9.]+ GB for 3d_fullres of Dataset901_Shapes, got 1e-06:",
        ),
    ),
    "target spacing 0": (
        nothing,
        {"overwrite_target_spacing": [1, 0, 1]},
        (ValueError, r"^overwrite_target_spacing must be three positive lengths in mm, got \[1\.0, 0\.0, 1\.0\]\."),
    ),
    "two target spacings": (
        nothing,
        {"overwrite_target_spacing": [1, 2]},
        (ValueError, "^overwrite_target_spacing must be three positive lengths in mm"),
    ),
    "unknown preprocessor": (
        nothing,
        {"preprocessor_name": "Nonsense"},
        (ValueError, r"^preprocessor_name must be a class in nnunetv2\.preprocessing, got Nonsense\."),
    ),
    "another planner's plans": (
        foreign_plans,
        {},
        (ValueError, r"must not be the name of another planner's plans, got EASUNetPlans, by ExperimentPlanner\."),
    ),
    "a name with a folder": (
        nothing,
        {"plans_name": "sub/Plans"},
        (ValueError, r"^plans_name \(-overwrite_plans_name\) must be a name without folders .*'sub/Plans'"),
    ),
    "an empty name": (nothing, {"plans_name": ""}, (ValueError, r"^plans_name \(-overwrite_plans_name\) must be")),
    "a name above the folder": (nothing, {"plans_name": "../Plans"}, (ValueError, "without folders .*'../Plans'")),
    "plans of a later format": (
        later_format,
        {},
        (ValueError, r"must have a plans_format of at most 2 .*, got 3\. .*pip install --upgrade nnunet-eas"),
    ),
    "damaged plans": (
        lambda folders: cut(folders.plans_file()),
        {},
        (
            ValueError,
            r"^The existing plans must be whole JSON, got .*EASUNetPlans\.json .*Delete them, or give -overwrite",
        ),
    ),
    "unknown configuration": (
        nothing,
        {"configurations": ["2d", "3d_nonsense"]},
        (
            ValueError,
            r"^configurations \(-c\) must be those of EASUNetPlans .*, got 3d_nonsense\. There are 2d, 3d_fullres\.$",
        ),
    ),
    "a stage that is not there alone": (
        nothing,
        {"configurations": ["3d_lowres"]},
        (
            ValueError,
            r"^configurations \(-c\) must be those of EASUNetPlans .*, got 3d_lowres\. There are 2d, 3d_fullres\.$",
        ),
    ),
}


@pytest.mark.parametrize("fault", BAD_INPUT)
def test_bad_input_is_refused_in_one_line_and_nothing_is_touched(small, fault):
    prepare, asked_for, (error, message) = BAD_INPUT[fault]
    prepare(small)
    before = small.files()
    with pytest.raises(error, match=message) as refusal:
        plan_experiment(**{"dataset_id": 901, **asked_for})
    text = str(refusal.value)
    assert "\n" not in text
    assert " must " in text
    assert text.endswith(".")
    assert small.files() == before


@pytest.mark.parametrize("name", ["dataset", "splits_final"])
def test_nnunets_own_files_are_not_overwritten_by_a_plan_of_their_name(folders, name):
    folders.write(**SLICES)
    with pytest.raises(ValueError, match=r"^plans_name \(-overwrite_plans_name\) must"):
        plan_experiment(901, plans_name=name)


@pytest.mark.parametrize("variable", ["nnUNet_raw", "nnUNet_preprocessed"])
def test_a_folder_that_is_not_set_is_named(small, monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(RuntimeError, match=f"^{variable} must be set to a folder, got nothing. Run nnunet-eas doctor."):
        plan_experiment(901)


def least_target(refusal):
    return float(re.search(r"at least ([0-9.]+) GB", str(refusal.value))[1])


@pytest.mark.slow
@pytest.mark.parametrize("geometry", [SMALL, SLICES, FLAT, LONG], ids=["small", "slices", "flat", "long"])
def test_the_target_that_a_message_names_works(folders, geometry):
    with pytest.raises(ValueError, match="two of its smallest patches do not fit") as refusal:
        plan(folders, geometry, 1e-3)
    least = least_target(refusal)
    plan(folders, geometry, least)
    for configuration, _, channels in by_name(folders).values():
        check_that_it_fits(configuration, channels, len(geometry.get("labels", "012")), least)


def test_the_target_that_a_message_names_is_the_least(folders):
    folders.write(**STRIPES)
    with pytest.raises(ValueError, match="two of its smallest patches do not fit") as refusal:
        plan_experiment(901, gpu_memory_target_in_gb=1e-3)
    least = least_target(refusal)
    assert least > 0.1
    plan_experiment(901, gpu_memory_target_in_gb=least)
    with pytest.raises(ValueError, match="two of its smallest patches do not fit") as refusal:
        plan_experiment(901, gpu_memory_target_in_gb=0.95 * least)
    assert least_target(refusal) == least


NO_STRUCTURE = {"no label": {}, "background alone": {"background": 0}}


@pytest.mark.parametrize("labels", NO_STRUCTURE.values(), ids=NO_STRUCTURE)
def test_labels_without_a_structure_are_refused(small, labels):
    change(small.dataset_file, labels=labels)
    before = small.files()
    with pytest.raises((ValueError, RuntimeError), match=r"(?i)label"):
        plan_experiment(901)
    assert small.files() == before


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (nothing, ["-d", "777"], "dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset"),
        (nothing, ["-d", "901", "777"], "dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset"),
        (lambda folders: folders.fingerprint_file.unlink(), ["-d", "901"], "The fingerprint must be a file"),
        (zero_spacing, ["-d", "901"], "spacing of case_001 must be"),
        (nothing, ["-d", "901", "-gpu_memory_target", "nan"], "(-gpu_memory_target) must be positive"),
        (nothing, ["-d", "901", "-gpu_memory_target", "0.000001"], "(-gpu_memory_target) must be at least"),
        (nothing, ["-d", "901", "-overwrite_target_spacing", "1", "0", "1"], "overwrite_target_spacing must be"),
        (nothing, ["-d", "901", "-preprocessor_name", "Nonsense"], "preprocessor_name must be"),
        (nothing, ["-d", "901", "-overwrite_plans_name", "a/b"], "plans_name (-overwrite_plans_name) must be"),
        (later_format, ["-d", "901"], "EASUNetPlans must have a plans_format"),
    ],
)
def test_the_command_ends_with_1_and_one_line(small, capsys, prepare, arguments, message):
    prepare(small)
    before = small.files()
    assert cli.main(["plan_experiment", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert small.files() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "3d_nonsense"], "configurations (-c) must be those of EASUNetPlans"),
        (["-c", "3d_lowres"], "configurations (-c) must be those of EASUNetPlans"),
        (["-np", "0"], "num_processes (-np) must be at least 1, got 0."),
        (["-npfp", "-1"], "num_processes_fingerprint (-npfp) must be at least 1, got -1."),
    ],
)
def test_plan_and_preprocess_refuses_before_it_writes(small, capsys, arguments, message):
    before = small.files()
    assert cli.main(["plan_and_preprocess", "-d", "901", "--no_pbar", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert small.files() == before


def test_the_command_plans_as_its_flags_say(folders):
    folders.write(**SLICES)
    flags = ["-gpu_memory_target", "2.5", "-overwrite_plans_name", "Mine"]
    assert cli.main(["plan_experiment", "-d", "901", *flags]) == 0
    assert folders.plans("Mine")["nnunet_eas"]["gpu_memory_target_in_gb"] == 2.5
