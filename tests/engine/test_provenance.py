"""The RO-Crate of a results folder: it holds by the standard's own context and, where it is there, its validator."""

import hashlib
import json
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from lib.config.files import write_json
from lib.config.params import load_study
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine import provenance
from lib.engine.freshness import Freshness, outputs_of
from lib.engine.planning import Inputs, plan

FIXTURES = REPOSITORY / "tests" / "fixtures"
CONTEXT = FIXTURES / "ro-crate-1.1-context.jsonld"  # as published at w3id.org/ro/crate/1.1/context (CC0)


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    """A finished results folder, described: every run has its outputs."""
    root = tmp_path_factory.mktemp("crate") / "results"
    data = root.parent / "data"
    data.mkdir()
    paths = StudyPaths(root)
    runs = plan(load_study(str(FIXTURES / "small.yaml")), "small", Inputs(data=data), FIXTURES / "notebooks")
    for run in runs:
        for name in run.outputs:
            path = root / name
            files = [path] if path.suffix else [path / "clean.parquet", path / "features.npy"]
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(run.id)
        freshness = Freshness(root)
        stamp = freshness.describe(run) | {"inputs": freshness.inputs(run), "seconds": 1.5}
        write_json(paths.stamp(run.id), stamp | {"outputs": outputs_of(root, run)})
        paths.executed(run.id).parent.mkdir(exist_ok=True)
        shutil.copy(run.notebook, paths.executed(run.id))
    facts = {"study": "small", "git": {"commit": "0123abc" * 5, "clean": True}}
    written = provenance.write_crate(runs, root, "Small", facts)
    return root, json.loads(written.read_text(encoding="utf-8"))


def entities(crate) -> dict[str, dict]:
    return {entity["@id"]: entity for entity in crate[1]["@graph"]}


def targets(value) -> list[str]:
    return [item["@id"] for item in (value if isinstance(value, list) else [value])]


def test_every_type_and_property_is_a_term_of_the_context(crate):
    published, own = crate[1]["@context"]
    genuine = json.loads(CONTEXT.read_text(encoding="utf-8"))
    assert published == genuine["@id"]
    known = genuine["@context"].keys() | own.keys()
    for entity in crate[1]["@graph"]:
        names = {name for name in entity if not name.startswith("@")}
        assert names | {entity["@type"]} <= known, entity["@id"]
    assert not own.keys() & genuine["@context"].keys()


def test_the_profile_and_the_licence_are_entities_of_the_crate(crate):
    root = entities(crate)["./"]
    for name in ("conformsTo", "license"):
        assert entities(crate)[root[name]["@id"]]["@type"] == "CreativeWork"


def test_files_are_named_with_their_digest_size_and_format(crate):
    checked = 0
    for entity in crate[1]["@graph"]:
        if "sha256" in entity:
            content = (crate[0] / entity["@id"]).read_bytes()
            assert entity["sha256"] == hashlib.sha256(content).hexdigest()
            assert int(entity["contentSize"]) == len(content)
            checked += 1
    assert checked > 20
    assert all(entity["encodingFormat"] for entity in crate[1]["@graph"] if entity["@type"] == "File")


def test_a_run_names_its_cell_its_notebook_and_what_it_read(crate):
    known = entities(crate)
    action = known["#train-clean-native-nine_classes-MobileNet-seed0"]
    assert action["description"].endswith(
        "protocol clean, preprocessing native, scenario nine_classes, backbone MobileNet, seed 0, variant default"
    )
    assert known[action["instrument"]["@id"]]["name"] == "04_train.ipynb"
    read = targets(action["object"])
    assert {"features/native/MobileNet/features.npy", "prepared/clean.parquet"} <= set(read)


VALIDATE = """
import io, json, sys, tempfile
import requests_cache, requests.adapters, urllib3
from rocrate_validator import services
from rocrate_validator.models import Severity

class Published(requests.adapters.HTTPAdapter):
    "Answers with the context as it was published, so that the validator's own cache holds it."
    def send(self, request, **options):
        body = io.BytesIO(open(sys.argv[2], "rb").read())
        json_ld = {"Content-Type": "application/ld+json"}
        return self.build_response(request, urllib3.HTTPResponse(body, json_ld, 200, preload_content=False))

cache = tempfile.mkdtemp() + "/http"
with requests_cache.CachedSession(cache, backend="sqlite", expire_after=-1) as session:
    session.mount("https://w3id.org/", Published())
    session.get("https://w3id.org/ro/crate/1.1/context")
settings = services.ValidationSettings(
    rocrate_uri=sys.argv[1], profile_identifier=sys.argv[3], requirement_severity=Severity.RECOMMENDED,
    offline=True, cache_path=cache,
)
issues = services.validate(settings).get_issues()
print(json.dumps([[issue.severity.name, issue.check.identifier, issue.message] for issue in issues]))
"""
# what the study does not record: agent, author, publisher, and an address of the code
NOT_RECORDED = {
    *("ro-crate-1.1_22.2", "ro-crate-1.1_22.3"),
    *("process-run-crate-0.5_3.2", "process-run-crate-0.5_5.1", "process-run-crate-0.5_8.6"),
}


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate-0.5"])
def test_the_reference_validator_finds_nothing_but_what_is_not_recorded(crate, profile):
    """The validator holds back other packages, so it has an environment of its own: `pipx install roc-validator`."""
    found = shutil.which("rocrate-validator")
    if not found:
        pytest.skip("needs rocrate-validator on the PATH: pipx install roc-validator")
    python = Path(found).resolve().with_name("python")
    command = [python, "-c", textwrap.dedent(VALIDATE), crate[0], CONTEXT, profile]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    issues = json.loads(done.stdout.splitlines()[-1])
    assert not [issue for issue in issues if issue[0] == "REQUIRED" or issue[1] not in NOT_RECORDED], issues
