"""From result files to the numbers of a comparison, on three networks whose numbers one can work out."""

import json
import statistics

import pytest
from runner_results import CODE, FOLDS, PLAN, SCHEDULE, TITLES, result, results, write_results

from benchmarks.compare import result_files
from benchmarks.compare.differences import ALL
from benchmarks.compare.tables import tables

NETWORKS = ("default", "eas", "unet")


def table_of(made, reference="default", names=NETWORKS):
    (table,), faults = tables(made, reference, names)
    assert faults == []
    return table


@pytest.fixture(scope="module")
def networks():
    return table_of(results(*NETWORKS))["networks"]


class TestNumbers:
    def test_networks_and_titles(self, networks):
        assert {name: network["title"] for name, network in networks.items()} == TITLES

    def test_mean_over_seeds_then_over_cases(self, networks):
        core = networks["default"]["structures"]["core"]["dice"]
        over_seeds = [0.85, 0.6, 0.7, 0.5]  # of a, b, c, d
        assert core == {"mean": pytest.approx(0.6625), "sd": pytest.approx(statistics.stdev(over_seeds)), "n": 4}

    def test_an_undefined_number_is_left_out_of_its_structure_and_of_the_mean_over_all(self, networks):
        structures = networks["default"]["structures"]
        assert structures["shell"]["dice"]["mean"] == pytest.approx((0.6 + 0.7 + 0.7) / 3)
        assert structures[ALL]["dice"]["mean"] == pytest.approx((0.725 + 0.65 + 0.6) / 3)
        numbers = {(s, m): structures[s][m]["n"] for s in ("core", "shell", ALL) for m in ("dice", "hd_mm")}
        of_dice = {("core", "dice"): 4, ("shell", "dice"): 3, (ALL, "dice"): 3}
        assert numbers == {**of_dice, ("core", "hd_mm"): 2, ("shell", "hd_mm"): 3, (ALL, "hd_mm"): 1}

    def test_dice_of_each_seed(self, networks):
        of_seed = {"0": (0.7 + 0.6 + 0.6) / 3, "1": (0.75 + 0.7 + 0.6) / 3}  # of a, b, d
        assert networks["default"]["mean_dice_of_seeds"] == pytest.approx(of_seed)
        assert networks["default"]["folds"] == {"0": [0, 1], "1": [0, 1]}

    def test_difference_to_the_reference(self, networks):
        assert "difference" not in networks["default"]
        core = networks["eas"]["difference"]["core"]  # 0.04, -0.02, 0.01, 0.06: 3 of 16 ways have a sum of at most 2
        assert (core["cases"], core["mean"], core["p"]) == (4, pytest.approx(0.0225), pytest.approx(2 * 3 / 16))
        both = networks["eas"]["difference"][ALL]  # 0.04, -0.02, 0.06
        assert (both["cases"], both["mean"], both["p"]) == (3, pytest.approx(0.08 / 3), pytest.approx(0.5))
        assert -0.0201 < both["low"] < both["mean"] < both["high"] < 0.0601

    def test_p_is_corrected_for_the_number_of_rivals(self, networks):
        core = {name: networks[name]["difference"]["core"] for name in ("eas", "unet")}
        assert {name: d["p"] for name, d in core.items()} == pytest.approx({"eas": 0.375, "unet": 0.125})
        assert {name: d["p_holm"] for name, d in core.items()} == pytest.approx({"eas": 0.375, "unet": 0.25})

    @pytest.mark.parametrize(("name", "better"), [("eas", 2), ("unet", 0)])
    def test_folds_in_which_it_is_better(self, networks, name, better):
        found = networks[name]["difference"]["core"]
        assert (found["folds_better"], found["folds"]) == (better, 2)

    def test_what_it_was_made_of(self, networks):
        eas = networks["eas"]
        assert (eas["code"], eas["plan"]) == (CODE, {"batch_size": 12, "patch_size": [56, 40]})
        assert eas["devices"] == ["Some CPU, PyTorch 2.15.0"]
        assert eas["step_seconds_in_training"] == 0.25

    def test_the_order_of_the_results_does_not_matter(self, networks):
        assert table_of(results(*NETWORKS)[::-1])["networks"] == networks


def test_only_cases_of_both_are_compared():
    made = [*results("default"), *[result("eas", 0, seed) for seed in (0, 1)]]  # fold 1 of eas is not yet there
    found = table_of(made)["networks"]["eas"]
    assert found["folds"] == {"0": [0], "1": [0]}
    assert (found["difference"]["core"]["cases"], found["difference"]["core"]["folds"]) == (2, 1)
    assert found["difference"]["core"]["mean"] == pytest.approx(0.01)


