"""Trainers of the comparison; `lookup` is the folder in which nnU-Net finds them."""
