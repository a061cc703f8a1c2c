import pytest
import torch

from nnunet_eas.network.eca import ECA


# odd(|log2(C) / 2 + 1/2|), worked out by hand: e.g. C = 512: 9 / 2 + 1 / 2 = 5; C = 320: 4.66 -> 4 -> 5; C = 8: 2 -> 3
@pytest.mark.parametrize(
    ("channels", "kernel"), [(1, 1), (2, 1), (8, 3), (32, 3), (64, 3), (128, 5), (320, 5), (512, 5)]
)
def test_kernel_size(channels, kernel):
    assert ECA(channels).conv.weight.shape == (1, 1, kernel)


@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (1, 8, 3, 5, 7), (1, 8, 1, 1, 1)])
def test_zero_weights_halve_the_input(shape):
    eca = ECA(8)
    torch.nn.init.zeros_(eca.conv.weight)
    x = torch.randn(shape)
    torch.testing.assert_close(eca(x), x / 2)


@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (2, 8, 3, 5, 7)])
def test_the_gate_sees_a_channel_and_its_neighbours_over_all_axes(shape):
    eca = ECA(8)
    with torch.no_grad():
        eca.conv.weight.copy_(torch.tensor([[[0.5, 1.0, -2.0]]]))
    x = torch.randn(shape)
    mean = x.mean(dim=tuple(range(2, x.ndim)))
    left = torch.nn.functional.pad(mean, (1, 1))
    gate = torch.sigmoid(0.5 * left[:, :-2] + left[:, 1:-1] - 2 * left[:, 2:])
    torch.testing.assert_close(eca(x), x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2)))


def test_no_channels_is_refused():
    with pytest.raises(ValueError, match="channels must be at least 1"):
        ECA(0)
