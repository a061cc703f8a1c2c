import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nnunet_eas.network.output_fusion import OutputFusion

CASES = [
    (nn.Conv2d, "bilinear", [(12, 20), (6, 10), (3, 5)]),
    (nn.Conv3d, "trilinear", [(4, 12, 20), (4, 6, 10), (2, 3, 5)]),
]


@pytest.mark.parametrize(("conv_op", "mode", "sizes"), CASES)
def test_equals_resize_concatenate_and_convolve(conv_op, mode, sizes):
    fusion = OutputFusion(conv_op, 3, len(sizes)).double()
    nn.init.normal_(fusion.weight)
    nn.init.normal_(fusion.bias)
    outputs = [torch.randn(2, 3, *size, dtype=torch.float64) for size in sizes]
    resized = [F.interpolate(o, size=sizes[0], mode=mode, align_corners=False) for o in outputs]
    convolve = F.conv2d if conv_op is nn.Conv2d else F.conv3d
    expected = convolve(torch.cat(resized, dim=1), fusion.weight, fusion.bias)
    torch.testing.assert_close(fusion(outputs), expected)


@pytest.mark.parametrize(("conv_op", "mode", "sizes"), CASES)
def test_starts_as_the_mean(conv_op, mode, sizes):
    outputs = [torch.randn(1, 4, *size) for size in sizes]
    resized = [F.interpolate(o, size=sizes[0], mode=mode, align_corners=False) for o in outputs]
    torch.testing.assert_close(OutputFusion(conv_op, 4, len(sizes))(outputs), torch.stack(resized).mean(dim=0))


def test_one_output_passes_unchanged():
    x = torch.randn(1, 2, 5, 7)
    torch.testing.assert_close(OutputFusion(nn.Conv2d, 2, 1)([x]), x)
