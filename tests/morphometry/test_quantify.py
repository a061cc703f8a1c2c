"""`quantify` from Python: an image in memory, faulty masks, and the titles of the pictures."""

import json
import math

import pytest
import SimpleITK as sitk
from evaluation.mask_files import write_mask
from morphometry.test_command import LABELS, SPACING, knee_like

from nnunet_eas.morphometry import thickness_map
from nnunet_eas.morphometry.quantify import quantify
from nnunet_eas.support import parallel
from nnunet_eas.support.errors import PartialSuccess


def knee_image():
    image = sitk.GetImageFromArray(knee_like(holes=True))
    image.SetSpacing(SPACING[::-1])
    return image


def same(rows, others):
    for row, other in zip(rows, others, strict=True):
        assert {k: v for k, v in row.items() if k != "case"} == pytest.approx(
            {k: v for k, v in other.items() if k != "case"}, nan_ok=True
        )


def test_an_image_gives_what_its_file_gives(tmp_path, capfd):
    write_mask(tmp_path / "masks" / "a.nii.gz", knee_like(holes=True), SPACING)
    of_image = quantify(knee_image(), bones={2: 1})
    assert (of_image.cases, of_image.notes) == (["image"], [])
    assert [(row["case"], row["label"]) for row in of_image.rows] == [("image", "1"), ("image", "2")]
    assert of_image.rows[1]["bare_area_mm2"] > 20
    assert math.isnan(of_image.rows[0]["bare_area_mm2"])
    same(of_image.rows, quantify(tmp_path / "masks", bones={"2": "1"}).rows)
    same(of_image.rows, quantify(str(tmp_path / "masks" / "a.nii.gz"), bones={2: 1}).rows)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.rglob("*")] == ["masks", "a.nii.gz"]


def test_names_and_bones_of_a_dataset(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    measured = quantify(knee_image(), dataset_json=tmp_path / "dataset.json", labels=2)
    (row,) = measured.rows
    assert row["name"] == "femoral_cartilage"
    assert row["bone_area_mm2"] > row["bare_area_mm2"] > 0


def test_what_is_neither_a_path_nor_an_image():
    with pytest.raises(TypeError, match=r"got list\. Of a Prediction, give its mask or file\."):
        quantify([knee_image()])


def test_masks_that_fail_are_in_the_exception_and_the_others_in_its_result(tmp_path, capfd):
    write_mask(tmp_path / "masks" / "a.nii.gz", knee_like(), SPACING)
    expected = quantify(tmp_path / "masks").rows
    (tmp_path / "masks" / "b.nii.gz").write_text("")
    with pytest.raises(PartialSuccess, match=r"got faults in b\. Correct these cases; the other 1 are ") as caught:
        quantify(tmp_path / "masks")
    same(caught.value.result.rows, expected)
    assert caught.value.result.cases == ["a"]
    assert caught.value.faults["b"].startswith("b.nii.gz must be a whole file")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("folder", "dataset_json", "title"),
    [
        ("masks", "masks", "a: femoral_cartilage"),
        ("masks", None, "a: 2"),
        # nnU-Net keeps dataset.json beside these folders
        ("labelsTr", ".", "a: femoral_cartilage"),
        ("masks", ".", "a: 2"),
        ("fold_0/validation", ".", "a: femoral_cartilage"),
    ],
)
@pytest.mark.parametrize("one_file", [False, True])
def test_pictures_bear_the_structure_s_name(tmp_path, monkeypatch, folder, dataset_json, title, one_file):
    write_mask(tmp_path / folder / "a.nii.gz", knee_like(), SPACING)
    if dataset_json:
        (tmp_path / dataset_json / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    titles = []
    monkeypatch.setattr(thickness_map, "draw_thickness", lambda *args: titles.append(args[-1]))
    monkeypatch.chdir(tmp_path / folder)
    quantify("a.nii.gz" if one_file else ".", labels=[2], maps="maps")
    assert titles == [title]


@pytest.mark.parametrize("progress", [False, True])
def test_both_passes_have_a_progress_bar_where_it_is_wanted(monkeypatch, progress):
    bars = []
    tqdm = parallel.tqdm
    monkeypatch.setattr(parallel, "tqdm", lambda **settings: bars.append(settings) or tqdm(**settings))
    quantify(knee_image(), progress=progress)
    assert [bar["desc"] for bar in bars] == ["reading labels", "measuring"]
    assert {bar["disable"] for bar in bars} == {None if progress else True}  # None is on terminals only
