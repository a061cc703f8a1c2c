"""Settings of torch.compile, by the memory that PyTorch's own scheduler estimates for a step."""

import os

import pytest
from tiny_networks import batch, build
from torch._inductor import config

from nnunet_eas.gpu import checkpoint_stages, compiling, fuse_norms_into_their_readers


@pytest.mark.slow
@pytest.mark.skipif("TEST_ALL_KERNELS" not in os.environ, reason="takes long")
def test_a_compiled_step_needs_less_memory():
    from benchmarks.planning.compiled_peak import estimated_peak

    network = build(3, "instance")
    checkpoint_stages(network)
    x = batch(3, 64)
    assert estimated_peak(network, x, compiling.SETTINGS) < 0.95 * estimated_peak(network, x, {})


def test_higher_settings_stay():
    with config.patch(realize_opcount_threshold=1000, realize_reads_threshold=1):
        fuse_norms_into_their_readers()
        assert (config.realize_opcount_threshold, config.realize_reads_threshold) == (1000, 8)


def test_settings_that_pytorch_does_not_have_are_left_out(monkeypatch):
    monkeypatch.setitem(compiling.SETTINGS, "renamed_by_pytorch", 1)
    with config.patch(realize_opcount_threshold=1, realize_reads_threshold=1):
        fuse_norms_into_their_readers()
        assert not hasattr(config, "renamed_by_pytorch")
