"""`nnunet-eas predict` gives nnUNetv2_predict's masks, also where something is wrong with a scan."""

import importlib.util
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import weakref

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from inference.tiny_models import SPACING, write_model
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from tiny_dataset import SHAPE, scan

from nnunet_eas.cli.main import main
from nnunet_eas.inference import engines, openvino_graph, pipeline
from nnunet_eas.inference.batched_predictor import BatchedPredictor
from nnunet_eas.inference.predict import predict as api
from nnunet_eas.inference.scan_files import ScanFiles
from nnunet_eas.inference.trained_model import load_trained_model
from nnunet_eas.support.errors import PartialSuccess
from nnunet_eas.trainer import EASUNetTrainer

ENGINES = [
    "torch",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra `export`"),
    ),
]


def write_scan(path, seed, spacing=SPACING, shape=SHAPE):
    image = sitk.GetImageFromArray(scan(seed=seed, shape=shape)[0])
    image.SetSpacing(spacing[::-1])
    image.SetOrigin((-12.5, 40.25, 7.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def scans(tmp_path):
    """Three scans; the last has other spacings, so that it is resampled."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, name in enumerate(("a", "b")):
        write_scan(folder / f"{name}_0000.nii.gz", seed)
    write_scan(folder / "c_0000.nii.gz", 2, spacing=(2.5, 1.4, 1.0), shape=(17, 19, 33))
    return folder


def stock(model, scans, output, folds, **options):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), folds)
    output.mkdir()
    predictor.predict_from_files_sequential(str(scans), str(output), **options)


def predict(model, scans, output, *more):
    return main(["predict", "-m", str(model), "-i", str(scans), "-o", str(output), "-device", "cpu", *more])


def mask(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("which", "configuration"), [("eas", "2d"), ("eas", "3d_fullres"), ("paper", "3d_fullres"), ("stock", "2d")]
)
def test_the_masks_are_those_of_nnunet(trained, scans, tmp_path, which, configuration, engine):
    model = trained(which, configuration)
    folds = (0, 1) if engine == "torch" else (1,)  # making a graph takes seconds
    stock(model, scans, tmp_path / "stock", folds)
    assert predict(model, scans, tmp_path / "ours", "--engine", engine, "--batch", "3", "-f", *map(str, folds)) == 0
    equal = total = 0
    for name in ("a", "b", "c"):
        theirs, ours = (sitk.ReadImage(str(tmp_path / side / f"{name}.nii.gz")) for side in ("stock", "ours"))
        for of_image in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize", "GetPixelID"):
            assert getattr(theirs, of_image)() == getattr(ours, of_image)()
        arrays = [sitk.GetArrayFromImage(image) for image in (theirs, ours)]
        assert len(np.unique(arrays[0])) > 1
        equal += (arrays[0] == arrays[1]).sum()
        total += arrays[0].size
    assert equal / total >= 0.9999
    assert {p.name for p in (tmp_path / "ours").iterdir()} == {p.name for p in (tmp_path / "stock").iterdir()}


@pytest.mark.slow
def test_probabilities_and_what_ensembling_needs(trained, scans, tmp_path):
    model = trained("eas")
    stock(model, scans, tmp_path / "stock", (0,), save_probabilities=True)
    assert predict(model, scans, tmp_path / "ours", "-f", "0", "--save_probabilities", "--engine", "torch") == 0
    for name in ("a", "b", "c"):
        theirs, ours = (np.load(tmp_path / side / f"{name}.npz")["probabilities"] for side in ("stock", "ours"))
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
        kept = [pickle.loads((tmp_path / side / f"{name}.pkl").read_bytes()) for side in ("stock", "ours")]
        assert kept[0].keys() == kept[1].keys()
    for name in ("plans.json", "dataset.json"):
        assert json.loads((tmp_path / "stock" / name).read_text()) == json.loads((tmp_path / "ours" / name).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--disable_tta"], ["-step_size", "0.9"]])
def test_options_of_the_sliding_window_reach_it(trained, scans, tmp_path, options):
    model = trained("eas")
    write_scan(scans / "a_0000.nii.gz", 0, shape=(40, 50, 6))  # several tiles a slice
    for output, more in (("plain", []), ("other", options)):
        predict(model, scans, tmp_path / output, "-f", "0", "--save_probabilities", "--engine", "torch", *more)
    plain, other = (np.load(tmp_path / side / "a.npz")["probabilities"] for side in ("plain", "other"))
    assert np.abs(plain - other).max() > 1e-3


def test_a_bad_scan_is_named_and_the_others_are_predicted(trained, scans, tmp_path, capsys):
    whole = (scans / "a_0000.nii.gz").read_bytes()
    (scans / "aa_0000.nii.gz").write_bytes(whole[: len(whole) // 2])
    (scans / "bb_0000.nii.gz").write_bytes(b"")
    empty = sitk.GetImageFromArray(np.full(SHAPE, np.nan, dtype=np.float32))
    sitk.WriteImage(empty, str(scans / "d_0000.nii.gz"))
    write_scan(scans / "e_0001.nii.gz", 5)
    write_scan(scans / "knee.nii.gz", 6)
    write_scan(scans / "a.nii.gz", 6)  # looks like the mask of a

    assert predict(trained("eas"), scans, tmp_path / "masks", "--engine", "torch") == 1

    said = capsys.readouterr().err
    assert "got faulty ones: knee, e, aa, bb, d." in said
    assert "left out knee: its name must end in _0000.nii.gz, or another channel's number." in said
    assert "e: its channels must be 0000, got 0001" in said
    assert "Traceback" not in said
    written = {path.name for path in (tmp_path / "masks").glob("*.nii.gz")}
    assert written == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}
    assert not list((tmp_path / "masks").glob(".partial*"))


@pytest.mark.slow
def test_continue_and_parts(trained, scans, tmp_path):
    output = tmp_path / "masks"
    predict(trained("eas"), scans, output, "-num_parts", "2", "-part_id", "1", "--engine", "torch")
    assert [path.name for path in output.glob("*.nii.gz")] == ["b.nii.gz"]
    before = (output / "b.nii.gz").stat().st_mtime_ns
    predict(trained("eas"), scans, output, "--continue_prediction", "--engine", "torch")
    assert len(list(output.glob("*.nii.gz"))) == 3
    assert (output / "b.nii.gz").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "absent"], "scans (-i) must be a folder"),
        (["-i", "empty"], "scans (-i) must hold files named CASE_0000.nii.gz"),
        (["-step_size", "0"], "step_size (-step_size) must be above 0"),
        (["-part_id", "1"], "part_id (-part_id) must be"),
        (["--batch", "0"], "batch (--batch) must be at least 1"),
        (["-d", "4", "-c", "2d"], "the model must be given as -m, or as -d with -c, got -m and -d and -c."),
        (["-f", "3"], "folds (-f) must be folds"),
        (["-m", "absent"], "model (MODEL, -m) must be a trained model's folder"),
        (["-o", "scans/a_0000.nii.gz"], "output (-o) must be a folder"),
    ],
)
def test_bad_arguments_are_one_line(trained, scans, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert predict(trained("eas"), scans, tmp_path / "masks", "--engine", "torch", *arguments) == 1
    said = capsys.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_named(trained, scans, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert predict(trained("eas"), scans, locked, "--engine", "torch") == 1
    assert "locked" in capsys.readouterr().err


def test_regions_the_ignore_label_and_two_channels(tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 1, "ignore": 3}
    schemes = ("ZScoreNormalization", "CTNormalization")
    model = write_model(
        tmp_path, trainer=EASUNetTrainer, normalization=schemes, labels=labels, regions_class_order=[2, 1]
    )
    folder = tmp_path / "scans"
    folder.mkdir()
    for channel in (0, 1):
        write_scan(folder / f"a_{channel:04d}.nii.gz", channel)
    stock(model, folder, tmp_path / "stock", (0,))
    assert predict(model, folder, tmp_path / "ours", "--engine", "torch") == 0
    theirs, ours = (mask(tmp_path / side / "a.nii.gz") for side in ("stock", "ours"))
    assert len(np.unique(theirs)) > 1
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.slow
def test_a_cascade_s_second_stage_takes_the_first_one_s_masks(tmp_path, capsys):
    model = write_model(tmp_path, "3d_cascade_fullres", trainer=EASUNetTrainer, mirroring_axes=None)
    folder, before = tmp_path / "scans", tmp_path / "before"
    for made in (folder, before):
        made.mkdir()
    for seed, name in enumerate("ab"):
        write_scan(folder / f"{name}_0000.nii.gz", seed)
        image = sitk.GetImageFromArray(scan(seed=seed)[1])
        image.SetSpacing(SPACING[::-1])
        image.SetOrigin((-12.5, 40.25, 7.0))
        sitk.WriteImage(image, str(before / f"{name}.nii.gz"))
    stock(model, folder, tmp_path / "stock", (0,), folder_with_segs_from_prev_stage=str(before))
    ours = ["-prev_stage_predictions", str(before), "--engine", "torch"]
    assert predict(model, folder, tmp_path / "ours", *ours) == 0
    for name in "ab":
        np.testing.assert_array_equal(*(mask(tmp_path / side / f"{name}.nii.gz") for side in ("stock", "ours")))
    image, first = (sitk.ReadImage(str(path)) for path in (folder / "a_0000.nii.gz", before / "a.nii.gz"))
    for previous in (first, before / "a.nii.gz"):
        (one,) = api(image, model, previous_stage=previous, device="cpu", engine="torch")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(one.mask), mask(tmp_path / "stock" / "a.nii.gz"))

    assert predict(model, folder, tmp_path / "without", "--engine", "torch") == 1
    assert "previous_stage (-prev_stage_predictions) must be given" in capsys.readouterr().err
    (before / "b.nii.gz").unlink()
    shutil.rmtree(tmp_path / "ours")
    assert predict(model, folder, tmp_path / "ours", *ours) == 1
    assert "b" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "ours").glob("*.nii.gz")] == ["a.nii.gz"]


@pytest.mark.slow
def test_images_in_memory_give_the_masks_of_the_files(trained, scans, tmp_path):
    model = trained("eas")
    api(scans, model, tmp_path / "masks", device="cpu", engine="torch")
    in_memory = api(scans, model, device="cpu", engine="torch")
    assert [one.identifier for one in in_memory] == ["a", "b", "c"]
    for one in in_memory:
        assert one.file is None
        np.testing.assert_array_equal(
            sitk.GetArrayFromImage(one.mask), mask(tmp_path / "masks" / f"{one.identifier}.nii.gz")
        )
    loaded_once = load_trained_model(model)
    path = scans / "c_0000.nii.gz"
    image = sitk.ReadImage(str(path))
    for scan_, name in ((image, "scan"), ([image], "scan"), (path, "c"), (str(path), "c")):
        (one,) = api(scan_, loaded_once, device="cpu", engine="torch")
        assert one.identifier == name
        for of_image in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
            assert getattr(one.mask, of_image)() == pytest.approx(getattr(image, of_image)())
        np.testing.assert_array_equal(sitk.GetArrayFromImage(one.mask), mask(tmp_path / "masks" / "c.nii.gz"))


def test_what_the_function_refuses(trained, scans, tmp_path):
    image = sitk.ReadImage(str(scans / "a_0000.nii.gz"))
    wrong = [
        (([image, image],), {}, ValueError, "one image for each of the model's 1 channels, got 2"),
        ((scans,), {"save_probabilities": True}, ValueError, "output must be a folder"),
        ((scans,), {"engine": "tensorrt"}, ValueError, r"engine \(--engine\) must be one of auto"),
    ]
    for given, more, error, message in wrong:
        with pytest.raises(error, match=message):
            api(*given, trained("eas"), device="cpu", **more)


def test_a_bad_image_in_memory_is_an_exception_with_its_reason(trained, capsys):
    empty = sitk.GetImageFromArray(np.zeros(SHAPE, dtype=np.float32))
    with pytest.raises(PartialSuccess, match=r"scans \(-i\) must be sound, got faulty ones: scan\.") as caught:
        api(empty, trained("eas"), device="cpu", engine="torch")
    assert caught.value.result == []
    assert "must hold a scan, got 0 in every voxel" in caught.value.faults["scan"]
    assert capsys.readouterr() == ("", "")


def predictor_of(model, **more):
    predictor = BatchedPredictor(device=torch.device("cpu"), allow_tqdm=False, **more)
    of_model = model.networks[0], model.plans_manager, model.configuration, None, model.dataset_json, model.trainer_name
    predictor.manual_initialization(*of_model, model.mirroring_axes)
    return predictor


class SmallDevice:
    """A network on a device whose memory takes so many images; keeps the sizes of its passes."""

    def __init__(self, network, images, error=torch.OutOfMemoryError):
        self.network, self.images, self.error = network, images, error
        self.sizes = []
        self.kept = []  # a pass's tensors, as long as they live

    def __call__(self, patches):
        assert not [tensor for tensor in self.kept if tensor() is not None], "a pass that failed keeps its memory"
        if len(patches) > self.images:
            large = torch.zeros(len(patches))
            self.kept.append(weakref.ref(large))
            raise self.error
        self.sizes.append(len(patches))
        return self.network(patches)


def scan_of(configuration):
    """A preprocessed scan of several tiles."""
    shape = (5, 30, 40) if configuration == "2d" else (14, 30, 30)
    return torch.from_numpy(scan(seed=0, shape=shape)[0][None]) / 500


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_whatever_the_memory_takes_every_scan_is_predicted(loaded, configuration):
    model, data = loaded("eas", configuration), scan_of(configuration)
    plain = predictor_of(model)
    plain.forwards = [model.networks[0]]
    expected = plain.predict_logits_from_preprocessed_data(data)
    for images in range(1, 21):
        predictor = predictor_of(model, patches_at_once=5)  # of four views
        device = SmallDevice(model.networks[0], images)
        predictor.forwards = [device]
        found = predictor.predict_logits_from_preprocessed_data(data)
        assert torch.equal(found.argmax(0), expected.argmax(0))
        assert max(device.sizes) == predictor.images_at_once <= images
        assert sum(device.sizes) == predictor.images_in(data)
        predictor.forwards = [SmallDevice(model.networks[0], predictor.images_at_once, AssertionError)]
        predictor.predict_logits_from_preprocessed_data(data[:, :3])  # the next scan fails nowhere


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
        "MPS backend out of memory",
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate",
    ],
)
def test_other_signs_of_too_little_memory(loaded, message):
    model = loaded("eas")
    predictor = predictor_of(model)
    device = SmallDevice(model.networks[0], 1, RuntimeError(message))
    predictor.forwards = [device]
    predictor.predict_logits_from_preprocessed_data(scan_of("2d"))
    assert set(device.sizes) == {1}


def test_one_image_that_does_not_fit_is_an_error(loaded):
    predictor = predictor_of(loaded("eas"))
    predictor.forwards = [SmallDevice(None, 0)]
    with pytest.raises(torch.OutOfMemoryError):
        predictor.predict_logits_from_preprocessed_data(torch.zeros(1, 2, 20, 30))


def test_another_error_is_not_tried_again(loaded):
    predictor = predictor_of(loaded("eas"))
    predictor.forwards = [device := SmallDevice(None, 0, RuntimeError("a wrong shape"))]
    with pytest.raises(RuntimeError, match="a wrong shape"):
        predictor.predict_logits_from_preprocessed_data(torch.zeros(1, 2, 20, 30))
    assert len(device.kept) == 1


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_logits_that_are_not_finite_are_an_error_of_their_case(loaded, scans, tmp_path, monkeypatch, number):
    """As a model trained in bfloat16 gives where it is run in float16."""
    model = loaded("eas")

    def forwards_of(*_):
        passes = itertools.count()
        return [lambda patches: model.networks[0](patches) + (number if next(passes) == 0 else 0)], "an engine"

    monkeypatch.setattr(pipeline, "forwards_of", forwards_of)
    with pytest.raises(PartialSuccess) as raised:
        api(scans, model, tmp_path / "masks", device="cpu")
    assert list(raised.value.faults) == ["a"]
    assert "logits must be finite" in raised.value.faults["a"]
    assert sorted(path.name for path in (tmp_path / "masks").glob("*.nii.gz")) == ["b.nii.gz", "c.nii.gz"]


@pytest.mark.parametrize(
    ("fits", "images", "expected"),
    [(256, 640, 128), (256, 144, 32), (100, 144, 32), (256, 4, 4), (1, 640, 1), (3, 8, 2), (256, 36, 8)],
)
def test_on_cuda_a_pass_is_a_power_of_two_with_little_padding(loaded, fits, images, expected):
    predictor = predictor_of(loaded("eas"))
    predictor.device, predictor.images_at_once = torch.device("cuda"), fits
    assert predictor._pass_size(None, [None] * images) == expected
    assert -images % expected <= images / 8


def test_twice_the_slices_are_twice_the_views(loaded):
    model = loaded("eas")
    predictor = predictor_of(model, patches_at_once=8)
    views = []

    def forward(patches):
        views.append(len(patches))
        return model.networks[0](patches)

    predictor.forwards = [forward]
    for slices in (6, 12):
        predictor.predict_logits_from_preprocessed_data(torch.zeros(1, slices, 30, 40))
        views.append(None)
    first = views.index(None)
    assert sum(views[first + 1 : -1]) == 2 * sum(views[:first]) > 0


def test_memory_does_not_grow_with_the_cases(tmp_path, monkeypatch):
    """Scans and logits that are still held, whenever a mask is written."""
    made, held = [], []

    def tensor():
        made.append(weakref.ref(new := torch.zeros(1, 2, 3, 4)))
        return new

    class Predictor:
        forwards = (None,)

        def predict_logits_from_preprocessed_data(self, data):
            return tensor()

    monkeypatch.setattr(pipeline, "_read", lambda predictor, case: (tensor(), {}))
    monkeypatch.setattr(pipeline, "_write", lambda *_: held.append(sum(made_one() is not None for made_one in made)))
    cases = [ScanFiles(str(number), ()) for number in range(12)]
    assert all(fault is None for _, fault in pipeline.predict_cases(None, Predictor(), cases, tmp_path))
    assert len(held) == 12
    assert max(held) <= 6  # two of each of three cases


@pytest.fixture
def openvino_is(monkeypatch):
    """OpenVINO as a function: network, precision -> its forward pass."""

    def pretend(forward):
        monkeypatch.setattr(engines, "_has_openvino", lambda: True)
        monkeypatch.setattr(openvino_graph, "has_bf16", lambda: True)
        monkeypatch.setattr(openvino_graph, "convert", lambda network, shape: network)
        monkeypatch.setattr(engines, "_openvino_forward", forward)

    return pretend


def test_an_engine_that_does_not_agree_is_not_taken(loaded, openvino_is):
    model = loaded("eas")
    openvino_is(lambda network, precision: lambda patches: -network(patches))
    _, said = engines.forwards_of(model, torch.device("cpu"), "auto")
    assert said.startswith("PyTorch")
    assert "does not agree" in said
    for engine in ("openvino", "openvino-bf16"):
        with pytest.raises(ValueError, match=rf"engine \(--engine\) {engine} must give PyTorch's labels"):
            engines.forwards_of(model, torch.device("cpu"), engine)


def test_the_faster_engine_is_taken(loaded, openvino_is, monkeypatch):
    model = loaded("eas")
    openvino_is(lambda network, precision: lambda patches: network(patches))
    for seconds, said in (([2.0, 1.0], "OpenVINO on the CPU, bf16"), ([1.0, 2.0, 2.0], "PyTorch")):
        times = iter(seconds)
        monkeypatch.setattr(engines, "_seconds", lambda *_, times=times: next(times))
        assert engines.forwards_of(model, torch.device("cpu"), "auto")[1].startswith(said)


def test_single_precision_where_bfloat16_does_not_agree(loaded, openvino_is, monkeypatch):
    sign = {"bf16": -1, "f32": 1}
    openvino_is(lambda network, precision: lambda patches: sign[precision] * network(patches))
    times = iter([2.0, 1.0])
    monkeypatch.setattr(engines, "_seconds", lambda *_: next(times))
    assert engines.forwards_of(loaded("eas"), torch.device("cpu"), "auto")[1].startswith("OpenVINO on the CPU, f32")


def test_so_little_to_predict_that_a_graph_is_not_worth_it(loaded, openvino_is, monkeypatch):
    model = loaded("eas")
    monkeypatch.setattr(engines, "_seconds", lambda *_: 0.1)
    openvino_is(lambda network, precision: pytest.fail("a graph was made"))
    for images in (0, 149):
        assert "too little" in engines.forwards_of(model, torch.device("cpu"), "auto", images)[1]
    openvino_is(lambda network, precision: lambda patches: network(patches))
    assert "too little" not in engines.forwards_of(model, torch.device("cpu"), "auto", 151)[1]
    assert engines.forwards_of(model, torch.device("cpu"), "openvino", 1)[1].startswith("OpenVINO")


@pytest.mark.parametrize(("shape", "mirrored", "images"), [((3, 30, 40), True, None), ((2, 3, 3), False, 2)])
def test_images_of_a_scan_are_patches_and_views(loaded, shape, mirrored, images):
    model = loaded("eas")
    predictor = predictor_of(model, patches_at_once=2)
    predictor.use_mirroring = mirrored
    seen = []

    def forward(patches):
        seen.append(len(patches))
        return model.networks[0](patches)

    predictor.forwards = [forward]
    data = torch.zeros(1, *shape)
    predictor.predict_logits_from_preprocessed_data(data)
    assert predictor.images_in(data) == sum(seen)
    assert images in (None, sum(seen))


@pytest.mark.slow
def test_the_first_sound_scan_says_how_much_there_is_to_predict(trained, scans, tmp_path, monkeypatch):
    asked = []

    def forwards_of(model, device, engine, images):
        asked.append(images)
        return list(model.networks), "an engine"

    monkeypatch.setattr(pipeline, "forwards_of", forwards_of)
    (scans / "A_0000.nii.gz").write_bytes(b"")
    said = []
    with pytest.raises(PartialSuccess):
        api(scans, trained("eas"), tmp_path / "masks", device="cpu", say=said.append)
    assert len(asked) == 1
    assert asked[0] % 4 == 0, "four cases"
    assert said == ["EASUNetTrainer__nnUNetPlans__2d, folds 0 1: an engine"]


def test_a_batch_for_openvino_goes_through_in_parts(monkeypatch):
    sizes = []

    def compiled(graph, precision):
        def run(image):
            sizes.append(len(image))
            return 2 * image

        return run

    monkeypatch.setattr(openvino_graph, "compiled", compiled)
    monkeypatch.setattr(engines, "VOXELS_AT_ONCE", 40)
    forward = engines._openvino_forward(None, "f32")
    for batch, shape, expected in ((5, (4, 5), [2, 2, 1]), (2, (5, 10), [1, 1])):
        patches = torch.randn(batch, 1, *shape)
        assert torch.equal(forward(patches), 2 * patches)
        assert sizes == expected
        sizes.clear()


def test_without_openvino(loaded, monkeypatch):
    monkeypatch.setattr(engines, "_has_openvino", lambda: False)
    assert engines.forwards_of(loaded("eas"), torch.device("cpu"), "auto")[1].startswith("PyTorch")
    with pytest.raises(ModuleNotFoundError, match=r"got none\. In the source folder: pip install"):
        engines.forwards_of(loaded("eas"), torch.device("cpu"), "openvino")


@pytest.mark.slow
def test_by_dataset_in_a_shell(trained, scans, tmp_path):
    """As a user types it: dataset, configuration and trainer in the place of the folder."""
    results = tmp_path / "results" / "Dataset906_Tiny"
    shutil.copytree(trained("stock"), results / trained("stock").name)
    env = {**os.environ, "nnUNet_results": str(tmp_path / "results")}
    env |= {f"nnUNet_{name}": str(tmp_path / name) for name in ("raw", "preprocessed")}
    model = ["-d", "Dataset906_Tiny", "-c", "2d", "-tr", "nnUNetTrainer", "-f", "0", "1", "-device", "cpu"]
    command = [os.path.join(os.path.dirname(sys.executable), "nnunet-eas"), "predict", *model]
    done = subprocess.run(
        [*command, "-i", str(scans), "-o", str(tmp_path / "masks")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "folds 0 1" in done.stdout
    assert "3 masks written" in done.stdout


@pytest.mark.parametrize(
    ("given", "got"),
    [([], "nothing"), (["-d", "906"], "-d"), (["-m", "x", "-c", "2d"], "-m and -c"), (["-c", "2d"], "-c")],
)
def test_half_a_model_is_refused(scans, tmp_path, capsys, given, got):
    assert main(["predict", *given, "-i", str(scans), "-o", str(tmp_path / "masks")]) == 1
    assert capsys.readouterr().err.startswith(f"error: the model must be given as -m, or as -d with -c, got {got}. ")


def test_a_model_that_is_not_there_is_said_with_those_that_are(trained, scans, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results" / "Dataset906_Tiny"
    shutil.copytree(trained("stock"), results / trained("stock").name)
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    model = ["-d", "Dataset906_Tiny", "-c", "2d", "-i", str(scans), "-o", str(tmp_path / "masks"), "-device", "cpu"]
    assert main(["predict", *model, "-npp", "1", "-nps", "1"]) == 1
    said = capsys.readouterr().err
    assert "got EASUNetTrainer__nnUNetPlans__2d. Trained there: nnUNetTrainer__nnUNetPlans__2d." in said
