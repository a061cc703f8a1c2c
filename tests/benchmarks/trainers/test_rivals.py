"""The rivals: a contract that all of them pass, and the plans that each of them refuses."""

import re

import pytest
import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from torch import nn
from torch.nn import functional

from benchmarks.trainers import rivals

CHANNELS, CLASSES = 2, 3
FEATURES = [4, 6, 8]
PATCH_2D, PATCH_3D = (24, 40), (16, 24, 40)

IN_3D = ("UNetTrainer", "UNetPlusPlusTrainer", "AttentionUNetTrainer", "SegNetTrainer")
CASES = [(name, PATCH_2D) for name in (*IN_3D, "DeepLabV3PlusTrainer")] + [(name, PATCH_3D) for name in IN_3D]
every_rival = pytest.mark.parametrize(("name", "patch"), CASES, ids=[f"{n[:-7]}-{len(p)}d" for n, p in CASES])

# MONAI builds four heads and trains one
WITHOUT_GRADIENT = {"UNetPlusPlusTrainer": r"network\.final_conv_0_[123]\.(weight|bias)"}


def configuration(patch, features=FEATURES, strides=None):
    dimension = len(patch)
    strides = strides or [[1] * dimension, *[[2] * dimension] * (len(features) - 1)]
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {"features_per_stage": features, "strides": strides},
        "_kw_requires_import": [],
    }
    return ConfigurationManager({"patch_size": list(patch), "architecture": architecture})


@pytest.fixture
def build():
    """Builds a rival as nnU-Net does: on the class, by position."""

    def of(name, patch, **plan):
        torch.manual_seed(0)
        rival = getattr(rivals, name)
        return rival.build_network_architecture(None, configuration(patch, **plan), CHANNELS, CLASSES, True)

    return of


def widths(network):
    convolutions = (nn.Conv2d, nn.Conv3d)
    return {module.out_channels for module in network.modules() if isinstance(module, convolutions)}


@every_rival
class TestContract:
    def test_one_output_of_the_patch_s_shape(self, build, name, patch):
        network = build(name, patch)
        assert network.train()(torch.randn(2, CHANNELS, *patch)).shape == (2, CLASSES, *patch)
        with torch.no_grad():
            assert network.eval()(torch.randn(1, CHANNELS, *patch)).shape == (1, CLASSES, *patch)

    def test_a_gradient_in_every_parameter(self, build, name, patch):
        network = build(name, patch).train()
        network(torch.randn(2, CHANNELS, *patch)).square().mean().backward()
        without = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
        known = WITHOUT_GRADIENT.get(name, "nothing")
        assert {n for n in without if not re.fullmatch(known, n)} == set()
        assert len(without) == (6 if name in WITHOUT_GRADIENT else 0)

    def test_weights_load_strictly_and_predict_the_same(self, build, name, patch):
        first, x = build(name, patch).train(), torch.randn(2, CHANNELS, *patch)
        first(x)  # moves the norms' statistics
        torch.manual_seed(1)
        second = build(name, patch)
        with torch.no_grad():
            for parameter in second.parameters():
                parameter.add_(0.1)
            second.load_state_dict(first.state_dict(), strict=True)
            torch.testing.assert_close(second.eval()(x), first.eval()(x), rtol=0, atol=0)

    def test_deep_supervision_changes_nothing(self, build, name, patch):
        torch.manual_seed(0)
        off = getattr(rivals, name).build_network_architecture(None, configuration(patch), CHANNELS, CLASSES, False)
        on = build(name, patch)
        assert [(k, v.shape) for k, v in on.state_dict().items()] == [(k, v.shape) for k, v in off.state_dict().items()]


