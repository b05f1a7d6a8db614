"""What a public project says about itself in several places is the same in all of them."""

from __future__ import annotations

import configparser
import importlib.util
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import srsly

import spacy_luke

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load_script(path: Path) -> Any:
    """A script that lies in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wheels = load_script(ROOT / "scripts" / "check_wheels.py")
setup = load_script(ROOT / "setup.py")


def metadata(folder: Path) -> dict[str, str]:
    config = configparser.ConfigParser(delimiters=("=",))
    config.read(folder / "setup.cfg", encoding="utf8")
    return dict(config["metadata"])


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = srsly.read_yaml(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"]
    return found


def test_tests_run_on_the_versions_of_python_that_the_metadata_names():
    tested = jobs("tests")["test"]["strategy"]["matrix"]
    named = re.findall(r"Python :: (3\.\d+)", metadata(ROOT)["classifiers"])
    assert tested["python"] == named
    assert {name.partition("-")[0] for name in tested["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read(workflow):
    content = srsly.read_yaml(workflow)
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert set(job.get("permissions", {})) <= {"id-token"}


def test_releases_are_published_without_a_password():
    publish = jobs("release")["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert sorted(publish["strategy"]["matrix"]["package"]) == sorted(
        metadata(one.folder)["name"] for one in wheels.PACKAGES
    )
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf8")


def test_both_packages_name_the_same_people_and_places():
    package, model = (metadata(one.folder) for one in wheels.PACKAGES)
    for name in ("author", "url", "project_urls"):
        assert package[name] == model[name]
    written = [*WORKFLOWS, *FORMS, ROOT / "SECURITY.md", ROOT / "CITATION.cff"]
    for path in written:
        for found in re.findall(r"https://github\.com/spacy-luke/[\w.-]+", path.read_text(encoding="utf8")):
            assert found == package["url"], path


def test_the_citation_is_that_of_this_version():
    citation = srsly.read_yaml(ROOT / "CITATION.cff")
    package = metadata(ROOT)
    assert citation["version"] == spacy_luke.__version__
    assert citation["license"] == package["license"]
    assert citation["repository-code"] == package["url"]
    assert [author["name"] for author in citation["authors"]] == [package["author"]]
    assert (ROOT / "LICENSE").read_text(encoding="utf8").splitlines()[2] == f"Copyright {package['author']}"


@pytest.mark.parametrize("form", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_a_form_asks_for_something(form):
    content = srsly.read_yaml(form)
    assert content["name"]
    assert content["description"]
    ids = [field["id"] for field in content["body"]]
    assert len(set(ids)) == len(ids) > 0
    assert any(field.get("validations", {}).get("required") for field in content["body"])


# --- setup.py: the description on the package index

URL = "https://github.com/me/mine"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("![a](docs/a.svg)", "![a](https://raw.githubusercontent.com/me/mine/v1/docs/a.svg)"),
        ("[`a`](docs/a.md#b)", f"[`a`]({URL}/blob/v1/docs/a.md#b)"),
        ("[a](#b)", "[a](#b)"),
        ("[a](https://a.org/b)", "[a](https://a.org/b)"),
        ("[a](mailto:a@a.org)", "[a](mailto:a@a.org)"),
        ("[a](b) (c) [d](e)", f"[a]({URL}/blob/v1/b) (c) [d]({URL}/blob/v1/e)"),
    ],
)
def test_links_of_the_description_are_absolute(link, expected):
    assert setup.with_absolute_links(f"See {link}.", URL, "v1") == f"See {expected}."


def test_the_description_is_the_readme_with_links_to_the_tag_of_this_version():
    readme, description = (ROOT / "README.md").read_text(encoding="utf8"), setup.description()
    url = metadata(ROOT)["url"]
    raw = url.replace("github.com", "raw.githubusercontent.com")
    tag = f"v{spacy_luke.__version__}"
    assert f"]({raw}/{tag}/docs/example.svg)" in description
    assert description.replace(f"{raw}/{tag}/", "").replace(f"{url}/blob/{tag}/", "") == readme
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert len(targets) > 20
    assert all(target.startswith("https://") for target in targets)


# --- scripts/check_wheels.py, of which `make check-wheels` runs the rest


def write_wheel(path: Path, *names: str, size: int = 1) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, "x" * size)
    return path


INFO = "mine-1.dist-info/METADATA"


@pytest.mark.parametrize(
    ("names", "size", "complaint"),
    [
        (["mine/a.py", "mine/py.typed", INFO], 1, None),
        (["mine/py.typed", INFO], 2000, "not below"),
        (["mine/a.py", INFO], 1, "has no mine/py.typed"),
        (["mine/py.typed", "tests/test_a.py", "docs/a.md", INFO], 1, "more than mine: docs, tests"),
    ],
)
def test_a_wheel_that_is_not_to_be_released(tmp_path, names, size, complaint):
    wheel = write_wheel(tmp_path / "mine-1-py3-none-any.whl", *names, size=size)
    package = wheels.Package(tmp_path, "mine", 2000, "mine/py.typed")
    if complaint is None:
        wheels.check_wheel(wheel, package)
    else:
        with pytest.raises(wheels.CheckFailed, match=complaint):
            wheels.check_wheel(wheel, package)


@pytest.mark.parametrize(
    ("description", "good"),
    [("[a](https://a.org) [b](#b)", True), ("![a](docs/a.svg)", False), ("See [a](b.md).", False)],
)
def test_links_that_lead_nowhere_on_the_package_index(tmp_path, description, good):
    wheel = tmp_path / "mine-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("mine/py.typed", "")
        opened.writestr(INFO, f"Name: mine\n\n{description}\n")
    package = wheels.Package(tmp_path, "mine", 2000, "mine/py.typed")
    if good:
        wheels.check_wheel(wheel, package)
    else:
        with pytest.raises(wheels.CheckFailed, match="relative links"):
            wheels.check_wheel(wheel, package)


def test_the_example_is_the_first_of_the_readme():
    readme = "# A\n\n```bash\npip\n```\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nprint(2)\n```\n"
    assert wheels.read_example(readme) == ("print(1)\n", "1\n")
    assert wheels.read_example(readme.replace("```text", "Prints:\n\n```text")) == ("print(1)\n", None)
    with pytest.raises(wheels.CheckFailed, match="no example"):
        wheels.read_example("# A")


def test_the_readme_has_an_example_that_runs_the_model():
    code, _ = wheels.read_example((ROOT / "README.md").read_text(encoding="utf8"))
    assert 'spacy.load("en_luke_mini")' in code
    compile(code, "README.md", "exec")


@pytest.mark.parametrize(
    ("output", "expected", "good"),
    [("Ada PER\n", "Ada  PER\n\n", True), ("Ada\n", None, True), ("Ada\n", "Bo\n", False), (" \n", None, False)],
)
def test_the_output_has_to_be_the_one_that_is_shown(output, expected, good):
    if good:
        wheels.check_output(output, expected)
    else:
        with pytest.raises(wheels.CheckFailed):
            wheels.check_output(output, expected)