class TestSeeds:
    def test_only_seeds_of_both_are_compared(self):
        made = [*results("default"), *[result("eas", fold, 0) for fold in FOLDS]]
        for one in made:
            if one["recipe"]["arm"] == "default" and one["recipe"]["seed"] == 1:
                for record in one["per_case"]:
                    record["dice"] = record["dice"] and record["dice"] / 2  # as a seed that went wrong
        found = table_of(made)["networks"]["eas"]
        assert found["difference_of_seeds"] == [0]
        assert found["difference"]["core"]["mean"] == pytest.approx(0.0225)  # as without that seed

    def test_how_far_two_seeds_of_a_network_are_apart(self, networks):
        found = networks["default"]["between_seeds"]  # a 0.7 and 0.75, b 0.6 and 0.7, d 0.6 and 0.6
        assert (found["seeds"], found["cases"], found["mean"]) == ([0, 1], 3, pytest.approx(0.05))

    def test_one_seed_has_no_such_distance(self):
        made = [result(name, fold, 0) for fold in FOLDS for name in NETWORKS]
        assert table_of(made)["networks"]["eas"]["between_seeds"] is None

    def test_a_case_that_one_seed_left_undefined(self):
        made = results("default", "eas")
        for one in made:
            for record in one["per_case"]:
                if (one["recipe"]["seed"], record["case"], record["label"]) == (1, "b", "core"):
                    record["dice"] = None
        core = table_of(made)["networks"]["default"]["structures"]["core"]["dice"]
        assert (core["n"], core["mean"]) == (3, pytest.approx((0.85 + 0.7 + 0.5) / 3))

    def test_trainings_that_were_cut(self):
        made = results("default", "eas")
        for one in made:
            one["resumed"] = (one["recipe"]["arm"], one["recipe"]["seed"], one["recipe"]["fold"]) == ("eas", 1, 0)
        found = table_of(made)["networks"]
        assert (found["default"]["resumed"], found["eas"]["resumed"]) == ({}, {"1": [0]})


class TestRanking:
    ORDER = ("eas", "default", "unet")

    def test_each_against_the_next(self):
        (table,), _ = tables(results(*NETWORKS), "default", NETWORKS, self.ORDER)
        steps = table["ranking"]  # of a, b, d: 0.04, -0.02, 0.06, and 0.01, 0.02, 0.04
        assert [(step["better"], step["worse"]) for step in steps] == [("eas", "default"), ("default", "unet")]
        assert [step["mean"] for step in steps] == pytest.approx([0.08 / 3, 0.07 / 3])
        assert [step["p"] for step in steps] == pytest.approx([0.5, 0.25])
        assert [step["p_holm"] for step in steps] == pytest.approx([0.5, 0.5])
        assert [(step["folds_better"], step["folds"]) for step in steps] == [(2, 2), (2, 2)]

    def test_not_where_one_of_them_is_missing(self):
        (table,), faults = tables(results("default", "eas"), "default", NETWORKS, self.ORDER)
        assert (faults, "ranking" in table) == ([], False)

    def test_not_unless_asked_for(self):
        assert "ranking" not in table_of(results(*NETWORKS))


def test_the_reference_may_be_any_network():
    networks = table_of(results("eas", "unet"), reference="eas", names=("eas", "unet"))["networks"]
    difference = networks["unet"]["difference"]["core"]  # -0.05, 0, -0.04, -0.1
    assert difference["mean"] == pytest.approx(-0.19 / 4)
    assert "difference" not in networks["eas"]


def test_only_the_networks_that_were_asked_for():
    assert set(table_of(results(*NETWORKS), names=("default", "unet"))["networks"]) == {"default", "unet"}


class TestWhatMustNotBeMixed:
    @pytest.mark.parametrize(
        "other",
        [
            {"code": {**CODE, "sources": "another"}},
            {"code": {**CODE, "versions": {"torch": "2.14.0"}}},
            {"plan": {**PLAN, "batch_size": 2}},
            {"trainer": "AnotherTrainer"},
        ],
        ids=["our code", "a package", "plan", "trainer"],
    )
    def test_two_versions_of_a_network_leave_it_out(self, other):
        made = [*results("default", "unet"), result("eas", 0, 0), result("eas", 1, 0, **other)]
        (table,), faults = tables(made, "default", NETWORKS)
        assert set(table["networks"]) == {"default", "unet"}
        assert table["networks"]["unet"]["difference"]["core"]["cases"] == 4
        (fault,) = faults
        assert fault.startswith("Dataset901_Blobs, 2d, eas: results must be of one version of plan and code, got 2")
        for one in made[-2:]:
            assert one["key"] in fault

    def test_two_versions_of_the_data_have_a_table_each(self):
        made = [*results("default", "eas"), *results("default", data="data2")]
        found, faults = tables(made, "default", NETWORKS)
        assert [(t["data"], set(t["networks"])) for t in found] == [
            ("data1", {"default", "eas"}),
            ("data2", {"default"}),
        ]
        (fault,) = faults
        assert fault.startswith("Dataset901_Blobs, 2d: data must be the same in all results, got data1, data2.")

    @pytest.mark.parametrize(
        "other",
        [
            {"schedule": {**SCHEDULE, "epochs": 40}},
            {"schedule": {**SCHEDULE, "iterations": None, "seconds": 60.0}},
            {"configuration": "3d_fullres"},
            {"dataset": "Dataset902_Others"},
        ],
        ids=["epochs", "time", "configuration", "dataset"],
    )
    def test_other_trainings_have_a_table_of_their_own(self, other):
        made = [*results("default", "eas"), *results("default", "unet", **other)]
        found, faults = tables(made, "default", NETWORKS)
        assert faults == []
        assert sorted(sorted(t["networks"]) for t in found) == [["default", "eas"], ["default", "unet"]]

    def test_a_missing_reference_is_named_and_the_rest_shown(self):
        (table,), faults = tables(results("eas", "unet"), "default", NETWORKS)
        assert set(table["networks"]) == {"eas", "unet"}
        assert all("difference" not in network for network in table["networks"].values())
        assert faults == ["Dataset901_Blobs, 2d: results of default must be there to compare with, got none. Run it."]

    def test_nothing(self):
        assert tables([], "default", NETWORKS) == ([], [])


