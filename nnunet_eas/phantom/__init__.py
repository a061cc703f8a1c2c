"""A numerical knee phantom: as many labelled knees as one likes, without a patient.

OAI-ZIB cannot be shipped with the project. The demo and the tests need knees, so this room draws them: bones, thin
curved cartilage with worn spots, the soft tissue that surrounds it, and what a scanner makes of all that.
"""

from nnunet_eas.phantom.knee import LABELS, Knee, knee

__all__ = ["LABELS", "Knee", "knee"]
