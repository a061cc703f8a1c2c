"""The content of a packed file, to be changed and written again as a hostile sender would."""

from __future__ import annotations

import hashlib
import json
import zipfile

NAME = "nnUNetTrainer__nnUNetPlans__2d"
PLANS, CHECKPOINT = f"{NAME}/plans.json", f"{NAME}/fold_0/checkpoint.json"
WEIGHTS = f"{NAME}/fold_0/weights.safetensors"


class Packed:
    """The members of a packed file, which a test changes before they are written again."""

    def __init__(self, file):
        with zipfile.ZipFile(file) as archive:
            self.members = {info.filename: archive.read(info) for info in archive.infolist()}
        self.manifest = json.loads(self.members.pop("manifest.json"))

    def change_json(self, name, change):
        content = json.loads(self.members[name])
        change(content)
        self.members[name] = json.dumps(content).encode()

    def write(self, file, hashed=True, **infos):
        """Writes the file; `infos` has attributes of the member "extra" beside the others."""
        if hashed:
            self.manifest["members"] = {
                name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in self.members.items()
            }
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**self.members, "manifest.json": json.dumps(self.manifest).encode()}.items():
                info = zipfile.ZipInfo("placeholder")
                info.filename = name  # whatever it is
                if name == "extra":
                    for key, value in infos.items():
                        setattr(info, key, value)
                archive.writestr(info, content)
        return file
