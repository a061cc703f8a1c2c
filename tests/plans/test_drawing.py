from itertools import combinations

import pytest
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path
from PIL import Image
from planned import planned_unet

from nnunet_eas.plans.drawing import draw_network, network_figure
from nnunet_eas.plans.network_description import describe_network
from nnunet_eas.plans.translation import translate_architecture

pytestmark = pytest.mark.slow  # pictures


def eas_unet(patch_size, strides, kernel_sizes=None, /, **changes):
    """The translated architecture of a plan of nnU-Net, with some of its arguments changed."""
    features = [32, 64, 128, 256, *[512] * 8]
    architecture = translate_architecture(planned_unet(patch_size, strides, kernel_sizes, features))
    architecture["arch_kwargs"].update(changes)
    return architecture


PAPER = (384, 384), [[1, 1]] + [[2, 2]] * 4
FLAT = (32, 192, 160), [[1, 1, 1], [1, 2, 2], [1, 2, 2]] + [[2, 2, 2]] * 3, [[1, 3, 3]] * 2 + [[3, 3, 3]] * 4
OFF = {"eas_module": False, "output_fusion": False, "pool": "conv", "block": "full"}
CASES = {
    "two stages": (((56, 40), [[1, 1], [2, 2]]), {}, 3),
    "seven stages": (((384, 384), [[1, 1]] + [[2, 2]] * 6), {}, 3),
    "six stages in 3-D": (FLAT, {}, 5),
    "nine stages": (((768, 1024), [[1, 1]] + [[2, 2]] * 8), {}, 118),
    "all off": (PAPER, OFF, 3),
    "two stages, all off": (((56, 40), [[1, 1], [2, 2]]), OFF, 3),
    "large numbers": (
        ((1024, 2048, 1024), [[1] * 3] + [[2] * 3] * 4, [[11] * 3] * 5),
        {"n_conv_per_stage": 12, "features_per_stage": 12345, "dilations": [[111, 112, 113]]},
        12345,
    ),
    "two branches behind instance norm": (FLAT, {"dilations": [[1, 2, 3], 2]}, 5),
}


def figure(topology, outputs=3, channels=1, title="Dataset004_Hippocampus, 2d", **changes):
    described = describe_network(
        eas_unet(*topology, **changes), patch_size=topology[0], input_channels=channels, num_outputs=outputs
    )
    return network_figure(described, title=title)


def texts(drawn):
    return [text.get_text() for text in drawn.axes[0].texts]


def patches(drawn, gid):
    return [patch for patch in drawn.axes[0].patches if patch.get_gid() == gid]


def test_sizes_channels_and_kernels_of_every_stage():
    drawn = texts(figure(FLAT, outputs=5, channels=2))
    sizes = ["32x192x160", "32x96x80", "32x48x40", "16x24x20", "8x12x10"]
    # encoder and decoder; the first also at input and prediction, the last only in the encoder
    assert [drawn.count(size) for size in sizes] == [4, 2, 2, 2, 2]
    assert drawn.count("4x6x5") == 1
    assert [drawn.count(f"{c} channels") for c in (32, 64, 128, 256, 512)] == [2, 2, 2, 2, 3]
    assert drawn.count("2 blocks, 1x3x3") == 4
    assert drawn.count("2 blocks, 3x3x3") == 7
    assert drawn.count("max pooling\nstride 1x2x2") == drawn.count("transposed convolution\nstride 1x2x2") == 2
    assert drawn.count("max pooling\nstride 2x2x2") == drawn.count("transposed convolution\nstride 2x2x2") == 3
    assert drawn.count("2 channels") == 1
    assert drawn.count("5 channels") == 5 + 1
    assert "trilinear resize," in drawn


@pytest.mark.parametrize(("name", "n_stages"), [("two stages", 2), ("six stages in 3-D", 6), ("nine stages", 9)])
def test_one_skip_one_head_and_one_way_down_and_up_per_stage(name, n_stages):
    topology, changes, outputs = CASES[name]
    drawn = figure(topology, outputs, **changes)
    for gid in ("skip", "down", "up", "fused"):
        assert len(patches(drawn, gid)) == n_stages - 1
    assert texts(drawn).count("concatenate") == n_stages - 1 + 1  # the EAS module's
    assert texts(drawn).count("deep supervision") == n_stages - 2
    assert texts(drawn).count(f"{outputs} channels") == n_stages - 1 + 1


@pytest.mark.parametrize(
    ("topology", "changes", "branches"),
    [
        (PAPER, {}, ["3x3, rate 6", "3x3, rate 12", "3x3, rate 18"]),
        (FLAT, {}, ["3x3x3, rate 1x2x1", "3x3x3, rate 2x3x3", "3x3x3, rate 3x5x4"]),
        (PAPER, {"dilations": [2, (3, 5)]}, ["3x3, rate 2", "3x3, rate 3x5"]),
        (PAPER, {"dilations": [[1, 1]]}, ["3x3, rate 1"]),
        (PAPER, {"dilations": None}, ["3x3, rate 1", "3x3, rate 2", "3x3, rate 3"]),
    ],
)
def test_one_box_per_dilated_branch(topology, changes, branches):
    drawn = texts(figure(topology, **changes))
    assert [text for text in drawn if "rate" in text] == branches
    assert drawn.count("separable") == len(branches)
    assert "ECA" in drawn
    assert "global average\npooling" in drawn


