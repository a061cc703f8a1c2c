"""Trained models of nnU-Net: loading, prediction, export as a graph that other runtimes read."""
