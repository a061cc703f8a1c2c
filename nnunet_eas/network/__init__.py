"""The EAS U-Net and its parts. Nothing below here imports nnunetv2."""
