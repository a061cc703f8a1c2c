import copy

import pytest
import torch
from dynamic_network_architectures.architectures.abstract_arch import test_submodules_loadable as check_submodules
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from dynamic_network_architectures.initialization.weight_init import InitWeights_He
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.network.blocks import ResidualSeparableConv
from nnunet_eas.network.eas_unet import ARCH_FORMAT, EASUNet

KWARGS_2D = {
    "input_channels": 2,
    "n_stages": 4,
    "features_per_stage": [4, 8, 12, 16],
    "conv_op": nn.Conv2d,
    "kernel_sizes": [[3, 3]] * 4,
    "strides": [[1, 1], [2, 2], [2, 2], [1, 2]],
    "n_conv_per_stage": [2, 1, 2, 2],
    "num_classes": 3,
    "n_conv_per_stage_decoder": [2, 1, 2],
    "conv_bias": True,
    "norm_op": nn.BatchNorm2d,
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": nn.LeakyReLU,
    "nonlin_kwargs": {"inplace": True},
    "dilations": [[1, 2], [2, 1]],
}
KWARGS_3D = {
    **KWARGS_2D,
    "conv_op": nn.Conv3d,
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 1, 2]],
    "norm_op": nn.InstanceNorm3d,
    "dilations": [[1, 1, 2], [1, 2, 1]],
}
CHANGED_3D = {
    **KWARGS_3D,
    "n_conv_per_stage": [2, 2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2, 2],
    "norm_op": nn.BatchNorm3d,
    "shortcut": True,
    "eas_first_scale": 0.1,
}
"""As EASUNetTrainer's plans have it."""

OURS = ("dilations", "shortcut", "eas_first_scale")

PLANS = [(KWARGS_2D, (8, 24)), (KWARGS_3D, (4, 8, 24)), (CHANGED_3D, (4, 8, 24))]
IDS = ["2d", "3d", "changed 3d"]
SWITCHES = [
    {},
    {"stem": "separable"},
    {"block": "full"},
    {"pool": "conv"},
    {"eas_module": False},
    {"dilated_block": "full"},
    {"dilations": None},
    {"output_fusion": False},
    {"norm_op": None, "norm_op_kwargs": None},
    {"nonlin_first": True},
    {"shortcut": True, "n_conv_per_stage": [2, 2, 3, 2]},
    {"eas_first_scale": 0.1},
    {"pointwise_nonlin": nn.ReLU, "pointwise_nonlin_kwargs": {"inplace": True}},
]


def build(kwargs, **changes):
    network = EASUNet(**{**kwargs, **changes})
    network.apply(network.initialize)
    return network


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize(("kwargs", "shape"), PLANS, ids=IDS)
class TestEveryVariant:
    def test_outputs_have_the_scales_that_the_host_expects(self, kwargs, shape, switch):
        outputs = build(kwargs, **switch, deep_supervision=True)(torch.randn(2, 2, *shape))
        host = PlainConvUNet(**{k: v for k, v in kwargs.items() if k not in OURS}, deep_supervision=True)
        expected = [o.shape for o in host(torch.randn(2, 2, *shape))]
        assert [o.shape for o in outputs] == expected

    def test_without_deep_supervision_it_returns_the_first_output(self, kwargs, shape, switch):
        network = build(kwargs, **switch, deep_supervision=True).eval()
        x = torch.randn(2, 2, *shape)
        with torch.no_grad():
            first = network(x)[0]
            network.decoder.deep_supervision = False
            torch.testing.assert_close(network(x), first)

    def test_weights_load_strictly_with_deep_supervision_on_and_off(self, kwargs, shape, switch):
        on, off = build(kwargs, **switch, deep_supervision=True), build(kwargs, **switch, deep_supervision=False)
        off.load_state_dict(on.state_dict(), strict=True)
        on.load_state_dict(off.state_dict(), strict=True)

    def test_one_key_per_tensor(self, kwargs, shape, switch):
        state = build(kwargs, **switch).state_dict(keep_vars=True)
        assert len({id(v) for v in state.values()}) == len(state)

    def test_a_gradient_in_every_parameter(self, kwargs, shape, switch):
        network = build(kwargs, **switch, deep_supervision=True)
        outputs = network(torch.randn(2, 2, *shape))
        weights = [1 / 2**i for i in range(len(outputs))]
        if switch.get("output_fusion", True):
            weights[-1] = 0.0  # as in the host's loss; the lowest head then learns through the fusion
        sum(w * o.square().mean() for w, o in zip(weights, outputs, strict=True)).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name

    def test_parts_are_where_dynamic_network_architectures_looks(self, kwargs, shape, switch):
        network = build(kwargs, **switch)
        check_submodules(network)
        assert network.get_submodule(network.keys_to_in_proj[0]).weight.shape[1] in (1, kwargs["input_channels"])


