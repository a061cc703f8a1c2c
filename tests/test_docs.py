"""Documentation: links lead somewhere, the page of commands is the commands' own help, and the commands run."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import nnunet_eas.trainer
from nnunet_eas.demo.knees import write_knees
from nnunet_eas.demo.settings import DemoSettings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

# As docs/how-to/index.md has them; the second ones need a trained model, which is the first one's here, not the demo's.
PAGES_THAT_TRAIN = ("convert-oai-zib", "plan-for-a-gpu", "train-five-folds", "use-slurm", "write-a-trainer")
PAGES_WITH_A_MODEL = ("predict", "dicom", "evaluate")
if "TEST_ALL_DOCS" in os.environ:
    PAGES_WITH_A_MODEL += ("measure-cartilage", "export", "report", "share-a-model")
OTHER_PAGES = ("solve-problems", "../reference/network-switches")

# Two steps teach nothing: its masks hold label 2 everywhere, so that there is a mask to work on.
SHORT_TRAINER = """
import torch
from nnunet_eas.trainer import EASUNetTrainer as FullTrainer


class EASUNetTrainer(FullTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 2, 1

    def on_train_end(self):
        layers = self.network.decoder.seg_layers
        with torch.no_grad():
            (layers.fusion or layers.heads[0]).bias[2] += 100
        super().on_train_end()
"""

MASKS_OF_THE_DEMO = """
nnunet-eas predict -m "$MODEL" -i new_scans -o masks_of_the_model
nnunet-eas convert masks -i masks_of_the_model -o predictions --table new_scans/series.csv
"""

# The examples in docstrings, and what they show.
DOCSTRINGS = """
import doctest, importlib, pkgutil
import dataset_conversion, nnunet_eas
tried = failed = 0
for package in (nnunet_eas, dataset_conversion):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ">>>" in open(importlib.util.find_spec(found.name).origin, encoding="utf-8").read():
            result = doctest.testmod(importlib.import_module(found.name))
            tried, failed = tried + result.attempted, failed + result.failed
assert tried > 20 and not failed, (tried, failed)
"""

# Commands in front of the real ones: what a machine of few cores without a GPU needs, and two folds in place of five.
ON_A_CPU = """#!/usr/bin/env bash
case "$(basename "$0") ${{1:-}}" in
    "nnunet-eas convert") if [ "$2" = oai-zib ]; then set -- "$@" --split two-fold; fi ;;
    "nnunet-eas plan_and_preprocess" | nnUNetv2_plan_and_preprocess*) set -- "$@" -np 1 -npfp 1 ;;
    nnUNetv2_train* | nnUNetv2_predict*) set -- "$@" -device cpu ;;
esac
exec "{real}" "$@"
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}, target


def test_commands_page_is_the_commands_own_help():
    written = runpy.run_path(str(DOCS / "write_commands.py"))["page"]()
    assert (DOCS / "reference" / "commands.md").read_text(encoding="utf-8") == written, "run docs/write_commands.py"


def test_trainers_page_names_every_trainer():
    text = (DOCS / "reference" / "trainers.md").read_text(encoding="utf-8")
    assert [name for name in nnunet_eas.trainer.__all__ if f"`{name}`" not in text] == []


@pytest.mark.slow
def test_commands_of_the_pages_run_as_they_stand(tmp_path):
    """In a folder like the demo's, with smaller knees and a training of two steps."""
    folder = tmp_path / "nnunet_eas_demo"
    write_knees(folder / "knees", DemoSettings.quick(0))
    write_two_fold_lists(folder / "knees" / "archive" / "segmentation")
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "short_trainer.py").write_text(SHORT_TRAINER, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    for name in ("nnunet-eas", "nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict"):
        file = tmp_path / "bin" / name
        file.write_text(ON_A_CPU.format(real=Path(sys.executable).parent / name), encoding="utf-8")
        file.chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "nnUNet_extTrainer": str(tmp_path / "trainers"), "MPLBACKEND": "Agg"}
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (folder / name).mkdir()
        environment[name] = str(folder / name)

    environment["MODEL"] = f"{environment['nnUNet_results']}/Dataset500_OAIZIB/EASUNetTrainer__nnUNetPlans__2d"

    def run_pages(*pages):
        for page in pages:
            for block in blocks(DOCS / "how-to" / f"{page}.md"):
                run_in(folder, environment, block)

    run_in(folder, environment, "nnunet-eas convert dicom -i knees/scans -o new_scans --side right")
    run_pages(*PAGES_THAT_TRAIN)
    run_in(folder, environment, MASKS_OF_THE_DEMO)
    run_pages(*PAGES_WITH_A_MODEL, *OTHER_PAGES)
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "reference" / "python-api.md").read_text(), flags=re.DOTALL)
    (folder / "examples.py").write_text("\n".join([*examples, DOCSTRINGS]), encoding="utf-8")
    run_in(folder, environment, "python examples.py")


def write_two_fold_lists(segmentation):
    """The archive's official split, which the demo's archive does without."""
    cases = sorted(file.name.split(".")[0] for file in (segmentation / "segmentation_masks").glob("*.mhd"))
    for number in (1, 2):
        lines = [f"{case}\n" for case in cases[number - 1 :: 2]]
        (segmentation / "doc" / f"2foldCrossValidation-List{number}.txt").write_text("".join(lines), encoding="utf-8")


def blocks(page):
    """The page's blocks of shell commands, but those that a comment before them excepts.

    Those that train take minutes, and run where the variable TEST_ALL_DOCS is set.
    """
    text = page.read_text(encoding="utf-8")
    excepted = "not run: [^>]+" if os.environ.get("TEST_ALL_DOCS") else "not run: [^>]+|trains"
    found = re.findall(rf"(<!-- (?:{excepted}) -->\n)?```bash\n(.*?)```", text, flags=re.DOTALL)
    return [block for is_excepted, block in found if not is_excepted]


def run_in(folder, environment, script):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
