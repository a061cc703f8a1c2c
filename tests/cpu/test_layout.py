"""Maps stay channels-last on the CPU: a module that gets another layout converts, there and back."""

import pytest
import torch
from tiny_networks import NORMS, batch, build
from torch import nn

from nnunet_eas.cpu import PATHS, accelerate
from nnunet_eas.cpu.conv3d import PointwiseConv3d
from nnunet_eas.network.blocks import ConvNormNonlin, ResidualSeparableConv
from nnunet_eas.network.output_fusion import OutputFusion

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch's other convolutions give contiguous maps"
)
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
NETWORKS = [(2, "batch"), (2, "instance"), (3, "batch"), (3, "instance")]
CHANGED = {"shortcut": True, "eas_first_scale": 0.1, "n_conv_per_stage": [2, 2, 2]}
SWITCHES = [{}, {"pool": "conv"}, {"block": "full"}, {"stem": "separable"}, CHANGED]
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
GIVE_LOGITS = ("", "decoder", "decoder.seg_layers", "decoder.seg_layers.fusion")
"""The modules that give the fused logits, which are contiguous: few channels are resized faster so."""

MODES = ["training", "training, plain", "evaluation", "prediction"]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def run(monkeypatch):
    """A pass in one of the modes; gives every module that ran with its inputs and its output."""

    def run(network, x, mode):
        torch.manual_seed(0)
        network.train(mode.startswith("training"))
        accelerate(network, [path for path in PATHS if mode != "training, plain" or path != "recomputation"])
        seen = []
        for name, module in network.named_modules():
            module.register_forward_hook(lambda *args, name=name: seen.append((name, *args)))
        names = {module: name for name, module in network.named_modules()}
        for convolution in (nn.Conv2d, nn.Conv3d):  # blocks that are computed again don't call their convolutions
            real = convolution._conv_forward

            def spy(self, x, weight, bias, real=real):
                y = real(self, x, weight, bias)
                seen.append((names[self], self, (x,), y))
                return y

            monkeypatch.setattr(convolution, "_conv_forward", spy)
        with torch.set_grad_enabled(mode != "prediction"):
            outputs = network(x)
            if mode == "training":  # where convolutions are computed again
                sum(y.square().sum() for y in outputs).backward()
        return seen

    return run


def maps(values):
    if isinstance(values, torch.Tensor):
        # of one channel, or of one voxel, a map has every layout at once
        return [values] if values.ndim in FORMATS and values.shape[1] > 1 and values[0, 0].numel() > 1 else []
    return [x for value in values for x in maps(value)] if isinstance(values, (list, tuple)) else []


def channels_last(values):
    return all(x.is_contiguous(memory_format=FORMATS[x.ndim]) for x in maps(values))


@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_weights_are_channels_last_and_stay_so(dim, norm):
    network = build(dim, norm, block="full")
    network.load_state_dict({k: v.contiguous() for k, v in network.state_dict().items()})
    weights = [m.weight for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert channels_last(weights)
    assert not all(w.is_contiguous() for w in weights)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_every_module_gets_and_gives_channels_last_maps(threads, run, dim, norm, switch, mode):
    threads(2)
    network = build(dim, norm, **switch)
    seen = run(network, batch(dim), mode)
    assert [name for name, _, inputs, _ in seen if not channels_last(inputs)] == []
    assert {name for name, _, _, output in seen if not channels_last(output)} <= set(GIVE_LOGITS)

    kinds = (*CONVOLUTIONS, nn.MaxPool2d, nn.MaxPool3d)
    if mode == "prediction" and norm == "batch":  # a convolution and what stands behind it are one operation
        kinds = (ConvNormNonlin, *kinds[2:])
    elif mode != "training":  # there norms and activations are no modules' calls, but the convolution behind them is
        kinds += (*NORMS.values(), nn.LeakyReLU, nn.Hardswish)
    expected = {name for name, module in network.named_modules() if isinstance(module, kinds)}
    if mode == "prediction":  # a shortcut's activation is no module's call
        expected -= {f"{name}.nonlin" for name, m in network.named_modules() if isinstance(m, ResidualSeparableConv)}
    ran = {name for name, _, inputs, _ in seen if maps(inputs)}
    assert {name for name in expected if "pooled" not in name} <= ran


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("dim", "norm"), NETWORKS)
def test_nothing_but_pytorchs_full_3d_convolutions_loses_the_layout(threads, run, dim, norm, n_threads, images, mode):
    """They do with one thread or with one image whose map is small; the fused logits are contiguous anyway.

    PyTorch then computes them without oneDNN (`ConvParams::use_mkldnn`: at most 20480 channels x depth x height).
    """
    threads(n_threads)
    seen = run(build(dim, norm), batch(dim, images), mode)
    leaves = [(name, module, x, y) for name, module, x, y in seen if not list(module.children())]
    leaves = [leaf for leaf in leaves if not isinstance(leaf[1], OutputFusion)]
    losing = {(name, module) for name, module, x, y in leaves if channels_last(x) and not channels_last(y)}

    def may_lose(module):
        return isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)) and module.groups == 1

    assert [name for name, module in losing if not may_lose(module)] == []
    if n_threads == 1:  # products of matrices, as the pointwise convolutions of every block
        assert [name for name, module in losing if isinstance(module, PointwiseConv3d)] == []
    if dim == 2 or (n_threads, images) == (2, 2):
        assert losing == set()
