"""What is published: the distributions, the workflows that publish them, and facts that stand in several places."""

import ast
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import files, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import impasto

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tool(*command: object) -> str:
    return run(sys.executable, "-m", *command)


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def version_in(folder: Path) -> str:
    return tool("versioningit", folder).strip()


def normal(name: str) -> str:
    """A distribution's name, of a requirement as well, as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;,~! ]", name)[0]).lower()


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("distributions")
    # of a copy, so that no build folder of another time is taken along
    for name in run("git", "ls-files", "-co", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    return folder


@pytest.mark.slow
def test_both_distributions_are_what_an_index_takes(distributions: Path):
    (sdist,), (wheel,) = distributions.glob("*.tar.gz"), distributions.glob("*.whl")
    tool("twine", "check", "--strict", sdist, wheel)
    tool("check_wheel_contents", wheel)
    names = zipfile.ZipFile(wheel).namelist()
    for list_of, ending in (("styles", ".jpg"), ("networks", ".safetensors")):
        shipped = json.loads((ROOT / f"examples/styles/{list_of}.json").read_text())
        assert {f"impasto/styles/{name}{ending}" for name in shipped} <= set(names)
    static = ROOT / "src/impasto/web/static"
    assert {name for name in names if name.startswith("impasto/web/static/")} == {
        f"impasto/web/static/{path.relative_to(static).as_posix()}" for path in static.rglob("*") if path.is_file()
    }
    assert {"impasto/py.typed", "impasto/images/rocket.jpg"} <= set(names)
    assert not [name for name in names if "test" in name]
    licences = {name.rsplit("/", 1)[-1] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "THIRD_PARTY.md"}
    with tarfile.open(sdist) as archive:
        assert f"{sdist.name.removesuffix('.tar.gz')}/README.md" in archive.getnames()


@pytest.mark.slow
def test_the_wheel_paints_in_a_fresh_environment(distributions: Path, tmp_path: Path):
    """impasto from the wheel; what it needs from here, since torch alone takes minutes to install."""
    import torch

    (wheel,) = distributions.glob("*.whl")
    tool("venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    # a path file within a folder that a path file names is not read: the impasto that is installed here stays out
    (site / "dependencies.pth").write_text(str(Path(torch.__file__).parent.parent))
    where = run(
        python, "-c", "import impasto, impasto.styles; print(impasto.__file__, impasto.styles.__file__)", cwd=tmp_path
    )
    assert where.count(str(site)) == 2
    command = python.with_name("impasto")
    assert run(command, "--version", cwd=tmp_path).strip() == f"impasto {version_of(wheel)}"
    run(command, "demo", "--size", 64, "--quality", "draft", "--quiet", "--output", "out.png", cwd=tmp_path)
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_every_package_that_is_imported_is_declared():
    declared = {normal(one) for one in PROJECT["dependencies"]} | {"starlette", "pydantic"}  # fastapi is made of them
    declared |= {"ipython"}  # imported only where it runs us
    for extra in set(PROJECT["optional-dependencies"]) - {"dev", "test", "docs", "release"}:
        declared |= {normal(one) for one in PROJECT["optional-dependencies"][extra]}
    known = packages_distributions()
    missing = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in (
                {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"impasto", "__future__"}
            ):
                if not {normal(one) for one in known.get(name, [name])} & declared:
                    missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert not missing


def test_nothing_is_imported_that_only_linux_has():
    """Where a module is read: a test may ask for it, and is left out elsewhere."""
    posix = {"resource", "fcntl", "pty", "termios", "tty", "pwd", "grp"}
    found = []
    for path in (*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.relative_to(ROOT).as_posix()}: {name}" for name in names if name in posix]
    assert found == ["tests/attacked.py: resource"]  # a program that only those tests run which are Linux's


def test_the_notices_name_every_package_that_is_installed_along():
    notices = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    for requirement in PROJECT["dependencies"]:
        assert re.search(rf"^\| {normal(requirement)}\b", notices, re.MULTILINE), requirement


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    coming = Version(impasto.__version__).base_version
    assert citation["version"] == coming
    assert f"## {coming}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_tag_is_the_version(tmp_path: Path):
    """What setuptools asks versioningit, of a repository with our pyproject.toml: before a tag, at it, after it."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid", "-C", tmp_path]
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    assert version_in(tmp_path) == "0.1.0.dev0"
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "first")
    assert version_in(tmp_path) == "0.1.0.dev0"
    run(*git, "commit", "--quiet", "--allow-empty", "--message", "before the tag")
    assert Version(version_in(tmp_path)).public == "0.1.0.dev1"
    run(*git, "tag", "v0.1.0")
    assert version_in(tmp_path) == "0.1.0"
    run(*git, "commit", "--quiet", "--allow-empty", "--message", "second")
    assert Version(version_in(tmp_path)).public == "0.1.1.dev1"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A repository with what names its address, before it is written."""
    for name in (
        *(".ci/address.py", "pyproject.toml", "README.md", "CITATION.cff", "examples/impasto.ipynb"),
        "integrations/comfyui/pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    path = tmp_path / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"\[project\.urls\]\n(?:\w.*\n)*\n", "", text), encoding="utf-8")  # as before it is written
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    run("git", "-c", "user.name=x", "-c", "user.email=x@x.invalid", "-C", folder, *words)


def test_an_address_is_written_once_and_links_lead_from_the_index_to_the_tag(published: Path):
    address = [sys.executable, published / ".ci/address.py"]
    for one in ("https://github.com/another/one", "https://github.com/someone/paintings"):
        run(*address, "write", one)
        run(*address, "check", one)
    git(published, "commit", "--quiet", "--all", "--message", "address")
    run(*address, "write", "https://github.com/someone/paintings")
    assert not run("git", "-C", published, "status", "--porcelain")  # twice is once
    told = [
        tomllib.loads((published / f"{folder}pyproject.toml").read_text()) for folder in ("", "integrations/comfyui/")
    ]
    assert {one["project"]["urls"]["Repository"] for one in told} == {"https://github.com/someone/paintings"}
    assert yaml.safe_load((published / "CITATION.cff").read_text())["repository-code"].endswith("/someone/paintings")
    notebook = json.loads((published / "examples/impasto.ipynb").read_text(encoding="utf-8"))
    colab = "https://colab.research.google.com/github/someone/paintings/blob/main/examples/impasto.ipynb"
    assert "".join(notebook["cells"][0]["source"]).count(colab) == 1

    git(published, "tag", "v0.1.0")
    run(*address, "index", "v0.1.0")
    git(published, "commit", "--quiet", "--all", "--message", "links for the index")
    git(published, "tag", "--force", "v0.1.0")
    assert version_in(published) == "0.1.0"
    before = re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    text = (published / "README.md").read_text(encoding="utf-8")
    assert not re.findall(r"\]\((?!http)[^)]+\)", text)
    found = re.findall(r"\]\(https://github.com/someone/paintings/(raw|blob)/v0.1.0/([^)]+)\)", text)
    assert {name for _, name in found} == {*before, "docs/images/badge-colab.svg"}
    for kind, name in found:
        assert (ROOT / name.partition("#")[0]).is_file()
        assert (kind == "raw") == name.startswith("docs/images/")


@pytest.mark.parametrize(
    "words",
    [
        ("check", "https://github.com/someone/paintings"),  # none is written
        ("index", "v0.1.0"),
        ("write", "https://github.com/OWNER/NAME"),
        ("write", "example.com/paintings"),
        ("write",),
    ],
)
def test_a_release_without_an_address_is_refused(published: Path, words: tuple[str, ...]):
    git(published, "commit", "--quiet", "--all", "--message", "as it is")
    command = [sys.executable, published / ".ci/address.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "python .ci/address.py write" in done.stderr or "give its own" in done.stderr
    assert not run("git", "-C", published, "status", "--porcelain")


def test_the_matrix_covers_what_is_promised():
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == lowest
    assert {f"Programming Language :: Python :: {version}" for version in matrix["python"]} <= set(
        PROJECT["classifiers"]
    )
    assert {one.split("-")[0] for one in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_only_the_job_that_publishes_may_and_it_runs_nothing_of_ours():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    trusted = [name for name, job in jobs.items() if job["permissions"].get("id-token") == "write"]
    assert trusted == ["publish"]
    assert all("run" not in step for step in jobs["publish"]["steps"])
    assert jobs["install"]["needs"] == "publish"
    assert jobs["publish"]["needs"] == "build"


@pytest.mark.parametrize("schema", ["github-workflows", "dependabot"])
def test_the_workflows_fit_their_schema(schema: str):
    paths = WORKFLOWS if schema == "github-workflows" else [ROOT / ".github/dependabot.yml"]
    assert paths
    tool("check_jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)


def test_the_issue_forms_ask_for_what_helps():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name == "config.yml":
            assert form["blank_issues_enabled"] is True
            continue
        assert form["name"]
        assert form["description"]
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
        assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in form["body"])


def test_the_workflows_have_no_known_weakness():
    """zizmor: actions pinned by hash, no credentials left behind, no more rights than needed, nothing injected."""
    (zizmor,) = [str(file.locate()) for file in files("zizmor") or [] if file.stem == "zizmor"]
    found = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--quiet", ROOT / ".github"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stdout


def test_the_lock_satisfies_what_is_declared():
    """Made anew by the command in CONTRIBUTING.md when a dependency changes."""
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    locked = {normal(one.name): one for one in map(Requirement, lines)}
    extras = PROJECT["optional-dependencies"]
    declared = [one for extra in ("dev", "test", "web", "samples", "cluster", "release") for one in extras[extra]]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *declared]):
        if normal(requirement.name) == "impasto":
            continue
        (version,) = locked[normal(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement
