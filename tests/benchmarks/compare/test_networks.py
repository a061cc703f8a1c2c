"""The compared networks: every one can be trained, and tells one version of its code from another."""

import inspect

import pytest
from dynamic_network_architectures.architectures.unet import PlainConvUNet

from benchmarks.compare import networks, provenance
from benchmarks.compare.networks import (
    ABLATION,
    COMPARED,
    CONTROLS,
    FIRST_WEIGHTS,
    LENGTHS,
    NETWORKS,
    VARIANTS,
    Network,
)
from benchmarks.trainers import short
from nnunet_eas.network.eas_unet import EASUNet

SOURCE = '''"""A module."""
import os


class Thing:
    """A class."""

    rate = 0.5

    def double(self, x):
        """A function."""
        return 2 * x  # twice
'''


@pytest.fixture
def fingerprint(tmp_path):
    def of(text, name="thing.py"):
        (tmp_path / name).write_text(text)
        return provenance.fingerprint([tmp_path / name])

    return of


class TestFingerprint:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("# twice", "# two times"),
            ('"""A module."""', '"""Another module."""'),
            ('"""A class."""', '"""Another class."""'),
            ('"""A function."""', '"""Another function."""'),
            ('        """A function."""\n', ""),
            ('"""A module."""\n', ""),
            ("2 * x", "(2  *  x)"),
            ("\n\n\n", "\n"),
        ],
    )
    def test_comments_docstrings_and_layout_do_not_count(self, fingerprint, old, new):
        changed = SOURCE.replace(old, new)
        assert changed != SOURCE
        assert fingerprint(changed) == fingerprint(SOURCE)

    @pytest.mark.parametrize(
        ("old", "new"), [("2 * x", "3 * x"), ("0.5", "0.25"), ("def double", "def triple"), ("import os\n", "")]
    )
    def test_code_does(self, fingerprint, old, new):
        changed = SOURCE.replace(old, new)
        assert changed != SOURCE
        assert fingerprint(changed) != fingerprint(SOURCE)

    def test_a_body_of_a_docstring_alone(self, fingerprint):
        assert fingerprint('class Empty:\n    """Nothing."""\n') == fingerprint("class Empty:\n    pass\n")

    def test_all_sources_of_a_folder(self, tmp_path):
        for name in ("a.py", "inner/b.py", "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x = 1\n")
        before = provenance.fingerprint([tmp_path])
        (tmp_path / "notes.txt").write_text("other")
        assert provenance.fingerprint([tmp_path]) == before
        (tmp_path / "inner" / "b.py").write_text("x = 2\n")
        assert provenance.fingerprint([tmp_path]) != before

    def test_another_line_is_another_key_of_the_network(self, tmp_path):
        source = tmp_path / "network.py"
        source.write_text(SOURCE)
        network = Network("Something", "SomeTrainer", sources=(source,))
        before = network.code()
        source.write_text(SOURCE.replace("# twice", "# two times"))
        assert network.code() == before
        source.write_text(SOURCE.replace("2 * x", "3 * x"))
        assert network.code()["sources"] != before["sources"]
        assert network.code()["versions"] == before["versions"]

    def test_what_all_networks_depend_on(self, tmp_path, monkeypatch):
        shared = tmp_path / "schedule.py"
        shared.write_text("x = 1\n")
        monkeypatch.setattr(networks, "SOURCES_OF_ALL", (shared,))
        before = {name: network.code()["sources"] for name, network in NETWORKS.items()}
        shared.write_text("x = 2\n")
        assert all(network.code()["sources"] != before[name] for name, network in NETWORKS.items())

    def test_another_version_of_a_package(self, monkeypatch):
        before = NETWORKS["unet"].code()
        installed = networks.version

        def version(name):
            return "another" if name == "monai" else installed(name)

        monkeypatch.setattr(networks, "version", version)
        assert NETWORKS["unet"].code() != before
        assert "monai" not in NETWORKS["eas"].code()["versions"]


@pytest.mark.parametrize("name", NETWORKS)
class TestNetworks:
    def test_its_trainer_is_there(self, name):
        trainer = getattr(short, f"{NETWORKS[name].trainer}_short")
        assert trainer.__name__ == f"{NETWORKS[name].trainer}_short"  # under which nnU-Net looks for it

    def test_its_packages_and_sources_are_there(self, name):
        code = NETWORKS[name].code()
        assert len(code["sources"]) == 16
        assert {"torch", "nnunetv2", *NETWORKS[name].packages} <= set(code["versions"])
        assert all(path.exists() for path in NETWORKS[name].sources)

    def test_every_switch_is_an_argument_of_the_network(self, name):
        network_class = EASUNet if NETWORKS[name].is_eas else PlainConvUNet
        assert set(NETWORKS[name].switches) <= set(inspect.signature(network_class.__init__).parameters)


def test_rows_are_told_apart():
    groups = (COMPARED, CONTROLS, ABLATION, FIRST_WEIGHTS, LENGTHS, VARIANTS)
    assert len({network.title for network in NETWORKS.values()}) == len(NETWORKS) == sum(map(len, groups))
