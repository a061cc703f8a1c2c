"""`nnunet-eas report` as a user types it."""

import gzip
import html
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluation.mask_files import write_mask
from reporting.model_folders import CASES, DATASET, EAS, shifted

from nnunet_eas.cli import main as cli


class Page(HTMLParser):
    """All tags with their attributes, and the text of the tables' cells."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.rows, self.inside = [], [], None
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = ""

    def handle_data(self, data):
        if self.inside is not None:
            self.inside += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self.inside)
            self.inside = None


def case_data(page):
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]


def test_two_models(models, run):
    status, page, out, err = run(*models)
    assert (status, err) == (0, "")
    assert out.endswith("4 cases of EASUNetTrainer, nnUNetTrainer in out.html\n")
    rows = Page(page).rows
    # the box of 4 voxels is 0, 0, 1, 2 off: Dice 1, 1, 3/4, 1/2
    assert ["box", "EASUNetTrainer", "81.25 ± 23.94"] in [row[:3] for row in rows]
    assert ["d", "box", "EASUNetTrainer", "1", "50.00", "2.50"] in [row[:6] for row in rows]
    assert ["d", "box", "nnUNetTrainer", "1", "25.00", "3.75"] in [row[:6] for row in rows]
    assert sum(row[0] in CASES for row in rows) == 4 * 3 * 2
    assert re.findall(r'<h3 id="case-\d">(.*?) <small>', page) == ["Best: b", "Median: c", "Worst: d"]
    assert not list(Path().glob("*.partial"))


def test_slices_of_a_case(models, run):
    page = run(*models)[1]
    best, _, _ = case_data(page)
    # z is the coarsest axis: the box is in slices 1 to 3 of 6, and one more is shown on either side
    assert best["total"] == 6
    assert [of_one["number"] for of_one in best["slices"]] == [1, 2, 3, 4, 5]
    assert all(of_one["image"].startswith("data:image/png;base64,") for of_one in best["slices"])
    # columns run to the patient's left; truth and two models, of each both, box, corner
    middle = best["slices"][2]["paths"]
    assert middle[0] == middle[1] == middle[2]
    assert middle[0][1] == "M1 2h4v4h-4z"
    assert middle[0][2] == "M0 0h1v2h-1z"
    assert best["slices"][0]["paths"][0] == ["", "", ""]
    # the slice with the corner is seen first, at the image's proportions in mm
    assert 'value="2" autocomplete="off"> <output>3 of 6</output>' in page
    assert 'viewBox="0 0 12.5 4"' in page


def test_the_page_needs_nothing_else(models, run):
    page = run(*models)[1]
    tags = Page(page).tags
    policy = next(attributes["content"] for tag, attributes in tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    links = [value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href", "srcset")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|url\(|@import", page)
    assert ("html", {"lang": "en"}) in tags
    assert all("aria-label" in attributes for _, attributes in tags if attributes.get("role") in ("img", "region"))
    assert not any("style" in attributes or any(name.startswith("on") for name in attributes) for _, attributes in tags)


def test_it_tells_nothing_of_the_machine(models, run, tmp_path):
    # what a library says of these holds their paths
    files = [models[0] / "fold_0" / "validation" / "a.nii.gz", tmp_path / "preprocessed" / DATASET / "gt_segmentations"]
    for file in (files[0], files[1] / "c.nii.gz"):
        file.write_bytes(gzip.compress(b"no image" * 100))
    page = run(*models)[1]
    assert "<summary>2 left out</summary>" in page
    assert str(tmp_path) not in page
    assert "secret" not in page
    assert "NVIDIA H200" in page


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(models, run):
    page = run(*models)[1]
    assert run(*models)[1] == page
    assert cli.main(["report", *map(str, models), "-o", "two.html", "--workers", "2"]) == 0
    assert Path("two.html").read_text(encoding="utf-8") == page


def test_text_from_outside_can_do_nothing(models, run):
    evil = "<script>alert(1)</script>&amp;"
    for model in models:
        dataset = json.loads((model / "dataset.json").read_text())
        (model / "dataset.json").write_text(json.dumps({**dataset, "labels": {"background": 0, evil: 1, "\"'": 2}}))
        plans = json.loads((model / "plans.json").read_text())
        (model / "plans.json").write_text(json.dumps({**plans, "dataset_name": "</title>" + evil}))
        (model / "fold_0" / "debug.json").write_text(json.dumps({"gpu_name": evil}))
        validation = model / "fold_0" / "validation"
        (validation / "a.nii.gz").rename(validation / "<script>$style.nii.gz")
    gt = Path("preprocessed", DATASET, "gt_segmentations")
    (gt / "a.nii.gz").rename(gt / "<script>$style.nii.gz")
    status, page, _, err = run(*models, "-ref", gt, "--names", "<img src=x onerror=alert(1)>", "</script>$script")
    assert status == 0
    assert "The pictures have no scans" in err
    tags = Page(page).tags
    assert not any(tag == "img" for tag, _ in tags)
    # as many scripts as cases are shown, and the page's own
    assert sum(tag == "script" for tag, _ in tags) == page.count("</script>") == 4
    assert html.escape(evil) in page
    assert ["&lt;script&gt;$style" in page, "</script>$script" in page] == [True, False]


def test_one_model(models, run):
    status, page, out, _ = run(models[0])
    assert status == 0
    assert "4 cases of EASUNetTrainer in" in out
    assert "≠" not in page.split("<h2>Settings</h2>")[1].split("<script>")[0]


def test_options(models, run):
    page = run(*models, "--names", "ours", "theirs", "--tolerance-mm", "2.5")[1]
    assert "Here tolerance_mm is 2.5." in page
    assert ">ours<" in page
    assert "EASUNetTrainer ends" not in page


def test_cases_that_a_model_lacks_are_left_out_and_named(models, run):
    shutil.rmtree(models[1] / "fold_1")
    status, page, out, err = run(*models)
    assert (status, out.startswith("2 cases")) == (0, True)
    assert err == "".join(f"left out {case}: nnUNetTrainer has no prediction of it\n" for case in "cd")
    assert "<li>c: nnUNetTrainer has no prediction of it</li>" in page


def test_faulty_cases_are_named_and_the_others_shown(models, run):
    gt = Path("preprocessed", DATASET, "gt_segmentations")
    (gt / "a.nii.gz").unlink()
    (models[1] / "fold_0" / "validation" / "b.nii.gz").write_bytes(b"no image")
    status, page, out, err = run(*models)
    assert status == 1
    assert "2 cases of" in out
    assert "left out a: EASUNetTrainer: the reference must be there, got none of this name." in err
    assert "left out b: nnUNetTrainer: prediction: b.nii.gz must be a whole file" in err
    assert "<summary>2 left out</summary>" in page
    assert err.splitlines()[-1] == (
        "error: all cases of the models must be sound, got faults in a, b. Correct these cases and run again; out.html "
        "has all others."
    )


def test_a_split_says_which_cases_must_be_there(models, run):
    split = [{"train": [], "val": ["a", "b", "e"]}, {"train": [], "val": ["c", "d"]}]
    Path("preprocessed", DATASET, "splits_final.json").write_text(json.dumps(split))
    write_mask(Path("preprocessed", DATASET, "gt_segmentations", "e.nii.gz"), shifted(0))
    status, _, out, err = run(*models)
    assert (status, "4 cases of" in out) == (1, True)
    assert "left out e: EASUNetTrainer: the prediction must be there, got none of this name." in err


def test_a_missing_scan(models, run):
    Path("raw", DATASET, "imagesTr", "b_0000.nii.gz").unlink()
    status, page, _, err = run(*models)
    assert status == 1
    assert "b is shown without its scan: the scan must be one file CASE_0000 in images (-images), got none. " in err
    assert "Without its scan: the scan must be one file" in page
    assert [of_one["slices"][0]["image"] is None for of_one in case_data(page)] == [True, False, False]


def test_without_any_scans(models, run, monkeypatch):
    monkeypatch.delenv("nnUNet_raw")
    status, page, _, err = run(*models)
    note = "The pictures have no scans: images (-images) are not given, and nnUNet_raw has no imagesTr of the dataset."
    assert (status, err) == (0, f"note: {note}\n")
    assert note in page


def test_fold_all_is_said(models, run):
    for number in (0, 1):
        fold = models[0] / f"fold_{number}"
        shutil.copytree(fold, models[0] / "fold_all", dirs_exist_ok=True)
        shutil.rmtree(fold)
    status, _, _, err = run(*models)
    assert status == 0
    assert err == "note: EASUNetTrainer: fold_all was trained on the very cases that it is evaluated on.\n"


def test_no_case_in_common(models, run):
    shutil.rmtree(models[0] / "fold_0")
    shutil.rmtree(models[1] / "fold_1")
    status, page, _, err = run(*models)
    assert (status, page) == (1, None)
    assert err.startswith("error: the models must have a sound case in common, got none. a: EASUNetTrainer has no ")


def test_structures_that_are_nowhere(models, run):
    """Empty in truth and predictions: no number, no outline, no mistake."""
    for folder in (*(model / "fold_0" / "validation" for model in models), Path("preprocessed", DATASET)):
        for path in folder.rglob("a.nii.gz"):
            write_mask(path, 0 * shifted(0))
    status, page, _, _ = run(*models)
    assert status == 0
    assert ["a", "box", "EASUNetTrainer", "0", *["\u2013"] * 6, "0"] in Page(page).rows
    assert "(3 cases)" in page


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--tolerance-mm", "-1"], "tolerance_mm must be 0 or more, got -1.0. "),
        (["--workers", "0"], "workers must be at least 1, got 0. "),
        (["-ref", "nowhere"], "references (-ref) must be a folder, got nowhere. "),
        (["-images", "nowhere"], "images (-images) must be a folder, got nowhere. "),
        (["-ref", "empty"], "references (-ref) must hold masks (.nii.gz .nii .mha "),
        (["--names", "one"], "names must be one for each model (2), got 1. "),
        (["-o", "empty"], "output (-o) must be a file, got the folder empty. "),
    ],
)
def test_bad_arguments(models, capsys, args, message):
    Path("empty").mkdir()
    assert cli.main(["report", *map(str, models), "-o", "new/out.html", "--workers", "1", *args]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {message}")
    assert captured.err.count("\n") == 1
    assert not Path("new").exists()


def test_no_references(models, run, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed")
    status, page, _, err = run(*models)
    assert (status, page) == (1, None)
    assert err.startswith(
        "error: references (-ref) must be a folder of masks, got nothing. Give it, or set nnUNet_preprocessed to"
    )


def test_no_validation_masks(models, run):
    for fold in models[0].glob("fold_*"):
        shutil.rmtree(fold / "validation")
    status, page, _, err = run(*models)
    assert (status, page) == (1, None)
    assert err.startswith("error: a trained model must hold validation masks, got none in fold_0, fold_1 of ")
    assert err.rstrip().endswith(f"{EAS}. Finish a training, or run nnUNetv2_train with --val.")


def test_the_page_s_folder_is_made_and_an_earlier_page_survives_a_failure(models, monkeypatch):
    command = ["report", *map(str, models), "-o", "new/folder/out.html", "--workers", "1"]
    assert cli.main(command) == 0
    earlier = Path("new/folder/out.html").read_bytes()

    def failing(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", failing)
    assert cli.main(command) == 1
    assert Path("new/folder/out.html").read_bytes() == earlier
    assert not list(Path("new/folder").glob("*.partial"))
