"""The comparison as a command: its files, the results that it names and leaves out, the same bytes twice."""

import json
import os
import subprocess
import sys

import pytest
from runner_results import CODE, SCHEDULE, TITLES, cost, result, write_results

from benchmarks.commands import ROOT
from benchmarks.compare import comparison
from benchmarks.compare.differences import ALL


def type_it(*args, hash_seed=0):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.compare.comparison", *map(str, args)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / "runs", "default", "eas", "unet")
    return tmp_path / "runs"


@pytest.fixture
def compare(folder, tmp_path, monkeypatch, capsys):
    """Runs the command in this process; returns status, JSON, Markdown, and the lines of what was left out."""

    def run(*args):
        out = tmp_path / "made" / "comparison"
        monkeypatch.setattr(
            sys, "argv", ["comparison.py", "--results", str(folder), "--out", str(out), *map(str, args)]
        )
        status = comparison.main()
        captured = capsys.readouterr()
        text = out.with_suffix(".md").read_text(encoding="utf-8")
        assert captured.out == f"{text}\n"
        return status, json.loads(out.with_suffix(".json").read_text()), text, captured.err.splitlines()

    return run


@pytest.fixture
def write_costs(tmp_path):
    def write(*costs):
        path = tmp_path / "costs.json"
        path.write_text(json.dumps({"costs": costs}))
        return path

    return write


