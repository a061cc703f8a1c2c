"""Packed files that are sound archives with hostile contents: each is refused, and nothing is written or left."""

import json
import pickle
import zipfile

import pytest
from sharing.packed_content import CHECKPOINT, NAME, PLANS, WEIGHTS, Packed
from sharing.tiny_results import DATASET

from nnunet_eas.cli.main import main
from nnunet_eas.sharing.pack import pack
from nnunet_eas.sharing.unpack import unpack


def change_members(change):
    return lambda content: change(content.members)


def set_manifest(**entries):
    return lambda content: content.manifest.update(entries)


def set_model(**entries):
    return lambda content: content.manifest["models"][0].update(entries)


def set_json(name, **entries):
    return lambda content: content.change_json(name, lambda of: of.update(entries))


def set_layer(key, value, configuration="2d"):
    def change(plans):
        plans["configurations"][configuration]["architecture"]["arch_kwargs"][key] = value

    return lambda content: content.change_json(PLANS, change)


MODELS = "must name models by trainer, plans, configuration and folds"
CLASSES = "must be a network or layer of torch.nn, dynamic_network_architectures, nnunet_eas, got"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_members(lambda members: members.update(extra=b"")), "must hold files of its models only, got 'extra'"),
        (change_members(lambda members: members.pop(WEIGHTS)), "must hold all files of its models, got no .*weights"),
        (change_members(lambda members: members.pop("README.md")), "must hold all files of its models, got no 'README"),
        (
            change_members(lambda members: members.update({PLANS: b" " * (2**24 + 1)})),
            "texts of at most 16777216 bytes",
        ),
        (change_members(lambda members: members.update({PLANS: b"[" * 10**6})), "must hold whole JSON, got"),
        (change_members(lambda members: members.update({PLANS: b'{"a": ' + b"9" * 10**5 + b"}"})), "whole JSON, got"),
        (change_members(lambda members: members.update({PLANS: b"\xff"})), "must hold whole JSON, got"),
        (change_members(lambda members: members.update({PLANS: b"[]"})), "must hold JSON objects, got list in"),
        (change_members(lambda members: members.update({PLANS: b"{}"})), "plans must be nnU-Net's, got others in"),
        (change_members(lambda members: members.update({WEIGHTS: pickle.dumps(0)})), "must hold whole weights, got"),
        (change_members(lambda members: members.update({WEIGHTS: b"\xff" * 100})), "must hold whole weights, got"),
        (set_manifest(format=2), "must be of format 1, got 2 in .*Install the version of nnunet-eas that wrote it"),
        (set_manifest(format=None), "must be of format 1, got None"),
        (set_manifest(models=[]), MODELS),
        (set_manifest(models={"a": 1}), MODELS),
        (set_manifest(models=None), MODELS),
        (set_model(trainer="../../evil"), MODELS),
        (set_model(trainer="/evil"), MODELS),
        (set_model(trainer=["a"]), MODELS),
        (set_model(configuration=""), MODELS),
        (set_model(plans="..\\evil"), MODELS),
        (set_model(folds=[]), MODELS),
        (set_model(folds=["../0"]), MODELS),
        (set_model(folds=[-1]), MODELS),
        (set_model(folds=[True]), MODELS),
        (set_model(folds=[0, 0]), MODELS),
        (set_model(folds=[{}]), MODELS),
        (set_model(folds=[0]), r"must hold files of its models only, got '.*fold_1"),
        (lambda content: content.manifest["models"].append(content.manifest["models"][0]), MODELS),
        (set_json(PLANS, plans_name="others"), "must hold the plans that its manifest names"),
        (set_json(f"{NAME}/dataset.json", file_ending=".a/../../evil"), "have masks with a plain ending, got"),
        (set_json(f"{NAME}/dataset.json", labels=None), "must hold nnU-Net's plans and dataset.json, got"),
        (set_json(CHECKPOINT, trainer_name="os"), "must describe checkpoints of its models"),
        (set_json(CHECKPOINT, configuration="3d_fullres"), "must describe checkpoints of its models"),
        (set_json(CHECKPOINT, inference_allowed_mirroring_axes=[7]), "must describe checkpoints of its models"),
        (set_json(CHECKPOINT, inference_allowed_mirroring_axes="01"), "must describe checkpoints of its models"),
        (set_json(CHECKPOINT, current_epoch="1"), "must describe checkpoints of its models"),
        (set_json(CHECKPOINT, shared={"a": "b"}), "must name tensors that it holds"),
        (set_json(CHECKPOINT, shared={"a": ["b"]}), "must name tensors that it holds"),
        (set_json(CHECKPOINT, shared=None), "must name tensors that it holds"),
        (set_layer("nonlin", "os.system"), f"nonlin of the plans {CLASSES} 'os.system' in .*give --trust"),
        (set_layer("nonlin", "nnunet_eas.startup.os.system"), f"nonlin of the plans {CLASSES}"),
        (
            set_layer("conv_op", "torch.nn\n.Conv2d", "3d_fullres"),
            f"conv_op of the plans {CLASSES}",
        ),
        (
            set_manifest(best={"models": [NAME], "folds": [0, 1], "dice": 0.5}),
            "must hold the postprocessing of its",
        ),
        (set_manifest(best={"models": ["../a"], "folds": [0, 1], "dice": 0.5}), "must name the models, folds and Dice"),
        (set_manifest(best={"models": [NAME] * 2, "folds": [0, 1], "dice": 0.5}), "must name the models, folds and"),
        (set_manifest(best={"models": [NAME], "folds": ["../a"], "dice": 0.5}), "must name the models, folds and Dice"),
        (set_manifest(best={"models": [NAME], "folds": [0], "dice": 0.5}), "must name the models, folds and Dice"),
        (set_manifest(best={"models": [NAME], "folds": [0, 1], "dice": "a"}), "must name the models, folds and Dice"),
        (set_manifest(best=[]), "must name the models, folds and Dice"),
    ],
)
def test_contents(content, tmp_path, refused, change, message):
    change(content)
    refused(content.write(tmp_path / "a"), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content.manifest["members"].pop(PLANS),
            r"what its manifest names, got '.*plans\.json",
        ),
        (lambda content: content.manifest["members"].update(a={}), "exactly what its manifest names, got 'a'"),
        (
            lambda content: content.manifest["members"][PLANS].update(size=1),
            r"its manifest says, got \d+ bytes of",
        ),
        (lambda content: content.manifest["members"][PLANS].update(sha256="0"), "manifest says, got another sha256 of"),
        (lambda content: content.manifest["members"][PLANS].update(sha256=None), "must name the sha256 of each member"),
        (lambda content: content.manifest.update(members=None), "must name its members in its manifest, got None"),
        (lambda content: content.manifest.update(members={"a": 1}), "must name its members in its manifest"),
    ],
)
def test_manifests(content, tmp_path, refused, change, message):
    change(content)
    refused(content.write(tmp_path / "a", hashed=False), message)


