"""Trained models of nnU-Net: loading, prediction, and export as a graph that other runtimes read."""
