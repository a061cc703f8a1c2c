import json

import numpy as np
import pytest
from evaluation.mask_files import label_map, write_mask
from reporting.model_folders import BOX, shifted

from nnunet_eas.evaluation.structures import Structures
from nnunet_eas.reporting.columns import COLUMNS
from nnunet_eas.reporting.page import TEMPLATES
from nnunet_eas.reporting.pictures import draw_case

STRUCTURES = Structures({"box": (1,), "both": (1, 2)}, ignore=3)


@pytest.fixture
def masks(tmp_path):
    """Truth, and a prediction that is two voxels off."""
    return tuple(write_mask(tmp_path / name / "a.nii.gz", shifted(by)) for name, by in (("truth", 0), ("model", 2)))


def test_outlines_of_labels_and_regions(masks):
    drawn = draw_case(("a", masks, None), STRUCTURES)
    start = drawn.slices[drawn.start]
    assert (start["number"], start["image"], drawn.fault) == (3, None, None)
    # of the region, truth's two parts touch at a corner
    assert start["paths"] == [["M1 2h4v4h-4z", "M0 0h1v2h4v4h-4v-4h-1z"], ["M3 2h4v4h-4z", "M0 0h1v2h-1zM3 2h4v4h-4z"]]


def test_what_is_ignored_is_not_drawn_of_a_prediction(masks, tmp_path):
    unsure = (*BOX[:2], slice(6, 7))
    write_mask(masks[0], label_map((1, BOX), (3, unsure)))
    drawn = draw_case(("a", masks, None), STRUCTURES)
    assert drawn.slices[drawn.start]["paths"][0][0] == "M1 2h4v4h-4z"
    assert drawn.slices[drawn.start]["paths"][1][0] == "M3 2h3v4h-3z"


@pytest.mark.parametrize("names", [[], ["a_0000.nii.gz", "a_0000.nii"]])
def test_a_scan_must_be_one_file(masks, tmp_path, names):
    drawn = draw_case(("a", masks, tuple(tmp_path / name for name in names)), STRUCTURES)
    assert drawn.fault.startswith("the scan must be one file CASE_0000 in images (-images), got ")
    assert drawn.slices[0]["image"] is None


def test_a_single_picture_has_no_slider(tmp_path):
    masks = tuple(write_mask(tmp_path / name / "a.png", shifted(0)[2]) for name in ("truth", "model"))
    scan = write_mask(tmp_path / "a_0000.png", np.arange(80, dtype=np.uint8).reshape(8, 10))
    drawn = draw_case(("a", masks, (scan,)), STRUCTURES)
    assert drawn.fault is None
    assert drawn.slices[0]["image"].startswith("data:image/png")
    viewer = TEMPLATES.get_template("viewer.html").module.case(
        drawn, "best", 1.0, {"one": {"box": 1.0, "both": None}}, {}, COLUMNS[0], 0
    )
    assert "One slice, as in the file." in viewer
    assert "<input" not in viewer
    assert "Dice 100.00 %: box 100.00, both \u2013" in viewer


def test_embedded_json_can_t_end_its_element(masks):
    drawn = draw_case(("</script><!--<script>&", masks, None), STRUCTURES)
    drawn.slices[0]["paths"] = content = [["</script><!--<script>&"]]
    viewer = TEMPLATES.get_template("viewer.html").module.case(drawn, "best", 1.0, {}, {}, COLUMNS[0], 0)
    embedded = str(viewer).split('<script type="application/json">')[1].split("</script></section>")[0]
    assert not set("<>&") & set(embedded)
    assert json.loads(embedded)["slices"][0]["paths"] == content
