"""`evaluate` from Python: folders, images in memory, and cases that can't be compared."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from evaluation.mask_files import SPACING, label_map, write_mask

from nnunet_eas.evaluation.evaluate import evaluate
from nnunet_eas.support.errors import PartialSuccess

BOX = (slice(1, 4), slice(2, 6), slice(3, 8))
NEXT = (slice(1, 4), slice(2, 6), slice(4, 9))


def image(*boxes):
    result = sitk.GetImageFromArray(label_map(*boxes))
    result.SetSpacing(SPACING[::-1])
    return result


@pytest.fixture
def folders(tmp_path):
    for case, predicted in (("a", BOX), ("b", NEXT)):
        write_mask(tmp_path / "ref" / f"{case}.nii.gz", label_map((1, BOX)))
        write_mask(tmp_path / "pred" / f"{case}.nii.gz", label_map((1, predicted)))
    return tmp_path


def test_images_give_what_their_files_give(folders, capfd):
    of_images = evaluate(image((1, BOX)), image((1, NEXT)), tolerance_mm=2)
    of_folders = evaluate(folders / "ref", str(folders / "pred"), tolerance_mm=2, workers=1)
    (record,) = of_images.per_case
    assert record.pop("case") == "image"
    assert record == {key: value for key, value in of_folders.per_case[1].items() if key != "case"}
    assert of_images.content["mean"]["labels"]["1"] == {key: record[key] for key in record if key != "label"}
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in folders.iterdir()) == ["pred", "ref"]


def test_images_with_chosen_labels_and_names(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "box": 1, "other": 2}}))
    pair = image((1, BOX), (2, NEXT)), image((1, BOX), (2, NEXT))
    assert [r["label"] for r in evaluate(*pair, dataset_json=tmp_path / "dataset.json").per_case] == ["box", "other"]
    assert [r["label"] for r in evaluate(*pair, labels=[2]).per_case] == ["2"]


def test_cases_that_fail_are_in_the_exception_and_the_others_in_its_result(folders, capfd):
    expected = evaluate(folders / "ref", folders / "pred").per_case
    (folders / "pred" / "c.nii.gz").write_text("")
    write_mask(folders / "ref" / "c.nii.gz", label_map((1, BOX)))
    with pytest.raises(
        PartialSuccess, match=r"must fit .* got faults in c\. Correct these cases; the other 2 "
    ) as caught:
        evaluate(folders / "ref", folders / "pred")
    assert caught.value.result.per_case == expected
    assert caught.value.faults["c"].startswith("prediction: c.nii.gz must be a whole file, got a damaged one")
    assert str(folders) not in caught.value.faults["c"]
    assert capfd.readouterr() == ("", "")


def test_an_image_is_not_compared_with_a_folder(folders):
    with pytest.raises(TypeError, match=r"must both be images, or none of them, got .*Path and Image"):
        evaluate(folders / "ref", image((1, BOX)))


def test_images_without_labels_and_with_another_grid():
    with pytest.raises(ValueError, match=r"references \(-ref\) must hold labels, got none in 1 masks"):
        evaluate(image(), image())
    moved = image((1, BOX))
    moved.SetOrigin((9, 0, 0))
    with pytest.raises(PartialSuccess, match="got faults in image") as caught:
        evaluate(image((1, BOX)), moved)
    assert "must lie where the reference lies" in caught.value.faults["image"]
    colours = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    with pytest.raises(PartialSuccess) as caught:
        evaluate(image((1, BOX)), colours, labels=[1])
    assert caught.value.faults["image"].startswith("prediction: the image must hold one channel in 2-D or 3-D")
