"""Batch norms that are folded for good."""

import copy

import pytest
import torch
from tiny_networks import NORMS, batch, build

from nnunet_eas.cpu import accelerate
from nnunet_eas.gpu import fold_batch_norms


@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("changes", [{}, {"nonlin_first": True}, {"block": "full"}, {"dropout_op": torch.nn.Dropout2d}])
def test_a_folded_network_predicts_the_same(changes, accelerated):
    network = build(2, **changes).double().eval()
    folded = copy.deepcopy(accelerate(network) if accelerated else network)
    fold_batch_norms(folded)
    x = batch(2, 2, torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(folded(x)[0], network(x)[0], rtol=1e-9, atol=1e-9)
    norms = [sum(isinstance(m, NORMS[2, "batch"]) for m in n.modules()) for n in (network, folded)]
    # all but the pooled branch's, which follows an activation; with `nonlin_first` all but that of a block without one
    assert norms[1] == (norms[0] - 1 if changes.get("nonlin_first") else 1)


def test_instance_norms_stay():
    network = build(3, "instance").eval()
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    assert [type(m) for m in folded.modules()] == [type(m) for m in network.modules()]
