"""One case from its files to its records, against values by hand and against nnU-Net's own evaluation."""

import math

import numpy as np
import pytest
from evaluation.mask_files import SHAPE, SPACING, label_map, write_mask

from nnunet_eas.evaluation.case_scores import score_case
from nnunet_eas.evaluation.cases import Case
from nnunet_eas.evaluation.structures import Structures, labels_in, structures_of_dataset

VOXEL_MM3 = math.prod(SPACING)


@pytest.fixture
def score(tmp_path):
    """Writes both masks, scores them; records by label."""

    def run(reference, prediction, structures, tolerance_mm=1.0, spacing=SPACING):
        paths = [
            write_mask(tmp_path / side / "a.nii.gz", array, spacing)
            for side, array in (("ref", reference), ("pred", prediction))
        ]
        scores = score_case(Case("a", *paths), structures, tolerance_mm)
        assert not scores.faults
        assert {record["case"] for record in scores.records} == {"a"}
        return {record["label"]: record for record in scores.records}

    return run


BOX = (slice(1, 4), slice(2, 6), slice(3, 8))
SHIFTED = {
    0: (slice(2, 5), slice(2, 6), slice(3, 8)),
    1: (slice(1, 4), slice(3, 7), slice(3, 8)),
    2: (slice(1, 4), slice(2, 6), slice(4, 9)),
}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_axis_has_its_own_spacing_from_the_file(score, axis):
    record = score(label_map((4, BOX)), label_map((4, SHIFTED[axis])), Structures({"box": (4,)}))["box"]
    shared = 1 - 1 / (3, 4, 5)[axis]
    assert record["hd_mm"] == pytest.approx(SPACING[axis])
    assert record["dice"] == pytest.approx(shared)
    assert record["volume_ref_mm3"] == pytest.approx(60 * VOXEL_MM3)
    assert record["volume_difference_mm3"] == 0


def test_every_structure_has_its_record_there_or_not(score):
    reference = label_map((1, BOX), (44, (slice(5, 6), slice(0, 2), slice(0, 1))))
    records = score(reference, label_map((1, BOX)), Structures({"box": (1,), "lost": (44,), "nowhere": (3,)}))
    assert list(records) == ["box", "lost", "nowhere"]
    assert [records[label]["dice"] for label in ("box", "lost")] == [1, 0]
    assert math.isnan(records["nowhere"]["dice"])
    assert records["lost"]["volume_difference_mm3"] == pytest.approx(-2 * VOXEL_MM3)
    assert records["nowhere"]["volume_ref_mm3"] == 0


def test_a_region_is_the_union_of_its_labels(score):
    structures = structures_of_dataset({"background": 0, "whole": [1, 2], "core": 2})
    core = (slice(2, 3), slice(3, 5), slice(4, 7))
    records = score(label_map((1, BOX), (2, core)), label_map((2, BOX)), structures)
    assert records["whole"]["dice"] == 1
    assert records["core"]["precision"] == pytest.approx(6 / 60)
    assert records["core"]["recall"] == 1