class TestWidths:
    @pytest.mark.parametrize("name", ["UNetTrainer", "UNetPlusPlusTrainer"])
    @pytest.mark.parametrize(
        ("patch", "planned", "expected"),
        [
            (PATCH_2D, [4, 6, 8], {4, 6, 8, 16, 32}),  # doubled on where the plan has fewer levels
            (PATCH_2D, [4, 6, 8, 10, 12, 14], {4, 6, 8, 10, 12}),
            (PATCH_2D, [200, 300], {200, 300, 512}),  # to the widest of nnU-Net
            (PATCH_3D, [200, 300], {200, 300, 320}),
        ],
    )
    def test_five_levels(self, build, name, patch, planned, expected):
        with torch.device("meta"):
            found = widths(build(name, patch, features=planned))
        assert found == expected | {CLASSES}

    @pytest.mark.parametrize("patch", [PATCH_2D, PATCH_3D])
    @pytest.mark.parametrize("planned", [[4, 6], [4, 6, 10, 12]])
    def test_segnet_has_the_plan_s_stages(self, build, patch, planned):
        assert widths(build("SegNetTrainer", patch, features=planned)) == {*planned, CLASSES}

    @pytest.mark.parametrize("patch", [PATCH_2D, PATCH_3D])
    @pytest.mark.parametrize("planned", [[4, 6], [4, 6, 10, 14]])
    def test_attention_unet_has_the_plan_s_stages(self, build, patch, planned):
        inner = {width // 2 for width in planned[:-1]} | {1}  # of the attention gates
        assert widths(build("AttentionUNetTrainer", patch, features=planned)) == {*planned, *inner, CLASSES}

    @pytest.mark.parametrize("name", ["UNetTrainer", "UNetPlusPlusTrainer", "SegNetTrainer"])
    @pytest.mark.parametrize(("patch", "norm"), [(PATCH_2D, nn.BatchNorm2d), (PATCH_3D, nn.InstanceNorm3d)])
    def test_norm_goes_by_the_dimension(self, build, name, patch, norm):
        norms = [m for m in build(name, patch).modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        assert {type(m) for m in norms} == {norm}
        assert all(m.affine for m in norms)


class TestSegNet:
    @pytest.mark.parametrize("patch", [(21, 37), (17, 21, 25)])
    def test_odd_edges(self, build, patch):
        network = build("SegNetTrainer", patch)
        assert network(torch.randn(2, CHANNELS, *patch)).shape == (2, CLASSES, *patch)

    @pytest.mark.parametrize(
        ("patch", "strides"), [((21, 37), [[1, 1], [2, 2], [1, 2]]), ((7, 20, 26), [[1, 1, 1], [1, 2, 2], [2, 2, 2]])]
    )
    def test_strides_of_their_own_along_each_axis(self, build, patch, strides):
        network = build("SegNetTrainer", patch, strides=strides)
        maps = []
        network.encoder[-1].register_forward_hook(lambda *args: maps.append(args[2].shape[2:]))
        assert network(torch.randn(2, CHANNELS, *patch)).shape == (2, CLASSES, *patch)
        expected = tuple(edge // first // second for edge, first, second in zip(patch, strides[1], strides[2]))
        assert maps == [expected]

    def test_unpooling_puts_values_back_where_the_maximum_was(self, build):
        network = build("SegNetTrainer", (21, 37)).eval()
        seen = {}
        network.encoder[0].register_forward_hook(lambda _, x, y: seen.update(pooled=y))
        network.decoder[0].register_forward_hook(lambda _, x, y: seen.update(unpooled=x[0]))
        with torch.no_grad():
            network(torch.randn(1, CHANNELS, 21, 37))
        before, after = seen["pooled"], seen["unpooled"]
        assert before.shape == after.shape
        most = functional.max_pool2d(before, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        filled = after[..., :20, :36] != 0
        assert filled.any()
        assert (before[..., :20, :36][filled] == most[filled]).all()
        assert (filled.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2)) <= 1).all()  # one of each 2 x 2
        assert not after[..., 20:, :].any()  # what pooling did not see stays empty
        assert not after[..., 36:].any()


class TestDeepLab:
    def test_edges_that_are_no_multiples_of_16(self, build):
        network = build("DeepLabV3PlusTrainer", (51, 37)).eval()
        x = torch.randn(1, CHANNELS, 51, 37)
        with torch.no_grad():
            logits = network(x)
            padded = network.network(functional.pad(x, (0, 11, 0, 13)))  # to 64 x 48
        assert logits.shape == (1, CLASSES, 51, 37)
        torch.testing.assert_close(logits, padded[..., :51, :37], rtol=0, atol=0)

    def test_multiples_of_16_go_through_as_they_are(self, build):
        network = build("DeepLabV3PlusTrainer", (48, 32)).eval()
        x = torch.randn(1, CHANNELS, 48, 32)
        with torch.no_grad():
            torch.testing.assert_close(network(x), network.network(x), rtol=0, atol=0)

    def test_3d(self, build):
        with pytest.raises(ValueError, match=r"configuration must be 2d for DeepLabV3\+, got a 3-D one"):
            build("DeepLabV3PlusTrainer", PATCH_3D)


class TestBadPlan:
    @pytest.mark.parametrize("name", ["UNetTrainer", "UNetPlusPlusTrainer"])
    @pytest.mark.parametrize("patch", [(15, 40), (40, 15), (16, 15, 40)])
    def test_patch_too_small_for_five_levels(self, build, name, patch):
        with pytest.raises(ValueError, match=r"patch_size must be at least 16 .* got \[") as caught:
            build(name, patch)
        assert str(list(patch)) in str(caught.value)

    @pytest.mark.parametrize("name", ["UNetTrainer", "UNetPlusPlusTrainer"])
    @pytest.mark.xfail(reason="instance norm wants more than one voxel, and says so in the first step", strict=True)
    def test_patch_of_one_voxel_at_the_bottom(self, build, name):
        with pytest.raises(ValueError, match="patch_size must"):
            build(name, (16, 31, 24))

    @pytest.mark.parametrize(
        ("patch", "strides"), [(PATCH_2D, [[1, 1], [2, 2], [1, 2]]), (PATCH_3D, [[1, 1, 1], [1, 2, 2], [2, 2, 2]])]
    )
    def test_attention_unet_with_strides_that_differ_by_axis(self, build, patch, strides):
        with pytest.raises(ValueError, match="strides must be the same along all axes for Attention U-Net, got "):
            build("AttentionUNetTrainer", patch, strides=strides)
