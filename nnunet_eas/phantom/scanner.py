"""The scanner: DESS-like contrast, texture, coil shading and noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from nnunet_eas.phantom.anatomy import Tissue

# Mean signals (0..1). Cartilage and bone as measured in a DESS template of 103 knees: 0.63, 0.55 and 0.19 (bone with
# its cortex); the others are estimates.
INTENSITIES = {
    Tissue.AIR: 0.0,
    Tissue.FAT: 0.27,
    Tissue.MUSCLE: 0.36,
    Tissue.FLUID: 0.90,
    Tissue.VESSEL: 0.72,
    Tissue.LIGAMENT: 0.13,
    Tissue.MENISCUS: 0.11,
    Tissue.CORTEX: 0.06,
    Tissue.MARROW: 0.21,
    Tissue.PATELLAR_CARTILAGE: 0.60,
    Tissue.FEMUR_CORTEX: 0.06,
    Tissue.FEMUR_MARROW: 0.205,
    Tissue.FEMORAL_CARTILAGE: 0.63,
    Tissue.TIBIA_CORTEX: 0.06,
    Tissue.TIBIA_MARROW: 0.205,
    Tissue.TIBIAL_CARTILAGE: 0.55,
}


def contrast(rng: np.random.Generator) -> np.ndarray:
    """Signal of each tissue in one examination, (n_tissues,): within a few percent of the means."""
    means = np.array([INTENSITIES[tissue] for tissue in Tissue], dtype=np.float32)
    return means * rng.normal(1, 0.03, size=means.shape).astype(np.float32)


def scan(signal: np.ndarray, spacing: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Adds texture, a smooth bias field and Rician noise to a signal of 0..1; the image is int16 with 1000 for 1."""
    grain = gaussian_filter(rng.standard_normal(signal.shape, dtype=np.float32), [0.9 / s for s in spacing])
    image = signal * (1 + 0.07 * grain / max(float(grain.std()), 1e-6)) * _bias_field(signal.shape, rng)
    sigma = np.float32(rng.uniform(0.025, 0.045))
    real = image + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.rint(1000 * np.hypot(real, imaginary)).astype(np.int16)


def _bias_field(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Shading of a surface coil: a factor from one slanted parabola per axis, about +-25 % over the volume."""
    log_bias = np.zeros((1, 1, 1), dtype=np.float32)
    for axis, edge in enumerate(shape):
        t = np.linspace(-1, 1, edge, dtype=np.float32)
        slope, curve = rng.uniform(-0.13, 0.13), rng.uniform(-0.12, 0.12)
        along = slope * t + curve * (t * t - 1 / 3)
        log_bias = log_bias + along.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return np.exp(log_bias)
