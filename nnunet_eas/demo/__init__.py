"""The demo: synthetic knees through nnU-Net's own commands, from drawing them to a table of scores."""