def test_ignored_voxels_belong_to_neither_mask(score):
    structures = structures_of_dataset({"background": 0, "box": 1, "ignore": 2})
    ignored = (slice(0, 6), slice(0, 8), slice(6, 10))
    reference = label_map((1, BOX), (2, ignored))
    record = score(reference, label_map((1, SHIFTED[2])), structures)["box"]
    # of the reference the columns 3 to 5 are left, of the prediction 4 and 5: one column of 1.25 mm between them
    assert record["recall"] == pytest.approx(2 / 3)
    assert record["precision"] == 1
    assert record["hd_mm"] == pytest.approx(SPACING[2])
    assert record["volume_pred_mm3"] == pytest.approx(24 * VOXEL_MM3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_structure_of_one_layer_in_a_volume_is_all_surface(score, axis):
    layer, hole = label_map(), label_map()
    index = [slice(1, 6)] * 3
    index[axis] = slice(2, 3)
    layer[tuple(index)] = 1
    hole[:] = layer
    index = [slice(2, 5)] * 3
    index[axis] = slice(2, 3)
    hole[tuple(index)] = 0
    record = score(layer, hole, Structures({"layer": (1,)}), spacing=(1, 1, 1))["layer"]
    # the middle of the layer is two steps from the ring that is left of it; as a picture it would be no surface
    assert record["hd_mm"] == 2


def test_a_single_slice_in_a_3d_file_is_a_picture(score):
    one, two = (np.zeros((1, 8, 10), dtype=np.uint8) for _ in range(2))
    one[0, 1:6, 1:6] = 1
    two[0, 1:6, 1:6] = 1
    two[0, 3, 3] = 0
    record = score(one, two, Structures({"a": (1,)}), spacing=(9, 1, 1))["a"]
    assert record["hd_mm"] == 1  # the hole's walls are one step inside the contour
    assert record["assd_mm"] == pytest.approx(4 / (16 + 20))


def test_pictures(tmp_path):
    paths = [write_mask(tmp_path / side / "a.png", label_map((1, BOX))[1], (1, 1)) for side in ("ref", "pred")]
    record = score_case(Case("a", *paths), Structures({"box": (1,)}), 1.0).records[0]
    assert record["volume_ref_mm3"] == 20
    assert record["hd_mm"] == 0


def test_what_is_wrong_with_a_case(tmp_path):
    good = write_mask(tmp_path / "good.nii.gz", label_map((1, BOX)))
    smaller = write_mask(tmp_path / "smaller.mha", label_map((1, BOX))[:-1])
    moved = write_mask(tmp_path / "moved.mha", label_map((1, BOX)), Origin=(0, 0, 5))
    foreign = write_mask(tmp_path / "foreign.mha", label_map((1, BOX), (9, (slice(0, 1),) * 3)))
    cut = tmp_path / "cut.nii"
    cut.write_bytes(write_mask(tmp_path / "whole.nii", label_map((1, BOX))).read_bytes()[:-100])
    structures = structures_of_dataset({"background": 0, "box": 1})

    def faults(reference, prediction):
        scores = score_case(Case("a", reference, prediction), structures, 1.0)
        assert not scores.records
        return "\n".join(scores.faults)

    assert "the prediction must have the reference's size (10, 8, 6)" in faults(good, smaller)
    assert "the prediction must lie where the reference lies, got origin" in faults(good, moved)
    assert "the prediction must hold labels of dataset.json only, got 9" in faults(good, foreign)
    assert "the reference must hold labels of dataset.json only, got 9" in faults(foreign, good)
    assert "prediction: cut.nii must be a whole file" in faults(good, cut)
    both = faults(cut, tmp_path / "nothing.mha")
    assert "reference: cut.nii" in both
    assert "prediction: nothing.mha" in both


def test_labels_of_a_reference(tmp_path):
    path = write_mask(tmp_path / "a.nii.gz", label_map((1, BOX), (7, (slice(0, 1),) * 3)).astype(np.float32))
    blank = write_mask(tmp_path / "b.nii.gz", label_map())
    assert labels_in([path, blank, tmp_path / "none.nii.gz"], workers=1, progress=False) == [1, 7]
    assert labels_in([blank], workers=1, progress=False) == []


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "a": 1, "b": 2, "c": 3},
        {"background": 0, "all": [1, 2, 3], "some": [2, 3], "c": 3},
        {"background": 0, "a": 1, "b": 2, "ignore": 3},
    ],
)
def test_dice_and_iou_are_nnunet_s(tmp_path, labels):
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    rng = np.random.default_rng(0)
    highest = 3 if "ignore" not in labels else 2
    reference = write_mask(tmp_path / "ref.nii.gz", rng.integers(0, 4, SHAPE).astype(np.uint8))
    prediction = write_mask(tmp_path / "pred.nii.gz", rng.integers(0, highest + 1, SHAPE).astype(np.uint8))
    structures = structures_of_dataset(labels)
    theirs = compute_metrics(
        str(reference), str(prediction), SimpleITKIO(), list(structures.values.values()), structures.ignore
    )["metrics"]
    records = score_case(Case("a", reference, prediction), structures, 1.0).records
    assert len(records) == len(theirs)
    for record in records:
        expected = theirs[structures.values[record["label"]]]
        assert record["dice"] == pytest.approx(expected["Dice"])
        assert record["iou"] == pytest.approx(expected["IoU"])
        assert record["volume_ref_mm3"] == pytest.approx(expected["n_ref"] * VOXEL_MM3)
        assert record["volume_pred_mm3"] == pytest.approx(expected["n_pred"] * VOXEL_MM3)
