"""Numbers and regions, and that nnU-Net reads them as they are meant."""

import numpy as np
import pytest
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from dataset_conversion.label_schemes import SCHEMES, ZIB


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_regions_rebuild_the_labels_in_nnunets_own_hands(name):
    scheme = SCHEMES[name]
    manager = LabelManager(scheme.labels(as_regions=True), regions_class_order=scheme.regions_class_order())
    assert manager.has_regions
    count = len(scheme.structures)
    truth = np.arange(count + 1).reshape(-1, 1, 1)  # a voxel of each label
    logits = np.stack([np.where(np.isin(truth, numbers), 9.0, -9.0) for numbers in scheme.regions.values()])
    assert np.array_equal(manager.convert_logits_to_segmentation(torch.from_numpy(logits)).numpy(), truth)
    assert sorted(manager.regions_class_order) == list(range(1, count + 1))


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_plain_labels(name):
    scheme = SCHEMES[name]
    manager = LabelManager(scheme.labels(), regions_class_order=None)
    assert not manager.has_regions
    assert manager.all_labels == list(range(len(scheme.structures) + 1))


def test_only_sided_labels_are_sided():
    assert {name: scheme.is_sided for name, scheme in SCHEMES.items()} == {
        "cartilage": False,
        "cartilage-and-bone": False,
        "sided": True,
    }


def test_a_source_without_the_structures():
    with pytest.raises(ValueError, match="medial_tibial_cartilage, lateral_tibial_cartilage is not there"):
        SCHEMES["sided"].lookup(ZIB)