@pytest.mark.slow
@pytest.mark.parametrize(("kwargs", "shape"), PLANS, ids=IDS)
@pytest.mark.parametrize(
    "switch",
    [{}, *(pytest.param({name: False}, marks=pytest.mark.slow) for name in ("eas_module", "output_fusion"))],
    ids=str,
)
def test_traces_as_one_graph(kwargs, shape, switch):
    network = build(kwargs, **switch, deep_supervision=True).eval()
    torch._dynamo.reset()  # dynamo counts recompilations per code object, across tests
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = torch.randn(1, 2, *shape)
    with torch.no_grad():
        for a, b in zip(compiled(x), network(x), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("kwargs", "shape"), PLANS[:2], ids=IDS[:2])
@pytest.mark.parametrize("switch", SWITCHES[1:], ids=str)
def test_every_switch_changes_the_network(kwargs, shape, switch):
    assert repr(build(kwargs, **switch)) != repr(build(kwargs))


@pytest.mark.parametrize(("kwargs", "shape"), PLANS, ids=IDS)
def test_arguments_are_not_changed(kwargs, shape):
    before = copy.deepcopy({k: v for k, v in kwargs.items() if not isinstance(v, type)})
    build(kwargs)(torch.randn(1, 2, *shape))
    assert {k: v for k, v in kwargs.items() if not isinstance(v, type)} == before


@pytest.mark.parametrize(("kwargs", "shape"), PLANS, ids=IDS)
def test_scalars_mean_the_same_for_all_stages_and_axes(kwargs, shape):
    dim = len(shape)
    scalars = {"features_per_stage": 6, "kernel_sizes": 3, "strides": [1, 2, 2, 2], "n_conv_per_stage": 1}
    lists = {
        "features_per_stage": [6] * 4,
        "kernel_sizes": [[3] * dim] * 4,
        "strides": [[1] * dim] + [[2] * dim] * 3,
        "n_conv_per_stage": [1] * 4,
    }
    decoder = {"n_conv_per_stage_decoder": 2}, {"n_conv_per_stage_decoder": [2, 2, 2]}
    a = EASUNet(**{**kwargs, **scalars, **decoder[0]})
    b = EASUNet(**{**kwargs, **lists, **decoder[1]})
    assert repr(a) == repr(b)


def test_the_stem_mixes_all_input_channels_and_the_first_maps_differ():
    network = build(KWARGS_2D, input_channels=1)
    stem = network.encoder.stages[0][0]
    assert (stem.conv.kernel_size, stem.conv.groups) == ((3, 3), 1)
    assert build(KWARGS_2D, stem="separable").encoder.stages[0][0].depthwise.conv.groups == 2


def test_max_pooling_takes_the_plans_strides():
    pools = [m for m in build(KWARGS_3D).modules() if isinstance(m, nn.MaxPool3d)]
    assert [(p.kernel_size, p.stride) for p in pools] == [((1, 2, 2),) * 2, ((2, 2, 2),) * 2, ((1, 1, 2),) * 2]


def test_the_class_dependent_weights_are_the_ones_the_host_does_not_transfer():
    three, five = build(KWARGS_2D).state_dict(), build(KWARGS_2D, num_classes=5).state_dict()
    differing = {k for k in three if three[k].shape != five[k].shape}
    assert differing == {k for k in three if ".seg_layers." in k}


def test_the_fusion_starts_as_a_mean_whatever_initialisation_follows():
    network = build(KWARGS_2D)
    start = torch.eye(3).repeat(1, 3)[:, :, None, None] / 3
    torch.testing.assert_close(network.decoder.seg_layers.fusion.weight.data, start)
    network.apply(InitWeights_He(1e-2))
    torch.testing.assert_close(network.decoder.seg_layers.fusion.weight.data, start)


def test_initialisation_is_uniform_within_half_the_inverse_root_of_the_fan_in():
    network = build(KWARGS_2D, features_per_stage=[64] * 4)
    weight = network.encoder.stages[2][2].pointwise.conv.weight
    assert weight.abs().max() <= 0.5 * 64**-0.5
    assert weight.abs().max() > 0.9 * 0.5 * 64**-0.5


@pytest.mark.parametrize("channels", [1, 2])
def test_every_convolution_of_the_encoder_gets_channels_last(channels):
    network = build(KWARGS_2D, input_channels=channels)
    contiguous = []

    def look(module, args, output):
        if args[0].shape[1] > 1 and not args[0].is_contiguous(memory_format=torch.channels_last):
            contiguous.append(module)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(look)
    network(torch.randn(2, channels, 16, 24))
    assert contiguous == []


@pytest.mark.parametrize(("kwargs", "shape"), PLANS, ids=IDS)
def test_feature_map_size_by_hand(kwargs, shape):
    network = build(kwargs, n_conv_per_stage=1, n_conv_per_stage_decoder=1, eas_module=False)
    voxels = [1]  # of each stage, relative to the lowest
    for stride in reversed(kwargs["strides"][1:]):
        voxels.insert(0, voxels[0] * int(torch.tensor(stride).prod()))
    unit = int(torch.tensor(shape).prod()) // voxels[0]
    stem = 4 * voxels[0]
    encoder = sum((below + own) * v for below, own, v in zip((4, 8, 12), (8, 12, 16), voxels[1:], strict=True))
    # transposed convolution, depthwise on twice the channels, pointwise, head with 3 classes
    decoder = sum((own + 2 * own + own + 3) * v for own, v in zip((4, 8, 12), voxels[:3], strict=True))
    assert network.compute_conv_feature_map_size(shape) == (stem + encoder + decoder) * unit


