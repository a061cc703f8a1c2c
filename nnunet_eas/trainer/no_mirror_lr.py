"""EASUNetTrainer for labels that tell left from right."""

from __future__ import annotations

from nnunet_eas.trainer.eas_unet_trainer import EASUNetTrainer

_LEFT_RIGHT = 2  # of an image (z, y, x) in LPS, as the conversion writes all of them


class EASUNetTrainer_noMirrorLR(EASUNetTrainer):
    """EASUNetTrainer without left-right mirroring, in training and prediction.

    For datasets that tell medial from lateral: mirrored, a right knee's medial side looks like a left knee's lateral
    one. The images' last axis must run left-right, as in datasets that `nnunet-eas convert` wrote. In sagittal slices
    (2d configuration) it is not there and nothing changes.
    """

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple:
        """As the host, with the left-right axis taken out of the mirrored ones."""
        rotation, dummy_2d, initial_patch_size, axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        # the plan reorders an image's axes; a 2d patch has those behind the first
        axis = self.plans_manager.transpose_forward.index(_LEFT_RIGHT)
        axis -= 3 - len(self.configuration_manager.patch_size)
        axes = tuple(a for a in axes if a != axis)
        self.inference_allowed_mirroring_axes = axes
        return rotation, dummy_2d, initial_patch_size, axes
