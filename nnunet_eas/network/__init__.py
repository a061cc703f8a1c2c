"""The EAS U-Net and its parts in plain PyTorch. Nothing here imports nnunetv2."""
