"""A plans file that this format's first version wrote still gives the network that it gave."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

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
