"""The comparison lets right graphs pass and finds wrong ones out."""

import numpy as np
import pytest
import torch

from nnunet_eas.inference.verification import compare


@pytest.fixture(scope="module", params=["2d", "3d_fullres"])
def model(loaded, request):
    return loaded("eas", request.param)


def compared(model, change):
    """What comes out for a graph that changes the network's input or output."""

    def run(image):
        return change(lambda array: model.networks[0](torch.from_numpy(np.ascontiguousarray(array))).numpy(), image)

    return compare(run, model.networks[0], model)


def one_voxel_is_off(network, image):
    logits = network(image)
    logits[-1, 0, 1, 2] += 0.01 * logits.std()
    return logits


def one_is_not_a_number(network, image):
    logits = network(image)
    logits[0, 0, 1, 2] = np.nan
    return logits


def batch_is_mixed(network, image):
    logits = network(image)
    return logits - logits.mean(axis=0, keepdims=True) + logits[:1]


WRONG = [
    one_voxel_is_off,
    one_is_not_a_number,
    batch_is_mixed,
    lambda network, image: np.roll(network(image), 1, axis=1),  # heads
    lambda network, image: np.roll(network(image), 1, axis=0),  # images; with a batch of one nothing changes
    lambda network, image: network(np.flip(image, -1)),
    lambda network, image: network(image).round(1),
    lambda network, image: np.zeros_like(network(image)),
]


def test_the_network_itself(model):
    agreement = compared(model, lambda network, image: network(image))
    assert agreement.is_good()
    assert agreement.difference < 1e-4  # rounding: a batch of three takes other kernels than one image
    assert agreement.equal_labels == 1
    assert "100.0000% labels equal" in str(agreement)


@pytest.mark.parametrize("change", WRONG)
def test_wrong_graphs(model, change):
    assert not compared(model, change).is_good()


def test_another_shape(model):
    with pytest.raises(ValueError, match="The graph must give the shape"):
        compared(model, lambda network, image: network(image)[:, :2])