def test_the_pooled_branch_joins_behind_an_instance_norm():
    assert "+" not in texts(figure(PAPER))
    behind = texts(figure(PAPER, norm_op="torch.nn.modules.instancenorm.InstanceNorm2d"))
    assert {"+", "1x1\nnorm"} <= set(behind)


def test_switched_off_parts_are_not_there():
    without = texts(figure(PAPER, eas_module=False, output_fusion=False))
    assert not [text for text in without if "EAS" in text or "rate" in text or "fusion" in text or text == "ECA"]
    assert without.count("deep supervision") == 3
    assert "prediction" in without
    assert not patches(figure(PAPER, output_fusion=False), "fused")


def test_with_one_head_nothing_is_resized_or_concatenated():
    topology, changes, outputs = CASES["two stages"]
    drawn = texts(figure(topology, outputs, **changes))
    assert "output fusion" in drawn
    assert not [text for text in drawn if "resize" in text]


def test_pooling():
    strided = texts(figure(PAPER, pool="conv"))
    assert strided.count("strided convolution\nstride 2x2") == 4
    assert not [text for text in strided if "max pooling" in text]
    unpooled = figure(((64, 64), [[1, 1], [2, 2], [1, 1]]))
    assert texts(unpooled).count("no pooling") == 1


@pytest.mark.parametrize(
    ("changes", "first", "kinds"),
    [
        ({}, "full", ["full", "separable"]),
        ({"stem": "separable"}, "separable", ["separable"]),
        ({"block": "full", "stem": "separable"}, "full", ["full", "separable"]),  # the pyramid's are separable
        ({"block": "full", "dilated_block": "full"}, "full", ["full"]),
        ({"stem": "separable", "dilated_block": "full", "eas_module": False}, "separable", ["separable"]),
        ({"stem": "separable", "dilated_block": "full"}, "separable", ["full", "separable"]),
        ({"shortcut": True}, "full", ["full", "residual", "separable"]),
        ({"shortcut": True, "features_per_stage": [32] * 5}, "full", ["full", "residual", "separable"]),
        ({"shortcut": True, "features_per_stage": [32] * 5, "pool": "conv"}, "full", ["full", "residual", "separable"]),
    ],
)
def test_the_first_block_is_marked_and_the_legend_holds_the_kinds_that_occur(changes, first, kinds):
    drawn = figure(PAPER, **{"shortcut": False, **changes})
    assert f"first block:\n{first}" in texts(drawn)
    assert sorted(text.split(" block: ")[0] for text in texts(drawn) if " block: " in text) == kinds
    full = 18 if changes.get("block") == "full" else int(first == "full")  # 10 of the encoder, 8 of the decoder
    assert len(patches(drawn, "full block")) == full + ("full" in kinds)
    residual = (9 + 4 * ("features_per_stage" in changes and "pool" not in changes)) * ("shortcut" in changes)
    assert len(patches(drawn, "residual block")) == residual + ("residual" in kinds)
    assert len(patches(drawn, "separable block")) == 18 - full - residual + ("separable" in kinds)


def test_the_legend_names_the_steps_in_their_order():
    changes = {"norm_op": None, "dropout_op": "torch.nn.Dropout2d"}
    without_norm = " ".join(texts(figure(PAPER, **changes)))
    assert "separable block: depthwise convolution → LeakyReLU → 1x1 → Dropout2d → Hardswish" in without_norm
    assert "full block: convolution → Hardswish → BatchNorm2d" in " ".join(texts(figure(PAPER, nonlin_first=True)))


def test_a_residual_block_and_an_added_module_say_what_is_added():
    drawn = texts(figure(PAPER, shortcut=True, eas_first_scale=0.1))
    assert "BatchNorm2d → plus the block's input → Hardswish" in " ".join(" ".join(drawn).split())
    assert [text for text in drawn if text.startswith("EAS module, added: 24x24")]


def test_numbers_for_all_stages_and_tuples_mean_the_same_as_lists():
    lists = eas_unet(*PAPER, features_per_stage=[32] * 5)
    short = eas_unet(
        *PAPER,
        features_per_stage=32,
        kernel_sizes=3,
        strides=(1, 2, (2, 2), 2, 2),
        n_conv_per_stage=2,
        n_conv_per_stage_decoder=2,
        dilations=((6, 6), 12, (18, 18)),
    )
    given = {"patch_size": PAPER[0], "input_channels": 1, "num_outputs": 3}
    assert describe_network(short, **given) == describe_network(lists, **given)


