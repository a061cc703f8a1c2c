"""Synthetic knees: MR scans with labels, as many as needed, without a patient.

OAI-ZIB cannot be shipped with the project, and the demo and the tests need knees. This room draws them: bones, thin
curved cartilage with worn spots, the surrounding soft tissue, and the contrast, shading and noise of a scanner.
"""

from nnunet_eas.phantom.knee import LABELS, Knee, knee

__all__ = ["LABELS", "Knee", "knee"]
