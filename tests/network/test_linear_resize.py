"""Maps resized by matrix products: what `F.interpolate` gives, forward and backward."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nnunet_eas.network import eager_cpu, linear_resize
from nnunet_eas.network.linear_resize import MODES, add_resized

FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}
SIZES = [
    [(12, 20), (6, 10), (3, 5)],
    [(12, 20), (12, 10), (12, 1)],  # nothing is resized along the first axis; one voxel along the last
    [(7, 9), (11, 4)],  # larger along one axis
    [(8, 12, 20), (4, 6, 10), (4, 3, 5)],
    [(5, 12, 20), (5, 6, 10), (1, 1, 1)],
    [(3, 4), (3, 4)],
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def interpolations(monkeypatch):
    """The sizes that `F.interpolate` was asked for, of maps."""
    found = []
    real = F.interpolate

    def spy(x, *args, size, mode, **kwargs):
        if mode != "linear":
            found.append(tuple(size))
        return real(x, *args, size=size, mode=mode, **kwargs)

    monkeypatch.setattr(F, "interpolate", spy)
    return found


def maps_of(sizes, channels=3, images=2, dtype=torch.float64):
    layout = FORMATS[len(sizes[0])]
    return [torch.randn(images, channels, *s, dtype=dtype).contiguous(memory_format=layout) for s in sizes]


def interpolated(x, maps):
    size = x.shape[2:]
    return x + sum(F.interpolate(m, size=size, mode=MODES[len(size)], align_corners=False) for m in maps)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_as_interpolate_does_with_gradients(interpolations, sizes, channels, dtype, tolerance):
    maps = [x.requires_grad_() for x in maps_of(sizes, channels, dtype=dtype)]
    y = add_resized(maps[0], maps[1:])
    assert not interpolations
    assert y.is_contiguous(memory_format=FORMATS[len(sizes[0])])
    expected = interpolated(maps[0], maps[1:])
    torch.testing.assert_close(y, expected, rtol=0, atol=tolerance)
    grad = torch.randn_like(y)
    found, wanted = (torch.autograd.grad(out, maps, grad) for out in (y, expected))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


def test_nothing_to_add():
    (x,) = maps_of([(4, 5)])
    assert torch.equal(add_resized(x, []), x)


def test_a_prediction_before_does_not_spoil_the_training():
    linear_resize._weights.cache_clear()
    with torch.inference_mode():
        x, y = maps_of([(6, 10), (3, 5)])
        add_resized(x, [y])
    x, y = (m.requires_grad_() for m in maps_of([(6, 10), (3, 5)]))
    add_resized(x, [y]).sum().backward()
    assert y.grad.sum().item() == pytest.approx(x.numel())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_interpolated(interpolations, dtype):
    x, y = maps_of([(6, 10), (3, 5)], dtype=dtype)
    add_resized(x, [y])
    assert interpolations == [(6, 10)]


def test_where_operations_are_counted_or_the_cpus_ways_are_off_it_is_interpolated(interpolations, monkeypatch):
    x, y = maps_of([(6, 10), (3, 5)])
    with FlopCounterMode(display=False) as counter:
        add_resized(x, [y])
    assert counter.get_total_flops() == 0
    monkeypatch.setattr(eager_cpu, "runs_on", lambda _: False)
    add_resized(x, [y])
    assert interpolations == [(6, 10)] * 2
