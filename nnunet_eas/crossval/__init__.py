"""All folds of a dataset's configurations, trained by nnU-Net's own command, and the best of them."""
