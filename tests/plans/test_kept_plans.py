"""A plans file that this format's first version wrote still gives the network that it gave."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.nn.modules.batchnorm import _BatchNorm

from nnunet_eas.cpu import accelerate
from nnunet_eas.plans.translation import translate_plans

PLANS = json.loads((Path(__file__).parent / "plans_of_format_1.json").read_text(encoding="utf-8"))
# of the names and shapes of all weights, as the version that wrote the plans built them
WEIGHTS = {
    "2d": "dad7a08869a1d793",
    "3d_fullres": "e703f1d57ac3532c",
    "3d_lowres": "e703f1d57ac3532c",
    "3d_cascade_fullres": "deff01b286b24204",
}


@pytest.mark.parametrize("configuration", sorted(WEIGHTS))
def test_the_network_is_the_one_that_was_planned(configuration):
    plans = translate_plans(PLANS)
    assert plans == PLANS
    planned = PlansManager(plans).get_configuration(configuration)
    channels = 3 if configuration == "3d_cascade_fullres" else 1
    with torch.device("meta"):
        network = get_network_from_plans(
            planned.network_arch_class_name,
            planned.network_arch_init_kwargs,
            planned.network_arch_init_kwargs_req_import,
            channels,
            3,
            deep_supervision=False,
        )
        prediction = network(torch.empty(2, channels, *planned.patch_size))
    assert prediction.shape == (2, 3, *planned.patch_size)
    weights = repr([(name, tuple(value.shape)) for name, value in network.state_dict().items()])
    assert hashlib.sha256(weights.encode()).hexdigest()[:16] == WEIGHTS[configuration]


# standard deviation and mean of each output with the weights and the image below, computed by version 0.1.0: in
# training, and then in evaluation with the statistics of this image
OUTPUTS = {
    "2d": (
        ([2.283364, 4.116346, 3.699818], [0.044865, 0.861009, -1.272959]),
        ([41444.951311, 69547.776127, 59107.26717], [-78323.456547, 146719.630862, -133514.004206]),
    ),
    "3d_fullres": (([1.946595, 3.368326, 2.997824], [-0.015806, 0.770163, -1.091111]),) * 2,
}


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "accelerated"])
@pytest.mark.parametrize("configuration", sorted(OUTPUTS))
def test_the_network_computes_what_it_computed(configuration, fast):
    planned = PlansManager(PLANS).get_configuration(configuration)
    network = get_network_from_plans(
        planned.network_arch_class_name,
        planned.network_arch_init_kwargs,
        planned.network_arch_init_kwargs_req_import,
        1,
        3,
        deep_supervision=False,
    ).double()
    network.load_state_dict({name: _wave(name, value) for name, value in network.state_dict().items()})
    shape = [2 * divisor for divisor in network.shape_must_be_divisible_by]
    image = torch.linspace(-1, 1, math.prod(shape), dtype=torch.float64).mul(40).sin().reshape(1, 1, *shape)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    if fast:
        accelerate(network)
    for mode, (spread, mean) in zip(("training", "evaluation"), OUTPUTS[configuration], strict=True):
        with torch.set_grad_enabled(mode == "training"):  # otherwise the fast path of training is not taken
            prediction = network.train(mode == "training")(image).flatten(2)[0].detach()
        found, expected = torch.stack([prediction.std(1), prediction.mean(1)]), torch.tensor([spread, mean])
        torch.testing.assert_close(found, expected.double(), rtol=1e-6, atol=2e-6)


def _wave(name: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor of a state dict, filled by a formula."""
    if not value.is_floating_point():
        return value
    wave = torch.linspace(0, 7, value.numel(), dtype=torch.float64).sin().reshape(value.shape)
    if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
        return 1 + 0.5 * wave
    return 0.1 * wave if value.ndim == 1 else wave * (3 / value[0].numel()) ** 0.5