class TestFiles:
    @pytest.fixture
    def paths(self, tmp_path):
        return write_results(tmp_path, "default", "eas")

    def test_what_was_written_is_read(self, tmp_path, paths):
        found, faults = result_files.read_all(tmp_path)
        assert faults == []
        assert sorted(r["key"] for r in found) == sorted(r["key"] for r in results("default", "eas"))
        assert result_files.read(paths[0]) == result("default", 0, 0)

    def test_a_line_for_each_case_and_structure(self, paths):
        lines = paths[0].read_text(encoding="utf-8").splitlines()
        cases = [json.loads(line.rstrip(","))["case"] for line in lines if line.startswith('{"case"')]
        assert cases == ["a", "a", "b", "b"]

    def test_the_name_says_which_run_it_is(self, tmp_path, paths):
        key = result_files.key(result("default", 0, 0)["recipe"])
        assert paths[0] == tmp_path / "Dataset901_Blobs" / f"2d_default_seed0_fold0_{key}.json"
        assert len(set(paths)) == len(paths) == len(FOLDS) * 2 * 2

    def test_the_key_goes_by_the_content_and_not_by_the_order(self):
        recipe = result("eas", 0, 0)["recipe"]
        assert result_files.key(dict(reversed(recipe.items()))) == result_files.key(recipe)
        assert result_files.key({**recipe, "fold": 1}) != result_files.key(recipe)
        of_all_folds = result_files.key(recipe, without=("fold",))
        assert result_files.key({**recipe, "fold": 1}, without=("fold",)) == of_all_folds

    def test_nothing_but_the_result_is_left_behind(self, tmp_path, paths):
        assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(paths)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not JSON",
            b"[]",
            b"null",
            b"{}",
            b'{"recipe": null}',
            b'{"recipe": {"arm": "eas"}, "per_case": [1]}',
            b"\xff\xfe\x00",
            json.dumps({**result("eas", 0, 0), "per_case": []}).encode(),
        ],
    )
    def test_what_is_no_result_is_named(self, tmp_path, paths, content):
        paths[0].write_bytes(content)
        found, faults = result_files.read_all(tmp_path)
        assert len(found) == len(paths) - 1
        assert faults == [f"{paths[0]} must be a result of runner.py, got something else. Remove it and run again."]

    def test_a_truncated_file_is_named(self, tmp_path, paths):
        whole = paths[0].read_bytes()
        for size in range(0, len(whole) - 1, 97):
            paths[0].write_bytes(whole[:size])
            found, faults = result_files.read_all(tmp_path)
            assert (len(found), len(faults)) == (len(paths) - 1, 1)
            assert str(paths[0]) in faults[0]

    @pytest.mark.parametrize("name", ["2d_eas_seed0_fold0_0000000000.json", "../Other/{}"])
    def test_a_renamed_file_is_named(self, tmp_path, paths, name):
        right = paths[0].name
        other = paths[0].parent / name.format(right)
        other.parent.mkdir(exist_ok=True)
        paths[0].rename(other)
        found, faults = result_files.read_all(tmp_path)
        assert len(found) == len(paths) - 1
        assert faults == [
            f"{other.resolve()} must have the name of its content, Dataset901_Blobs/{right}. Rename it, or remove it."
        ]

    def test_other_files_are_nobody_s_business(self, tmp_path, paths):
        (tmp_path / "notes.txt").write_text("anything")
        paths[0].with_suffix(".part").write_text("half")
        assert result_files.read_all(tmp_path)[1] == []

    def test_a_copy_is_named(self, tmp_path, paths):
        copy = tmp_path / "old" / paths[0].relative_to(tmp_path)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(paths[0].read_bytes())
        found, faults = result_files.read_all(tmp_path)
        assert (len(found), len(faults)) == (len(paths), 1)
        assert str(copy) in faults[0]