def test_estimating_leaves_the_network_alone():
    network = build(KWARGS_2D)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.compute_conv_feature_map_size((8, 24))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks for m in network.modules())


def test_parameters_and_flops_against_the_default_network_of_the_same_plan():
    plan = {
        "input_channels": 1,
        "n_stages": 7,
        "features_per_stage": [32, 64, 128, 256, 512, 512, 512],
        "conv_op": nn.Conv2d,
        "kernel_sizes": [[3, 3]] * 7,
        "strides": [[1, 1]] + [[2, 2]] * 6,
        "n_conv_per_stage": [2] * 7,
        "num_classes": 3,
        "n_conv_per_stage_decoder": [2] * 6,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm2d,
        "norm_op_kwargs": {"affine": True},
        "nonlin": nn.LeakyReLU,
    }
    with torch.device("meta"):
        default = PlainConvUNet(**plan)
        changes = {"norm_op": nn.BatchNorm2d, "shortcut": True, "eas_first_scale": 0.1}
        eas = EASUNet(**{**plan, **changes, "dilations": [2, 3, 5]})
        x = torch.empty(1, 1, 384, 384)
    parameters, flops = [], []
    for network in (eas, default):
        parameters.append(sum(p.numel() for p in network.parameters()))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x)
        flops.append(counter.get_total_flops())
    assert parameters[0] <= 0.27 * parameters[1]
    assert flops[0] <= 0.17 * flops[1]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_stages": 1}, ValueError, "n_stages must be at least 2"),
        ({"features_per_stage": [4, 8]}, ValueError, "features_per_stage must have 4 entries, got 2"),
        ({"strides": [[1, 1]] * 3}, ValueError, "strides must have 4 entries, got 3"),
        ({"strides": [[2, 2]] * 4}, ValueError, "strides must begin with 1"),
        ({"kernel_sizes": [[3, 3, 3]] * 4}, ValueError, "kernel_sizes must have 2 axes"),
        ({"kernel_sizes": 4}, ValueError, "kernel_size must be odd"),
        ({"n_conv_per_stage": [2, 0, 2, 2]}, ValueError, "n_conv_per_stage must be at least 1"),
        ({"n_conv_per_stage_decoder": [2] * 4}, ValueError, "n_conv_per_stage_decoder must have 3 entries"),
        ({"conv_op": nn.Conv1d}, ValueError, "conv_op must be nn.Conv2d or nn.Conv3d"),
        ({"stem": "none"}, ValueError, "stem must be one of"),
        ({"pool": "avg"}, ValueError, "pool must be one of"),
        ({"eas_module": "no"}, ValueError, "eas_module must be true or false, got 'no'"),
        ({"output_fusion": 0}, ValueError, "output_fusion must be true or false"),
        ({"shortcut": "all"}, ValueError, "shortcut must be true or false, got 'all'"),
        ({"initial_scale": None}, ValueError, "initial_scale must be a positive number, got None"),
        ({"initial_scale": 0}, ValueError, "initial_scale must be a positive number, got 0"),
        ({"eas_first_scale": True}, ValueError, "eas_first_scale must be a positive number, got True"),
        ({"eas_first_scale": -0.1}, ValueError, "eas_first_scale must be a positive number, got -0.1"),
        ({"dilations": []}, ValueError, "dilations must hold at least one rate"),
        ({"rates": [1]}, TypeError, "arch_kwargs must be arguments of EASUNet, got rates"),
        ({"arch_format": ARCH_FORMAT + 1, "rates": [1]}, ValueError, "pip install --upgrade nnunet-eas"),
    ],
)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        build(KWARGS_2D, **changes)


def test_an_input_that_the_strides_do_not_divide_is_refused_with_the_size_to_pad_to():
    with pytest.raises(ValueError, match=r"divisible by \(4, 8\), got \(9, 24\). Pad it to \(12, 24\)"):
        build(KWARGS_2D)(torch.randn(1, 2, 9, 24))


def test_an_input_size_with_channels_is_refused():
    with pytest.raises(ValueError, match="input_size must have 2 spatial axes"):
        build(KWARGS_2D).compute_conv_feature_map_size((2, 8, 24))


def test_shortcuts_go_around_blocks_that_keep_their_channels():
    network = build(KWARGS_3D, shortcut=True, n_conv_per_stage=[2, 3, 1, 1], dilated_block="separable")
    residual = [name for name, module in network.named_modules() if isinstance(module, ResidualSeparableConv)]
    assert residual == [
        "encoder.stages.0.1",
        "encoder.stages.1.2",
        "encoder.stages.1.3",
        "decoder.stages.0.1",
        "decoder.stages.2.1",
    ]


@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_the_first_weights_have_the_scale_that_is_asked_for(scale):
    network = build(KWARGS_2D, initial_scale=scale)
    conv = network.encoder.stages[0][0].conv
    assert conv.weight.abs().max().item() == pytest.approx(scale / (conv.weight[0].numel() ** 0.5), rel=0.2)