def test_no_manifest(content, tmp_path, refused):
    file = tmp_path / "a"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("README.md", b"")
    refused(file, r"must hold manifest\.json, got none")


@pytest.mark.parametrize(
    "functions",
    [
        [{"function": "os.system", "keywords": {}}],
        [{"function": "nnunetv2.postprocessing.remove_connected_components.shutil.rmtree", "keywords": {}}],
        [{"keywords": {}}],
        [[]],
        None,
    ],
)
def test_postprocessings(best, tmp_path, refused, functions):
    best("2d")
    content = Packed(pack(None, tmp_path / "best.nnunet.zip", dataset=DATASET))
    content.members["postprocessing.json"] = json.dumps({"functions": functions}).encode()
    refused(content.write(tmp_path / "a"), "must hold nnU-Net's postprocessing, got")


@pytest.mark.parametrize("keywords", [{"a": 1}, {"labels_or_regions": "1"}, {"labels_or_regions": 1.5}, [1], None])
def test_keywords_of_postprocessings(best, tmp_path, refused, keywords):
    best("2d")
    content = Packed(pack(None, tmp_path / "best.nnunet.zip", dataset=DATASET))
    content.change_json("postprocessing.json", lambda of: of["functions"][0].update(keywords=keywords))
    refused(content.write(tmp_path / "a"), "must hold nnU-Net's postprocessing, got")


def test_other_classes_are_unpacked_with_trust(content, tmp_path, monkeypatch):
    set_layer("nonlin", "someone.elses.Activation")(content)
    file = content.write(tmp_path / "a")
    assert main(["unpack", str(file), "--trust", "-o", str(tmp_path / "trusted")]) == 0
    monkeypatch.setenv("NNUNET_EAS_TRUST", "1")
    assert unpack(file, tmp_path / "trusted too")
