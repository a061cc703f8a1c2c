import json
import math
import re
import shutil

import pytest
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiment_dataset
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from PIL import Image
from torch import nn

from nnunet_eas.cli import main as cli
from nnunet_eas.network.blocks import ResidualSeparableConv
from nnunet_eas.plans.preprocessing import plan_experiment
from nnunet_eas.plans.summary import summarise
from nnunet_eas.plans.training_memory import training_step_memory
from nnunet_eas.plans.translation import PLANS_FORMAT, translate_plans

VOLUMES = {"shapes": [[14, 40, 56]], "spacings": [[3.0, 1.0, 0.8]], "cases": 100, "channels": 2}


@pytest.fixture(scope="module")
def planned_once(tmp_path_factory, folders_in):
    """A data set with both planners' plans, made once; to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        folders = folders_in(tmp_path_factory.mktemp("planned") / "nnunet", patch)
        folders.write(**VOLUMES)
        plan_experiment_dataset(901)
        plan_experiment(901)
    return folders.root


@pytest.fixture
def planned(planned_once, folders):
    shutil.copytree(planned_once, folders.root, dirs_exist_ok=True)
    return folders


@pytest.fixture
def shown(capsys):
    """Runs the command and returns its tables: per configuration, per plans, row by row."""

    def run(*arguments):
        capsys.readouterr()
        assert cli.main(["plan_info", "-d", "901", *arguments]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return dict(table(block) for block in captured.out.split("\n\n") if block.strip() and "drawn:" not in block)

    return run


def table(block):
    title, *lines = block.strip().splitlines()
    rows = [re.split(r" {2,}", line) for line in lines]
    assert len({len(row) for row in rows}) == 1
    names = rows[0][1:]
    columns = {name: {row[0]: row[i] for row in rows} for i, name in enumerate(names, 1)}
    return title.removesuffix(" of Dataset901_Shapes"), columns


def network(plans, configuration):
    """A real one, from a plans file's content."""
    manager = PlansManager(plans)
    planned = manager.get_configuration(configuration)
    return planned, get_network_from_plans(
        planned.network_arch_class_name,
        planned.network_arch_init_kwargs,
        planned.network_arch_init_kwargs_req_import,
        input_channels=2,
        output_channels=3,
        deep_supervision=False,
    )


