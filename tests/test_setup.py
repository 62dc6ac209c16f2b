"""What the repository promises about itself: one environment by every way, one range of Pythons, a true README."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lib.config.paths import LIB, PARAMS, REPOSITORY

LOCK, GPU_LOCK = ((REPOSITORY / name).read_text() for name in ("requirements.lock", "requirements-gpu.lock"))


def entries(lock):
    """What a lock says of each package: version, marker and hashes."""
    return {entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")}


def pins(lock):
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, flags=re.M)}


PINS = pins(LOCK)
README = (REPOSITORY / "README.md").read_text()
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()
H100, NONE = "GPU 0: NVIDIA H100", "No devices were found"  # as nvidia-smi -L says


def direct_requirements():
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    return [Requirement(text) for line in lines if (text := line.split("#")[0].strip())]


def test_the_lock_pins_every_direct_dependency_within_its_bounds():
    for requirement in direct_requirements():
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("lock", [LOCK, GPU_LOCK])
def test_every_pin_has_hashes_and_the_locks_name_no_index_and_no_folder(lock):
    assert len(entries(lock)) > len(PINS) / 2
    assert all("--hash=sha256:" in entry and "==" in entry for entry in entries(lock))
    assert not re.search(r"https?:|file:|-index|find-links|/", lock)


def test_the_lock_for_gpus_is_the_other_one_and_the_cuda_that_tensorflow_asks_for():
    assert entries(LOCK) < entries(GPU_LOCK)
    wanted = [Requirement(text) for text in importlib.metadata.requires("tensorflow")]
    cuda = [requirement for requirement in wanted if requirement.marker and "and-cuda" in str(requirement.marker)]
    added = pins(GPU_LOCK).items() - PINS.items()
    assert {name for name, _ in added} >= {canonicalize_name(requirement.name) for requirement in cuda}
    assert all(name.startswith("nvidia-") for name, _ in added)
    for requirement in cuda:
        assert requirement.specifier.contains(pins(GPU_LOCK)[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("name, lock", [("environment", "requirements"), ("environment-gpu", "requirements-gpu")])
def test_conda_users_get_the_locked_environment_and_nothing_else(name, lock):
    environment = yaml.safe_load((REPOSITORY / f"{name}.yml").read_text())
    python, pip, by_pip = environment["dependencies"]
    assert pip == "pip" and by_pip == {"pip": [f"-r {lock}.lock"]}
    assert SpecifierSet(python.removeprefix("python")) == pythons()
    assert f"conda activate {environment['name']}" in (REPOSITORY / f"{name}.yml").read_text()


@pytest.mark.parametrize("gpus, arguments, kind", [(H100, [], "-gpu"), (H100, ["GPU=0"], ""), (NONE, [], "")])
def test_make_takes_the_lock_with_cuda_where_there_is_a_gpu_and_nobody_refuses(tmp_path, gpus, arguments, kind):
    for name, says in {"nvidia-smi": gpus, "uname": "Linux x86_64"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
    for name in ("Makefile", "requirements.lock", "requirements-gpu.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "GPU", "ARGS"))}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    command = ["make", "--dry-run", "paper", *arguments]
    plan = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"--require-hashes -r requirements{kind}.lock " in plan
    assert plan.rstrip().endswith("run_all.py paper")


def test_make_lab_makes_the_demo_first_where_there_is_none_and_says_so(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, copy in (("Makefile", ""), ("requirements.lock", ""), ("requirements.lock", ".venv/installed.lock")):
        shutil.copy(REPOSITORY / name, tmp_path / copy)
    (tmp_path / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho runs $*\n")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    said = []
    for _ in range(2):
        command = ["make", "lab", "GPU=0", "MAKEFLAGS="]
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        said.append([line for line in made.splitlines() if line.startswith(("runs", "No demo"))])
        (tmp_path / "results" / "demo" / "report").mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / "demo" / "report" / "index.html").touch()
    assert said[0][:2] == ["No demo in results/ yet: making it first.", "runs run_all.py demo"]
    assert said[0][2:] == said[1] and said[1][0].startswith("runs -m jupyterlab ")


def pythons():
    return SpecifierSet(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"])


def test_changes_shown_to_contributors_apply_and_give_studies_that_are_accepted(tmp_path):
    """The backbone, the scenario and the data set that CONTRIBUTING.md adds, each to a fresh copy."""
    changes = re.findall(r"^```diff\n(.*?)^```", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL)
    assert len(changes) == 3
    for change in changes:
        study = re.search(r"b/params/(\w+)\.yaml\n@@ -0,0", change).group(1)
        copy = tmp_path / study
        for folder in (LIB, PARAMS):
            shutil.copytree(folder, copy / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["git", "apply", "-"], cwd=copy, input=change, text=True, check=True)
        check = f"from lib.config.params import *; print(len(load_study('{study}').cells('backbone', 'scenario')))"
        printed = subprocess.run([sys.executable, "-c", check], cwd=copy, text=True, capture_output=True, check=True)
        assert int(printed.stdout) > 0 and f"`python run_all.py {study}" in CONTRIBUTING


def test_readme_and_contributing_name_only_files_targets_and_links_that_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    for page in (README, CONTRIBUTING):
        named = re.findall(r"`((?:lib|params|notebooks|tests|results/reference)/[^`\s]*)`", page)
        named += [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page) if "://" not in link]
        assert named and not [path for path in named if not (REPOSITORY / path).exists()]
        assert set(re.findall(r"(?:`|^)make ([a-z-]+)", page, flags=re.MULTILINE)) <= targets