def test_blocks_of_the_decoder_are_given_lowest_resolution_first():
    described = describe_network(
        eas_unet(*PAPER, n_conv_per_stage_decoder=[4, 3, 2, 1]), patch_size=PAPER[0], input_channels=1, num_outputs=3
    )
    assert [len(stage.blocks) for stage in described.decoder] == [1, 2, 3, 4]
    assert described.decoder[0].lines == ["384x384", "32 channels", "1 block, 3x3"]


def test_arguments_that_a_plan_leaves_out_are_the_networks_own():
    written_out = eas_unet(*PAPER)
    short = {**written_out, "arch_kwargs": dict(written_out["arch_kwargs"])}
    for name in ("stem", "block", "pool", "eas_module", "dilated_block", "output_fusion", "nonlin_first", "dropout_op"):
        del short["arch_kwargs"][name]
    given = {"patch_size": PAPER[0], "input_channels": 1, "num_outputs": 3}
    assert describe_network(short, **given) == describe_network(written_out, **given)


@pytest.mark.parametrize("case", CASES)
def test_nothing_overlaps(case):
    topology, changes, outputs = CASES[case]
    drawn = figure(topology, outputs, title="A long title with a $ and an underscore_, " * 5, **changes)
    renderer = drawn.canvas.get_renderer()
    extents = {text: text.get_window_extent(renderer) for text in drawn.axes[0].texts}
    for (a, left), (b, right) in combinations(extents.items(), 2):
        assert not left.overlaps(right), (a.get_text(), b.get_text())

    page = drawn.bbox.padded(-20)  # a tenth of an inch
    boxes = [box.get_window_extent(renderer) for box in patches(drawn, "box")]
    squares = [box for gid in ("full block", "separable block") for box in patches(drawn, gid)]
    arrows = [patch for patch in drawn.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    lines = [Path(line) for arrow in arrows for line in in_pixels(arrow).to_polygons(closed_only=False)]
    assert len(lines) > len(arrows)  # shafts and heads
    for text, extent in extents.items():
        assert holds(page, extent), text.get_text()
        for box in boxes:
            assert holds(box, extent) or not box.overlaps(extent), text.get_text()
        for square in squares:
            assert not square.get_window_extent(renderer).overlaps(extent), text.get_text()
        for line in lines:
            assert not line.intersects_bbox(extent, filled=False), text.get_text()
    for left, right in combinations(boxes, 2):
        assert holds(left, right) or holds(right, left) or not left.overlaps(right)


def in_pixels(arrow):
    return arrow.get_transform().transform_path(arrow.get_path())


def holds(outer, inner):
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def test_a_title_is_wrapped_and_stands_as_it_is_given():
    title = "Costs of $alpha$ and $beta_2$ " * 8
    drawn = figure(PAPER, title=title)
    assert title.strip() in " ".join(texts(drawn))
    assert not any(text.get_parse_math() for text in drawn.axes[0].texts)


def test_the_figure_grows_with_the_stages():
    heights = [figure(CASES[name][0]).get_figheight() for name in ("two stages", "seven stages", "nine stages")]
    assert heights == sorted(heights)
    assert heights[2] - heights[1] == pytest.approx(2 / 5 * (heights[1] - heights[0]))


def draw(path, architecture=None, patch_size=(56, 40)):
    draw_network(
        architecture or eas_unet((56, 40), [[1, 1], [2, 2]]),
        patch_size=patch_size,
        input_channels=1,
        num_outputs=3,
        title="tiny",
        path=path,
    )


def test_the_same_plan_gives_the_same_file(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_an_error_leaves_the_file_before_and_no_half_one(tmp_path, monkeypatch):
    path = tmp_path / "network.png"
    path.write_bytes(b"before")

    def fail(figure, file, **kwargs):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"path must lie in an existing folder, got .*gone.*Create .*gone first"
    ):
        draw(tmp_path / "gone" / "network.png")


@pytest.mark.parametrize(
    ("changes", "patch_size", "message"),
    [
        ({"strides": [[1, 1], [3, 3]]}, (56, 40), r"patch_size must be divisible by \[3, 3\]"),
        ({}, (8, 56, 40), "strides must have 3 axes, as patch_size, got"),
        ({"n_conv_per_stage": [2, 2, 2]}, (56, 40), "n_conv_per_stage must have 2 entries, got 3"),
        ({"n_stages": 1}, (56, 40), "n_stages must be at least 2, got 1"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(tmp_path, changes, patch_size, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "network.png", eas_unet((56, 40), [[1, 1], [2, 2]], **changes), patch_size)
    assert not list(tmp_path.iterdir())


def test_another_network_is_refused(tmp_path):
    other = {**eas_unet((56, 40), [[1, 1], [2, 2]]), "network_class_name": "somewhere.PlainConvUNet"}
    with pytest.raises(ValueError, match=r"architecture must be an EAS U-Net, got somewhere\.PlainConvUNet. Translate"):
        draw(tmp_path / "network.png", other)
