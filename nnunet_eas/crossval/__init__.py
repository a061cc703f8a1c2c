"""Training of all folds of a dataset's configurations by nnU-Net's own command, and the best of them."""