def rows(text, head):
    """The cells of each network's row, in the Markdown table whose first head begins so."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {head}"))
    found = {}
    for line in lines[start + 2 :]:
        if not line:
            return found
        title, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[title] = cells
    return found


class TestWhole:
    def test_everything_is_well(self, compare, tmp_path):
        status, content, text, left_out = compare()
        assert (status, left_out) == (0, [])
        (table,) = content["tables"]
        assert set(table["networks"]) == set(TITLES)
        assert content["definitions"] == {"dice": "2 |R and P| / (|R| + |P|)"}
        made = {path.name for path in (tmp_path / "made").iterdir()}
        assert made == {"comparison.json", "comparison.md"}
        assert "![" not in text

    def test_a_figure_where_all_costs_are_known(self, compare, tmp_path, write_costs):
        _, _, text, _ = compare("--costs", write_costs(cost("default"), cost("eas"), cost("unet")))
        assert (tmp_path / "made" / "comparison_1.png").read_bytes().startswith(b"\x89PNG")
        assert "![accuracy against cost](comparison_1.png)" in text
        _, _, text, _ = compare("--costs", write_costs(cost("default"), cost("eas")))
        assert "![" not in text

    @pytest.mark.parametrize("head", ["core", "shell", "mean over structures"])
    def test_a_row_for_each_network(self, compare, head):
        assert list(rows(compare()[2], head)) == list(TITLES.values())

    def test_numbers_of_a_structure(self, compare):
        # core 0.85, 0.6, 0.7, 0.5; the distances, all 4, are undefined in a and d
        of = rows(compare()[2], "core")
        assert of["default nnU-Net"] == ["66.25 ± 14.93"] * 3 + ["4.00 ± 0.00 (2)"] * 2
        assert of["EAS U-Net"][0] == "68.50 ± 15.20"  # 0.89, 0.58, 0.71, 0.56

    def test_numbers_of_the_mean_over_structures(self, compare):
        of = rows(compare()[2], "mean over structures")
        assert of["default nnU-Net"][2:] == ["63.33, 68.33", "", "", ""]
        assert of["EAS U-Net"][2:4] == ["66.00, 71.00", "+2.67 [-2.00, +6.00]"]
        assert of["EAS U-Net"][4:] == ["0.5000", "2 of 2 folds"]  # p of both rivals: 0.5, and 0.25 times 2
        assert of["U-Net"][4:] == ["0.5000", "0 of 2 folds"]

    def test_eight_digits_are_written(self, compare):
        networks = compare()[1]["tables"][0]["networks"]
        assert networks["default"]["structures"][ALL]["dice"]["mean"] == 0.65833333
        assert networks["eas"]["difference"][ALL]["mean"] == 0.026666667

    def test_length_sizes_and_device(self, compare):
        text = compare()[2]
        assert "### Dataset901_Blobs, 2d" in text
        assert (
            "Equal iterations: 500 each (20 epochs of 25); batch 12, patch 56 x 40. Some CPU, PyTorch 2.15.0." in text
        )

    def test_equal_time(self, compare, folder):
        write_results(folder, "default", "eas", schedule={**SCHEDULE, "iterations": None, "seconds": 90.0})
        status, content, text, _ = compare()
        assert (status, len(content["tables"])) == (0, 2)
        assert "Equal time: 90 s of training each in 20 epochs" in text

    def test_prediction_without_mirrored_copies_is_said(self, compare, folder):
        write_results(folder, "default", "eas", schedule={**SCHEDULE, "mirroring": False})
        text = compare()[2]
        assert text.count("Equal iterations: 500 each (20 epochs of 25)") == 2
        assert text.count("; predicted without mirrored copies; batch 12") == 1

    def test_smaller_sizes_than_planned_are_said(self, compare, folder):
        for path in folder.rglob("*.json"):
            content = json.loads(path.read_text())
            content["planned"] = {"batch_size": 281, "patch_size": [56, 40]}
            path.write_text(json.dumps(content))
        assert "batch 12, patch 56 x 40 (planned: batch 281, patch 56 x 40). Some CPU" in compare()[2]

    def test_seeds_apart_and_cut_trainings_stand_below_the_table(self, compare, folder):
        (path,) = folder.rglob("2d_eas_seed1_fold0_*.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "resumed": True}))
        text = compare()[2]
        apart = "default nnU-Net +5.00 [+0.00, +10.00]; EAS U-Net +5.00 [+0.00, +10.00]; U-Net +5.00 [+0.00, +10.00]"
        assert f"The same network, its last seed against its first: {apart}.\n" in text
        assert "Interrupted and resumed, with other samples from there on: EAS U-Net, fold 0 of seed 1.\n" in text

    def test_a_claimed_order(self, compare):
        assert "Ranking" not in compare()[2]
        text = compare("--ranking", "eas", "default", "unet")[2]
        assert (
            "Ranking, each against the next: EAS U-Net against default nnU-Net +2.67 [-2.00, +6.00], p 0.5000; "
            "default nnU-Net against U-Net +2.33 [+1.00, +4.00], p 0.5000.\n"
        ) in text

    def test_seeds_that_only_one_network_has_are_not_compared(self, compare, folder):
        for path in folder.rglob("2d_eas_seed1_*.json"):
            path.unlink()
        of = rows(compare()[2], "mean over structures")
        assert of["EAS U-Net"][3].endswith("] (seed 0)")
        assert of["U-Net"][3].endswith("]")

    def test_uneven_seeds_are_said(self, compare, folder):
        (path,) = folder.rglob("2d_unet_seed1_fold0_*.json")
        path.unlink()
        status, _, text, _ = compare()
        assert status == 0
        assert "(2 + 1 folds)" in rows(text, "mean over structures")["U-Net"][0]
        assert "(uneven seeds)" not in rows(text, "mean over structures")["EAS U-Net"][0]

    def test_the_ablation(self, compare, folder):
        offsets = dict.fromkeys("abcd", -0.1)
        write_results(folder, "paper_no_module", "paper_no_fusion", offsets=offsets)
        status, content, text, left_out = compare(
            "--reference", "eas", "--networks", "paper_no_module", "paper_no_fusion"
        )
        assert (status, left_out) == (0, [])
        assert set(content["tables"][0]["networks"]) == {"eas", "paper_no_module", "paper_no_fusion"}
        of = rows(text, "mean over structures")
        assert list(of) == ["EAS U-Net", "without EAS module", "without output fusion"]
        assert "| difference to EAS U-Net |" in text
        assert of["without EAS module"][3].startswith("-12.67 [")  # -0.14, -0.08, -0.16

    def test_a_training_of_the_reference_alone_is_no_table(self, compare, folder):
        write_results(folder, "paper_no_module", offsets=dict.fromkeys("abcd", -0.1))
        write_results(folder, "eas", schedule={**SCHEDULE, "epochs": 40})
        status, content, _, left_out = compare("--reference", "eas", "--networks", "paper_no_module")
        assert (status, left_out) == (0, [])
        assert [set(table["networks"]) for table in content["tables"]] == [{"eas", "paper_no_module"}]

    def test_a_preset(self, compare, folder):
        write_results(folder, "eas_paper", "paper_no_module", offsets=dict.fromkeys("abcd", -0.1))
        status, content, _, left_out = compare("--preset", "ablation")
        assert (status, left_out) == (0, [])
        assert list(content["tables"][0]["networks"]) == ["eas_paper", "paper_no_module"]

    def test_a_network_of_the_ablation_is_no_rival(self, compare, folder):
        write_results(folder, "paper_no_module", offsets=dict.fromkeys("abcd", -0.1))
        assert set(compare()[1]["tables"][0]["networks"]) == set(TITLES)

    def test_a_name_with_a_dot(self, folder, tmp_path, monkeypatch):
        out = tmp_path / "made" / "v0.5"
        monkeypatch.setattr(sys, "argv", ["comparison.py", "--results", str(folder), "--out", str(out)])
        assert comparison.main() == 0
        assert {path.name for path in out.parent.iterdir()} == {"v0.5.json", "v0.5.md"}

    def test_a_structure_that_is_undefined_in_some_cases_says_of_how_many_it_is(self, compare):
        assert rows(compare()[2], "shell")["default nnU-Net"][0] == "66.67 ± 5.77 (3)"


class TestLeftOut:
    def test_two_versions_of_the_code(self, compare, folder):
        write_results(folder, "eas", code={**CODE, "sources": "another"})
        status, content, text, left_out = compare()
        assert status == 1
        assert set(content["tables"][0]["networks"]) == {"default", "unet"}
        assert "EAS U-Net" not in text
        assert [line[:44] for line in left_out] == ["left out: Dataset901_Blobs, 2d, eas: results"]

    def test_two_versions_of_the_data(self, compare, folder):
        write_results(folder, "default", "eas", data="data2")
        status, content, _, left_out = compare()
        assert status == 1
        assert [len(table["networks"]) for table in content["tables"]] == [3, 2]
        assert [line[:37] for line in left_out] == ["left out: Dataset901_Blobs, 2d: data "]

    @pytest.mark.parametrize("content", ["", '{"recipe"', "[1, 2]", '{"something": "else"}'])
    def test_a_broken_file(self, compare, folder, content):
        path = sorted(folder.rglob("*eas_seed1_fold1*.json"))[0]
        path.write_text(content)
        status, made, _, left_out = compare()
        assert status == 1
        assert left_out == [
            f"left out: {path} must be a result of runner.py, got something else. Remove it and run again."
        ]
        networks = made["tables"][0]["networks"]
        assert networks["eas"]["folds"] == {"0": [0, 1], "1": [0]}
        assert networks["unet"]["folds"] == {"0": [0, 1], "1": [0, 1]}

    @pytest.mark.parametrize("missing", ["environment", "step_seconds_median", "dice"])
    def test_a_file_without_what_a_result_has(self, compare, folder, missing):
        path = sorted(folder.rglob("*eas_seed1_fold1*.json"))[0]
        content = result("eas", 1, 1)
        content.pop(missing, None)
        for record in content["per_case"]:
            record.pop(missing, None)
        path.write_text(json.dumps(content))
        status, _, _, left_out = compare()
        assert status == 1
        assert str(path) in left_out[0]

    def test_the_reference_is_not_there(self, compare, folder):
        for path in folder.rglob("*_default_*.json"):
            path.unlink()
        status, content, text, left_out = compare()
        assert status == 1
        assert set(content["tables"][0]["networks"]) == {"eas", "unet"}
        assert rows(text, "mean over structures")["U-Net"][3:] == ["", "", ""]
        assert left_out == [
            "left out: Dataset901_Blobs, 2d: results of default must be there to compare with, got none. Run it."
        ]

    def test_an_empty_folder(self, compare, folder):
        for path in folder.rglob("*.json"):
            path.unlink()
        status, content, _, left_out = compare()
        assert (status, content["tables"]) == (1, [])
        (line,) = left_out
        assert line.startswith("left out: --results must hold results of default, eas, eas_paper, unet, ")

    @pytest.mark.slow
    def test_a_folder_that_is_not_there(self, tmp_path):
        completed = type_it("--results", tmp_path / "nowhere", "--out", tmp_path / "out")
        assert completed.returncode == 2
        assert completed.stderr.endswith(
            f"--results must be a folder, got {tmp_path / 'nowhere'}. Give the runner's --results.\n"
        )
        assert list(tmp_path.iterdir()) == []


class TestCosts:
    def test_a_row_for_each_network_that_has_one(self, compare, write_costs):
        status, content, text, _ = compare("--costs", write_costs(cost("default"), cost("unet")))
        assert status == 0
        of = rows(text, "cost")
        assert list(of) == ["default nnU-Net", "U-Net"]
        assert of["U-Net"] == ["1.23 M", "4.56", "0.123", "7.89", "321"]
        assert content["tables"][0]["networks"]["unet"]["cost"]["flops"] == 4_560_000_000
        assert "Step and scan were measured on: Some CPU, PyTorch 2.16.0." in text

    def test_of_another_pytorch(self, compare, write_costs):
        code = {**CODE, "versions": {"torch": "2.16.0"}}
        status, _, text, _ = compare("--costs", write_costs(cost("default", code=code)))
        assert (status, list(rows(text, "cost"))) == (0, ["default nnU-Net"])

    def test_without_costs_there_is_no_such_table(self, compare):
        assert "| cost |" not in compare()[2]

    @pytest.mark.parametrize(
        "other", [{"code": {**CODE, "sources": "another"}}, {"plan": {"batch_size": 2, "patch_size": [56, 40]}}]
    )
    def test_of_another_code_or_plan(self, compare, write_costs, other):
        status, _, text, left_out = compare("--costs", write_costs(cost("default"), cost("eas", **other)))
        assert status == 1
        assert list(rows(text, "cost")) == ["default nnU-Net"]
        assert left_out == [
            "left out: Dataset901_Blobs, 2d, eas: costs must be of the results' plan and code, got others. "
            "Run costs.py again."
        ]

    @pytest.mark.parametrize("other", [{"dataset": "Dataset902_Others"}, {"configuration": "3d_fullres"}])
    def test_of_something_else(self, compare, write_costs, other):
        status, _, text, _ = compare("--costs", write_costs(cost("default", **other)))
        assert (status, "| cost |" in text) == (0, False)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("", "JSONDecodeError"),
            ("{", "JSONDecodeError"),
            ("[]", "TypeError"),
            ("{}", "KeyError"),
            (None, "FileNotFound"),
        ],
    )
    def test_a_broken_file(self, compare, tmp_path, content, why):
        path = tmp_path / "costs.json"
        if content is not None:
            path.write_text(content)
        status, made, _, left_out = compare("--costs", path)
        assert (status, len(made["tables"][0]["networks"])) == (1, 3)
        (line,) = left_out
        assert line.startswith(f"left out: --costs must be a JSON of costs.py, got {path} ({why}")

    @pytest.mark.parametrize("content", ['{"costs": 3}', '{"costs": [{}]}', '{"costs": ["x"]}'])
    def test_a_foreign_file(self, compare, tmp_path, content):
        (tmp_path / "costs.json").write_text(content)
        status, _, _, left_out = compare("--costs", tmp_path / "costs.json")
        assert status == 1
        assert left_out[0].startswith("left out: --costs must be a JSON of costs.py")

    def test_of_another_device(self, compare, write_costs):
        other = cost("eas", device="cuda")
        other["cost"]["step_seconds"] = {"median": 0.001}
        _, _, text, _ = compare("--costs", write_costs(cost("default"), cost("eas"), other))
        assert rows(text, "cost")["EAS U-Net"][2] == "0.123"  # the results are of a CPU


@pytest.mark.slow
def test_the_same_bytes_twice(folder, tmp_path, write_costs):
    """In separate processes, whose sets have different orders."""
    costs = write_costs(cost("default"), cost("eas"), cost("unet"))
    made = []
    for hash_seed in (1, 2):
        out = tmp_path / f"made_{hash_seed}" / "comparison"
        completed = type_it("--results", folder, "--costs", costs, "--out", out, hash_seed=hash_seed)
        assert completed.returncode == 0, completed.stderr
        made.append({path.name: path.read_bytes() for path in out.parent.iterdir()})
    assert sorted(made[0]) == ["comparison.json", "comparison.md", "comparison_1.png"]
    assert made[0] == made[1]