def by(edges):
    return "x".join(str(edge) for edge in edges)


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_the_numbers_are_those_of_real_networks(planned, shown, configuration):
    columns = shown()[configuration]
    assert list(columns) == ["EASUNetPlans", "nnUNetPlans"]
    for name, column in columns.items():
        manager, real = network(planned.plans(name), configuration)
        assert column["network"] == type(real).__name__
        assert column["patch"] == by(manager.patch_size)
        assert column["batch"] == str(manager.batch_size)
        assert column["channels in, out"] == "2, 3"
        parameters = sum(parameter.numel() for parameter in real.parameters())
        assert column["parameters"] == f"{parameters / 1e6:.2f} million"
        with torch.no_grad():
            maps = real.encoder(torch.zeros(1, 2, *manager.patch_size))
        stages = [text for row, text in column.items() if row.startswith("stage ") and text != "-"]
        sizes = [f"{by(m.shape[2:])}, {m.shape[1]} channels" for m in maps]
        assert [text.split(", kernel")[0] for text in stages] == sizes


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_kernels_strides_and_rates_are_those_of_the_network(planned, shown, configuration):
    column = shown("-c", configuration)[configuration]["EASUNetPlans"]
    _, real = network(planned.plans(), configuration)
    convolutions = [m for m in real.encoder.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
    assert f"kernel {by(convolutions[0].kernel_size)}" in column["stage 1"]
    assert "stride" not in column["stage 1"]
    for number, strides in enumerate(real.strides[1:], 2):
        assert column[f"stage {number}"].endswith(f"stride {by(strides)}")
    dilated = [by(conv.dilation) for conv in convolutions if max(conv.dilation) > 1]
    shown_rates = column["atrous rates"].split(", ")
    assert [rates for rates in shown_rates if set(rates) - set("1x")] == dilated
    assert dilated


@pytest.mark.parametrize(("configuration", "norm"), [("2d", "BatchNorm2d"), ("3d_fullres", "BatchNorm3d")])
def test_norm_shortcuts_and_module_are_those_of_the_network(planned, shown, configuration, norm):
    columns = shown("-c", configuration)[configuration]
    _, real = network(planned.plans(), configuration)
    residual = sum(isinstance(module, ResidualSeparableConv) for module in real.modules())
    ours = columns["EASUNetPlans"]
    assert (ours["norm"], ours["EAS module"]) == (norm, "added to its input")
    assert ours["blocks with a shortcut"] == str(residual) != "0"
    default = columns["nnUNetPlans"]
    assert default["norm"].startswith("InstanceNorm")
    assert (default["blocks with a shortcut"], default["EAS module"]) == ("-", "-")


def test_nnunets_network_has_no_rates(shown, planned):
    assert shown("-c", "2d")["2d"]["nnUNetPlans"]["atrous rates"] == "-"


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_memory_is_that_of_the_planned_batch(planned, shown, configuration):
    for name, column in shown("-c", configuration)[configuration].items():
        manager = PlansManager(planned.plans(name)).get_configuration(configuration)
        step = training_step_memory(
            manager.configuration["architecture"],
            input_channels=2,
            num_outputs=3,
            patch_size=manager.patch_size,
            batch_size=manager.batch_size,
            recompute=manager.configuration.get("recompute", False),
        )
        assert column["kept for the backward pass"] == f"{step.activations / 1e9:.2f} GB"
        assert column["peak of a training step"] == f"{step.peak / 1e9:.2f} GB"


def test_recomputation_and_what_it_costs(planned, shown, edit_json):
    edit_json(planned.plans_file(), lambda plans: plans["configurations"]["2d"].update(recompute=True))
    columns = shown("-c", "2d")["2d"]
    assert columns["nnUNetPlans"]["recomputation"] == "no"
    summary = summarise(planned.plans(), "2d", json.loads(planned.dataset_file.read_text()))
    assert columns["EASUNetPlans"]["recomputation"] == f"yes: {summary.recomputed_flops / 1e9:.1f} GFLOP more in a step"
    # not the EAS module, the outputs, and the sums of pointwise convolutions in the decoder
    assert 0.25 * summary.flops < summary.recomputed_flops < summary.flops


def test_steps_until_every_voxel_has_been_seen(planned, shown):
    column = shown("-c", "3d_fullres")["3d_fullres"]["EASUNetPlans"]
    manager = PlansManager(planned.plans()).get_configuration("3d_fullres")
    voxels_per_step = math.prod(manager.patch_size) * manager.batch_size
    assert column["voxels a step"] == f"{voxels_per_step:,}"
    steps = math.ceil(14 * 40 * 56 * 80 / voxels_per_step)  # four fifths of 100 images
    assert column["steps an epoch"] == f"250, one pass over the images {steps}"


def test_coarser_images_are_seen_in_fewer_steps(planned, shown):
    plan_experiment(901, overwrite_target_spacing=[3.0, 2.0, 1.6], plans_name="Coarse")
    column = shown("-p", "Coarse", "-c", "3d_fullres")["3d_fullres"]["Coarse"]
    assert column["spacing (mm)"] == "3 x 2 x 1.6"
    voxels_per_step = int(column["voxels a step"].replace(",", ""))
    assert column["steps an epoch"].endswith(f" {math.ceil(14 * 20 * 28 * 80 / voxels_per_step)}")


def test_nnunets_own_plans_are_shown_as_the_trainer_translates_them_beside_the_stock_network(planned, shown):
    planned.plans_file().unlink()
    columns = shown("-p", "nnUNetPlans", "-c", "3d_fullres")["3d_fullres"]
    assert list(columns) == ["nnUNetPlans", "nnUNetPlans, stock"]
    ours, stock = columns.values()
    assert [ours["network"], stock["network"]] == ["EASUNet", "PlainConvUNet"]
    assert ours["patch"] == stock["patch"]
    plans = planned.plans("nnUNetPlans")
    for column, content in ((ours, translate_plans(plans)), (stock, plans)):
        parameters = sum(parameter.numel() for parameter in network(content, "3d_fullres")[1].parameters())
        assert column["parameters"] == f"{parameters / 1e6:.2f} million"


def test_without_nnunets_plans_ours_stand_alone(planned, shown):
    planned.plans_file("nnUNetPlans").unlink()
    assert {name: list(columns) for name, columns in shown().items()} == {
        "2d": ["EASUNetPlans"],
        "3d_fullres": ["EASUNetPlans"],
    }


def test_a_users_own_configuration_is_shown_with_what_it_inherits(planned, shown, edit_json):
    own = {"inherits_from": "2d", "batch_size": 7}
    edit_json(planned.plans_file(), lambda plans: plans["configurations"].update(mine=own))
    tables = shown("-c", "2d", "mine")
    assert list(tables) == ["2d", "mine"]
    mine, parent = tables["mine"]["EASUNetPlans"], tables["2d"]["EASUNetPlans"]
    assert mine["batch"] == "7"
    assert mine["parameters"] == parent["parameters"]


def test_a_cascades_second_stage_has_the_first_ones_classes_in_its_input(planned, shown, edit_json):
    def add_a_cascade(plans):
        cascade = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
        plans["configurations"].update({"3d_cascade_fullres": cascade})

    edit_json(planned.plans_file(), add_a_cascade)
    column = shown("-c", "3d_cascade_fullres")["3d_cascade_fullres"]["EASUNetPlans"]
    assert column["channels in, out"] == "4, 3"


@pytest.mark.slow
def test_each_configuration_is_drawn_into_a_file(planned, tmp_path, capsys):
    folder = tmp_path / "new" / "drawings"
    assert cli.main(["plan_info", "-d", "901", "--png", str(folder)]) == 0
    names = [f"Dataset901_Shapes_EASUNetPlans_{configuration}.png" for configuration in ("2d", "3d_fullres")]
    assert sorted(path.name for path in folder.iterdir()) == names
    printed = capsys.readouterr().out
    for name in names:
        assert f"drawn: {folder / name}" in printed
        with Image.open(folder / name) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "777"], "dataset (-d) must be the name DatasetXXX_NAME or the id of one dataset in"),
        (
            ["-d", "901", "-p", "Nonsense"],
            "plans_name (-p) must name plans of Dataset901_Shapes, got Nonsense, which is not in",
        ),
        (
            ["-d", "901", "-c", "2d", "3d_lowres"],
            "configurations (-c) must be those of EASUNetPlans, got 3d_lowres. It has 2d, 3d_fullres.",
        ),
    ],
)
def test_what_is_not_there_is_named_in_one_line(planned, capsys, arguments, message):
    assert cli.main(["plan_info", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {message}")
    assert captured.err.count("\n") == 1


def test_plans_of_a_later_version_are_not_shown(planned, capsys, edit_json):
    edit_json(planned.plans_file(), lambda plans: plans["nnunet_eas"].update(plans_format=PLANS_FORMAT + 1))
    assert cli.main(["plan_info", "-d", "901"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"error: EASUNetPlans must have a plans_format of at most 2 .*--upgrade nnunet-eas\.\n", captured.err
    )


@pytest.mark.slow
def test_nothing_is_written_without_a_folder_for_drawings(planned):
    before = planned.files()
    assert cli.main(["plan_info", "-d", "901"]) == 0
    assert planned.files() == before
