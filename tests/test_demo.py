"""The demo: its parts on their own, and all of it as a user types it: run, repeated, killed and resumed."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from dataset_conversion.dicom.scans import read_table
from nnunet_eas.cli.main import main
from nnunet_eas.demo import figures, pipeline
from nnunet_eas.demo.knees import write_knees
from nnunet_eas.demo.pipeline import Demo, command_environment
from nnunet_eas.demo.progress import Progress, TrainingOutput
from nnunet_eas.demo.scores import means, score, table
from nnunet_eas.demo.settings import DATASET_NAME, DemoSettings
from nnunet_eas.demo.workspace import MARKER, Workspace, fingerprint
from nnunet_eas.support.nnunet_commands import command_line

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "nnunet_eas.cli.main", "demo", "--quick", "--device", "cpu"]
STRUCTURES = ["femur", "femoral_cartilage", "tibia", "tibial_cartilage"]


# ------------------------------------------------------------------------------------------------- settings and data


@pytest.mark.parametrize("make", [DemoSettings, DemoSettings.quick])
def test_slices_are_sagittal(make):
    # nnU-Net's 2d configuration slices across the axis of largest spacing; x, the last axis, runs from right to left
    assert np.argmax(make(0).spacing) == 2
    assert len(set(make(0).spacing)) == len(set(make(0).shape)) == 3


@pytest.mark.slow
def test_the_knees_have_the_layout_of_real_ones_and_no_tested_knee_is_learned_from(tmp_path):
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        write_knees(folder, DemoSettings.quick(seed))
    (split,) = json.loads((folders[0] / "split.json").read_text())
    masks = sorted((folders[0] / "archive" / "segmentation" / "segmentation_masks").glob("*.mhd"))
    assert [mask.name.split(".")[0] for mask in masks] == split["train"] + split["val"]
    assert (len(split["train"]), len(split["val"])) == (4, 1)
    series = [f for f in (folders[0] / "scans").rglob("*") if f.is_dir() and any(g.is_file() for g in f.iterdir())]
    cases = json.loads((folders[0] / "cases.json").read_text())
    assert sorted(cases) == sorted(f"oai_{f.parts[-3]}_{f.parts[-1]}" for f in series)
    for place in ("truth", "truth_scans"):
        assert {f.name for f in (folders[0] / place).iterdir()} == {f"{c}.nii.gz" for c in cases}
    everyone = [f.read_bytes() for folder in folders for f in (folder / "archive/segmentation").rglob("*.raw")]
    for folder in folders:
        for case in json.loads((folder / "cases.json").read_text()):
            truth = sitk.ReadImage(str(folder / "truth" / f"{case}.nii.gz"))
            everyone.append(sitk.GetArrayFromImage(truth).tobytes())
    assert len(set(everyone)) == len(everyone) == 14


# ------------------------------------------------------------------------------------------------------ the workspace


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("three years of work")
    assert main(["demo", "--quick", "--output", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "--output must be new, empty or an earlier demo's folder" in message
    assert "Traceback" not in message
    assert [path.name for path in tmp_path.rglob("*")] == ["thesis.txt"]


def test_a_demo_with_other_options_is_left_alone(tmp_path):
    Workspace(tmp_path, options={"quick": True, "seed": 0})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match=r"'quick': True.*Nothing was changed\. Repeat those options"):
        Workspace(tmp_path, options={"quick": False, "seed": 0})
    assert sorted(tmp_path.rglob("*")) == before
    Workspace(tmp_path, options={"quick": True, "seed": 0})


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="--output must name a folder, got the file"):
        Workspace(tmp_path / "file")


def test_a_demo_that_was_killed_at_its_very_start_owns_its_folder(tmp_path):
    (tmp_path / f".partial_7_{MARKER}").write_text("{")
    Workspace(tmp_path)
    assert (tmp_path / MARKER).exists()


def test_stamps(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.stamp("plan") == {}
    workspace.write_stamp("plan", "abc")
    assert workspace.stamp("plan") == {"fingerprint": "abc", "finished": False}
    workspace.write_stamp("plan", "abc", 1.23)
    assert Workspace(tmp_path).stamp("plan") == {"fingerprint": "abc", "finished": True, "seconds": 1.2}
    workspace.remove("stages/plan.json")
    assert workspace.stamp("plan") == {}


def test_a_fingerprint_depends_on_what_went_before():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": 1}, before="x") != fingerprint({"a": 1}, before="y")


@pytest.mark.skipif(sys.platform == "win32", reason="children inherit no lock there")
def test_one_demo_at_a_time_and_its_children_count(tmp_path, capsys):
    holder = (
        "import os, subprocess, sys; from pathlib import Path; from nnunet_eas.demo.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock() as inherited:\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], pass_fds=inherited)\n"
        "    print('locked', flush=True); os._exit(9)\n"  # as a demo that is killed and leaves its child behind
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as killed:
        assert killed.stdout.readline() == b"locked\n"
        second = Workspace(tmp_path)
        with pytest.raises(RuntimeError, match="--output must be used by one demo at a time"), second.lock(wait_s=0):
            pass
        assert "waiting" in capsys.readouterr().out
        killed.stdin.write(b"\n")
    with second.lock(wait_s=30):
        pass


# ---------------------------------------------------------------------------------------------------------- commands


def test_the_environment_is_that_of_the_commands_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "/somewhere/of/theirs")
    monkeypatch.setenv("nnUNet_extTrainer", "/trainers/of/theirs")
    environment = command_environment("nnUNetv2_predict", tmp_path, "/ours")
    assert environment["nnUNet_raw"] == str(tmp_path / "nnUNet_raw")
    assert environment["nnUNet_results"] == str(tmp_path / "nnUNet_results")
    assert environment["nnUNet_extTrainer"] == os.pathsep.join(["/trainers/of/theirs", "/ours"])
    assert os.environ["nnUNet_raw"] == "/somewhere/of/theirs"


def test_a_command_that_fails_is_quoted(tmp_path, monkeypatch):
    def fails(command, log, **_):
        log.parent.mkdir()
        log.write_text("line 1\nthe disk is full\n")
        return 1

    monkeypatch.setattr(pipeline, "run_command", fails)
    demo = Demo(tmp_path / "demo", quick=True, seed=0, device="cpu", lookup_folder="x")
    monkeypatch.setattr(pipeline, "write_knees", lambda folder, settings: None)
    with pytest.raises(RuntimeError, match="nnunet-eas must succeed, got exit status 1: the disk is full") as error:
        demo.run()
    assert str(tmp_path / "demo" / "logs" / "nnunet-eas.log") in str(error.value)


# ---------------------------------------------------------------------------------------------- progress and results


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_stage_shows_that_it_works(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    shown = Progress(stages=2)
    with shown.stage("Planning"):
        shown.detail("nnUNetv2_plan starts")
        deadline = time.monotonic() + 30
        while "(1 s)" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert "\r[1/2] Planning: nnUNetv2_plan starts (1 s)" in screen.getvalue()
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().rstrip().rpartition("\r")[2].startswith("[1/2] Planning: done (")


def test_a_file_gets_a_line_for_each_stage_and_each_command(capsys):
    shown = Progress(stages=1)

    def fails():
        with shown.stage("Planning"):
            shown.detail("nnUNetv2_plan starts", milestone=True)
            shown.detail("one case of many")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    lines = ["started", "nnUNetv2_plan starts", "one case of many"]
    assert capsys.readouterr().out == "".join(f"[1/1] Planning: {line} (0 s)\n" for line in lines)


def test_a_picture_says_that_nothing_was_predicted():
    mask = np.zeros((3, 4), dtype=np.uint8)
    assert figures.prediction_title(mask, 6) == "prediction: empty, after only 6 training steps"
    mask[1, 2] = 1
    assert figures.prediction_title(mask, 6) == "prediction"


def test_progress_of_a_training():
    output = TrainingOutput(epochs=16, structures=STRUCTURES)
    lines = {
        "2026-01-01 10:00:00.000001: Epoch 4 ": ("epoch 5 of 16", False),
        "2026-01-01 10:00:00.000001: Current learning rate: 0.00742 ": None,
        "2026-01-01 10:00:00.000001: Pseudo dice [np.float32(0.9), np.float32(0.51), 0.8, np.float32(nan)] ": None,
        "2026-01-01 10:00:00.000001: Epoch time: 4.79 s ": (
            "epoch 5 of 16, Dice so far: femoral cartilage 0.51, tibial cartilage nan",
            True,
        ),
        "2026-01-01 10:00:00.000001: predicting knee_00012 ": ("validation", False),
        "": None,
    }
    assert [output.read(line) for line in lines] == list(lines.values())


def test_scores_of_written_files(tmp_path):
    settings = DemoSettings.quick(0)
    truth, guess = tmp_path / "truth", tmp_path / "guess"
    truth.mkdir()
    guess.mkdir()
    array = np.zeros((6, 7, 8), dtype=np.uint8)
    array[1, 1, 1:3] = 2
    moved = array.copy()
    moved[1, 1, 1] = 0
    for folder, labels in ((truth, array), (guess, moved)):
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(settings.spacing[::-1])
        sitk.WriteImage(image, str(folder / "knee.nii.gz"))
    records = score(truth, guess, ["knee"])
    assert [record["structure"] for record in records] == STRUCTURES
    # one of two voxels was found; the other one is one step along x, 9 mm, away
    expected = {"dice": 2 / 3, "precision": 1.0, "recall": 0.5, "hd_mm": pytest.approx(9.0)}
    assert {key: records[1][key] for key in expected} == expected
    assert means(records)["femoral_cartilage"]["recall"] == 0.5
    assert means(records)["femur"]["dice"] is None


def test_table():
    mean = {"femur": {"dice": 0.98765, "precision": 0.5, "recall": 1.0, "hd_mm": 3.14159}}
    mean["tibia"] = dict.fromkeys(mean["femur"])
    head, femur, tibia = table(mean, cases=3).splitlines()
    assert head.split("  ")[0] == "mean of 3 unseen knees"
    assert head.endswith("  DSC %   precision %      recall %  Hausdorff mm")
    assert femur.split() == ["femur", "98.8", "50.0", "100.0", "3.14"]
    assert tibia.split() == ["tibia", "-", "-", "-", "-"]


# --------------------------------------------------------------------------------------------------------- the whole


def demo(folder: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
    return subprocess.run(
        [*COMMAND, "--output", str(folder)], capture_output=True, text=True, env=environment, cwd=folder.parent
    )


def printed_table(output: str) -> str:
    lines = output.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("mean of"))
    return "\n".join(lines[start : start + 5])


def killed_in_training(folder: Path) -> None:
    """Runs the demo up to its second epoch."""
    with subprocess.Popen(
        [*COMMAND, "--output", str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        for line in process.stdout:
            if "epoch 1 of 2" in line:
                # an epoch's line comes before its checkpoints; wait until the last of them is there
                while not list((folder / "nnUNet_results").rglob("checkpoint_best.pth")) and process.poll() is None:
                    time.sleep(0.02)
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert not list(folder.rglob("checkpoint_final.pth")), "it was killed too late to show anything"
    half = next(folder.rglob("checkpoint_*.pth")).parent / "checkpoint_latest.pth"
    half.write_bytes(b"PK")  # nnU-Net would take it by its name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and the output of a demo that was killed in its training and started again."""
    folder = tmp_path_factory.mktemp("demo") / "a folder's name"
    if sys.platform != "win32":  # it has no process groups to kill
        killed_in_training(folder)
    result = demo(folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it has no process groups to kill")
def test_what_was_done_before_the_kill_is_kept(finished):
    _, output = finished
    assert output.count("kept from an earlier run") == 3
    assert "resuming an interrupted training" in output
    assert "epoch 1 of 2" not in output
    assert "epoch 2 of 2" in output


@pytest.mark.slow
def test_the_whole_way(finished):
    folder, output = finished
    results = json.loads((folder / "results.json").read_text())
    assert set(results["seconds"]) == {"knees", "convert", "plan", "train", "predict", "score"}
    assert len(results["per_case"]) == 2 * 4
    assert set(results["per_case"][0]) == {"case", "label", "structure", "dice", "precision", "recall", "hd_mm"}
    assert results["environment"]["device"] == "cpu"
    assert set(results["definitions"]) == {"dice", "precision", "recall", "hd_mm"}
    assert table(results["mean"], cases=2) == printed_table(output)
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    cases = json.loads((folder / "knees" / "cases.json").read_text())
    assert pictures == {f"{cases[0]}.png", f"{cases[1]}.png", "training.png"}
    assert (folder / "nnUNet_raw" / DATASET_NAME / "conversion" / "report.html").is_file()
    model = folder / "nnUNet_results" / DATASET_NAME / "EASUNetTrainer_demo_quick__nnUNetPlans__2d"
    assert str(model) in output
    plans = json.loads((model / "plans.json").read_text())
    assert plans["configurations"]["2d"]["batch_size"] == DemoSettings.quick(0).batch_size
    assert "EASUNet" in plans["configurations"]["2d"]["architecture"]["network_class_name"]
    assert (model / "fold_0" / "checkpoint_final.pth").is_file()
    assert not list(folder.glob("*partial*"))
    for log in (folder / "logs").iterdir():
        for path in re.findall(rf"{re.escape(str(folder))}[^\s;:,')]*", log.read_text()):
            assert Path(path).exists(), f"{log.name} names {path}"
    # the trained slices were sagittal: their edges are along z and y
    assert plans["configurations"]["2d"]["patch_size"] == list(DemoSettings.quick(0).shape[:2])


@pytest.mark.slow
def test_the_printed_command_predicts(finished, tmp_path):
    folder, output = finished
    printed = next(line for line in output.splitlines() if line.startswith("Predict with it"))
    arguments = shlex.split(printed.removeprefix("Predict with it"))
    places = {str(folder / "my_masks"): str(tmp_path / "out")}
    arguments = [places.get(argument, argument) for argument in arguments]
    subprocess.run(command_line(*arguments), check=True, capture_output=True)
    for name, row in read_table(folder / "new_scans" / "series.csv").items():
        first, second = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(place / f"{name}.nii.gz")))
            for place in (folder / "predictions", tmp_path / "out")
        )
        # the demo has mirrored the masks of mirrored scans back
        assert np.array_equal(first, second[:, :, ::-1] if row["mirrored"] == "yes" else second)


@pytest.mark.slow
def test_the_second_run_keeps_everything(finished):
    folder, output = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = demo(folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("kept from an earlier run") == 6
    assert printed_table(again.stdout) == printed_table(output)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after.get(path)} <= {"results.json"}


@pytest.mark.slow
def test_the_tutorial_runs_in_the_demos_folder(finished, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason='needs pip install ".[docs]"')
    nbclient = pytest.importorskip("nbclient", reason='needs pip install ".[docs]"')
    shutil.copytree(finished[0], tmp_path / "nnunet_eas_demo")  # the notebook would run the demo
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
