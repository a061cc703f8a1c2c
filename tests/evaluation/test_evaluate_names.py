"""Two folders that have nothing to do with each other."""

import numpy as np
import SimpleITK as sitk

from nnunet_eas.cli.main import main


def test_no_name_in_common_is_one_line(tmp_path, capsys):
    for folder, name in (("ref", "knee_1"), ("pred", "knee_1_0000")):
        (tmp_path / folder).mkdir()
        mask = sitk.GetImageFromArray(np.ones((3, 4, 5), np.uint8))
        sitk.WriteImage(mask, str(tmp_path / folder / f"{name}.nii.gz"))
    output = tmp_path / "scores.json"
    arguments = ["-ref", str(tmp_path / "ref"), "-pred", str(tmp_path / "pred"), "-o", str(output)]
    assert main(["evaluate", *arguments]) == 1
    said = capsys.readouterr().err.strip()
    assert "got knee_1_0000 and so on where the references have knee_1." in said
    assert len(said.splitlines()) == 1
    assert not output.exists()
