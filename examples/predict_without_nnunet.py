"""Predict a scan with an exported model, without nnU-Net and PyTorch (pip install numpy scipy SimpleITK onnxruntime).

    python predict_without_nnunet.py MODEL.onnx SCAN.nii.gz MASK.nii.gz        # several channels: several scans

`nnunet-eas export` writes MODEL.onnx. Where a scan has the plan's spacing the masks are nnU-Net's. For other spacings
nnU-Net resamples thick slices separately; this, normalisation by a mask, and cascades are left out here.
"""

import itertools
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import SimpleITK as sitk
from scipy import ndimage

model, *scans, target = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
meta = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
if meta["format"] != 1 or len(scans) != meta["input_channels"] or any(meta["use_mask_for_norm"]):
    sys.exit("This example does not know the model's format, channels or normalisation.")
NORMALISE = {
    "ZScoreNormalization": lambda x, _: (x - x.mean()) / x.std(),
    "CTNormalization": lambda x, t: (x.clip(t["percentile_00_5"], t["percentile_99_5"]) - t["mean"]) / t["std"],
    "NoNormalization": lambda x, _: x,
}

# Read, with the axes in the plan's order; cut off what is zero around; normalise; resample.
files = [sitk.ReadImage(scan) for scan in scans]
arrays = [sitk.GetArrayFromImage(file).astype(np.float32).transpose(meta["transpose_forward"]) for file in files]
box = ndimage.find_objects(np.any(arrays, axis=0).astype(int))[0]
training = meta["foreground_intensity_properties_per_channel"].values()
image = [NORMALISE[s](a[box], t) for s, a, t in zip(meta["normalization_schemes"], arrays, training)]
spacing = np.array(files[0].GetSpacing()[::-1])[meta["transpose_forward"]]
scale = spacing / [spacing[0], *meta["spacing"]][-3:]  # a 2-D model's spacing is that within a slice
zoom = partial(ndimage.zoom, mode="nearest", grid_mode=True)
image = np.stack([zoom(a, np.round(a.shape * scale) / a.shape, order=3) for a in image])

# Slide over patches, all mirrored views at once; logits count by a Gaussian, summed in half precision as in nnU-Net.
patch = np.array([1, *meta["patch_size"]][-3:])
before, missing = np.maximum(patch - image.shape[1:], 0) // 2, np.maximum(patch - image.shape[1:], 0)
padded = np.pad(image, [(0, 0), *zip(before, missing - before)])
bells = [np.exp(-0.5 * ((np.arange(p) - p // 2) / p / meta["gaussian"]["sigma_of_patch"]) ** 2) for p in patch]
gaussian = (meta["gaussian"]["peak"] * np.einsum("i,j,k", *bells)).astype(np.float16)
gaussian = np.maximum(gaussian, np.finfo(np.float16).smallest_subnormal)
logits = np.zeros((len(meta["heads"]), *padded.shape[1:]), np.float16)
weights = np.zeros(padded.shape[1:], np.float16)
room = padded.shape[1:] - patch
steps = np.ceil(room / (patch * meta["tile_step_size"])).astype(int) + 1
axes = [axis + 4 - len(meta["patch_size"]) for axis in meta["mirroring_axes"] or []]
views = [view for number in range(len(axes) + 1) for view in itertools.combinations(axes, number)]
for start in itertools.product(*(np.linspace(0, r, n).round().astype(int) for r, n in zip(room, steps))):
    window = (slice(None), *(slice(s, s + p) for s, p in zip(start, patch)))
    batch = np.stack([np.flip(padded[window], view) for view in views])
    outputs = session.run(["logits"], {"image": batch.reshape(*batch.shape[:2], *meta["patch_size"])})[0]
    outputs = [np.flip(output.reshape(-1, *patch), view) for output, view in zip(outputs, views)]
    logits[window] += np.mean(outputs, axis=0) * gaussian
    weights[window[1:]] += gaussian
unpad = (slice(None), *(slice(b, b + n) for b, n in zip(before, image.shape[1:])))
logits = (logits / weights)[unpad].astype(np.float32)

# Back to the scan's grid, logits to labels, write.
full = np.zeros(arrays[0].shape, np.uint8)
logits = np.stack([zoom(head, np.divide(full[box].shape, head.shape), order=1) for head in logits])
if meta["regions_class_order"] is None:
    full[box] = logits.argmax(axis=0)
for region, label in enumerate(meta["regions_class_order"] or []):
    full[box][logits[region] > 0] = label
mask = sitk.GetImageFromArray(full.transpose(meta["transpose_backward"]))
mask.CopyInformation(files[0])
Path(target).parent.mkdir(parents=True, exist_ok=True)
sitk.WriteImage(mask, target)
