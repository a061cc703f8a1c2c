"""The dataset in nnU-Net's raw layout: its files, its splits, the report of the conversion, and checks of them all."""
