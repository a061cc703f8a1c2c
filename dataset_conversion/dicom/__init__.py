"""DICOM: series in, for training and for prediction; masks back to their series."""
