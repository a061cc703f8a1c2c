"""Synthetic knees: MR scans with labels for the demo and the tests, because OAI-ZIB cannot be shipped.

Bones, thin curved cartilage with worn spots, soft tissue, and a scanner's contrast, shading and noise.
"""

from nnunet_eas.phantom.knee import LABELS, Knee, knee

__all__ = ["LABELS", "Knee", "knee"]
