"""The classes that plans may name without trust."""

import copy

import pytest
from inference.tiny_models import plans
from planned import planned_unet

from nnunet_eas.plans.named_classes import check_named_classes
from nnunet_eas.plans.translation import translate_plans


def with_architecture(change):
    content = plans()
    change(content["configurations"]["3d_fullres"]["architecture"])
    return content


def named(**entries):
    return with_architecture(lambda architecture: architecture.update(entries))


def layer(name):
    return with_architecture(lambda architecture: architecture["arch_kwargs"].update(norm_op=name))


@pytest.mark.parametrize("of_the_paper", [True, False])
def test_plans_of_nnunet_and_ours(of_the_paper):
    residual = copy.deepcopy(plans())
    residual["configurations"]["2d"] = planned_unet([16, 24], [[1, 1], [2, 2]], residual=True)
    for content in (plans(), residual, translate_plans(plans(), of_the_paper=of_the_paper)):
        before = copy.deepcopy(content)
        check_named_classes(content, "plans.json")
        assert content == before


def test_plans_that_name_no_classes():
    check_named_classes({"configurations": {"2d": {"UNet_class_name": "PlainConvUNet"}}}, "plans.json")


@pytest.mark.slow  # nnU-Net's own search imports all networks of dynamic-network-architectures
def test_a_network_that_has_moved():
    moved = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"
    check_named_classes(named(network_class_name=moved), "plans.json")


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.exec",
        "torch.hub.load",
        "torch.nnx.Conv2d",
        "torch.nn",
        "torch.nn.functional.relu",
        "torch.nn.parallel.distributed.os.system",
        "torch.nn.modules.module.Tensor",
        "nnunet_eas.startup.os.system",
        "nnunet_eas.cli.main.main",
        "nnunet_eas_evil.Network",
        "monai.networks.nets.UNETR",
        " torch.nn.ReLU",
        "torch.nn.\0",
        f"nnunet_eas.{'x' * 5000}",
        "nnunet_eas.two\nlines",
        "",
        7,
        ["torch.nn.ReLU"],
    ],
)
@pytest.mark.parametrize("where", [layer, lambda name: named(network_class_name=name)], ids=["layer", "network"])
def test_other_names_are_refused(name, where):
    with pytest.raises(ValueError, match=r"(norm_op|network_class_name) of the plans must be .* in a file\. .*--trust"):
        check_named_classes(where(name), "a file")


def test_a_key_that_breaks_lines():
    def broken(architecture):
        architecture["_kw_requires_import"] = ["two\nlines"]
        architecture["arch_kwargs"]["two\nlines"] = "os.system"

    with pytest.raises(ValueError, match=r"'two\\nlines' of the plans must be") as caught:
        check_named_classes(with_architecture(broken), "a file")
    assert "\n" not in str(caught.value)


def test_a_layer_does_not_hide_the_network():
    def hide(architecture):
        architecture["network_class_name"] = "os.system"
        architecture["_kw_requires_import"] = ["network_class_name"]
        architecture["arch_kwargs"]["network_class_name"] = "torch.nn.ReLU"

    with pytest.raises(ValueError, match=r"network_class_name of the plans must be .* got 'os\.system'"):
        check_named_classes(with_architecture(hide), "a file")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"configurations": []},
        {"configurations": {"2d": 7}},
        {"configurations": {"2d": {"architecture": {}}}},
        named(_kw_requires_import=["absent"]),
        named(_kw_requires_import=7),
        named(arch_kwargs=None),
    ],
)
def test_other_contents_are_refused(content):
    with pytest.raises(ValueError, match=r"plans must be nnU-Net's, got others in a file\."):
        check_named_classes(content, "a file")
