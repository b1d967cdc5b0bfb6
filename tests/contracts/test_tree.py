"""The tree is as designed: where things are, how big they are, what they say about themselves, what they import."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dawn_chorus", "orchestrator", "workers", "tasks", "db", "domain")
VERBS = {"preprocess", "pack", "train", "evaluate", "render", "predict", "collect"}
NOUNS = ("audio", "dataset", "detections", "model", "report")
NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "core", "misc"}
MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 50, 6
GENERATED = ROOT / "db" / "schema" / "migrations" / "versions"


def package_files() -> list[Path]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path for path in files if not path.is_relative_to(GENERATED)]


def python_files() -> list[Path]:
    elsewhere = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    return [*package_files(), *elsewhere, ROOT / "settings.py"]


def committed_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        servers.absent("git or its history", "run this in a clone")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def committed_texts() -> list[tuple[Path, str]]:
    texts = []
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content:
            texts.append((path, content.decode("utf-8")))
    return texts


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring not counted: explaining must cost nothing."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    named = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


# --- where things are ---------------------------------------------------------------------------------------------


def test_the_files_directly_in_tasks_are_the_verbs():
    assert {path.stem for path in (ROOT / "tasks").glob("*.py")} == VERBS | {"__init__"}


def test_the_folders_in_tasks_are_the_nouns_and_sort_in_the_order_of_the_way():
    folders = sorted(path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py"))
    assert tuple(folders) == (*NOUNS, "runtime")


def test_no_module_or_folder_has_a_name_that_says_nothing():
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in package_files()}
    words = {path: {word for part in named for word in part.split("_")} for path, named in parts.items()}
    assert [name_of(path) for path, each in words.items() if each & NAMES_THAT_SAY_NOTHING] == []


def test_no_two_modules_have_one_name():
    modules = [*package_files(), ROOT / "settings.py"]
    names = Counter(path.stem for path in modules if path.name != "__init__.py")
    assert [name for name, n in names.items() if n > 1] == []


def test_no_two_public_classes_have_one_name():
    places: dict[str, list[str]] = {}
    for path in [*package_files(), ROOT / "settings.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_every_folder_with_python_in_it_is_a_package():
    bare = {path.parent for path in package_files() if not (path.parent / "__init__.py").is_file()}
    assert {folder for folder in bare if not folder.is_relative_to(ROOT / "db" / "schema" / "migrations")} == set()


def test_every_package_is_installed_typed_compiled_and_put_into_images():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for packages in (
        project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
        project["tool"]["mypy"]["packages"],
        project["tool"]["importlinter"]["root_packages"],
        [package for package in PACKAGES if f"!{package}" in ignored],
    ):
        assert sorted(packages) == sorted(PACKAGES)
    for name in ("Makefile", "Dockerfile"):
        compiled = re.search(r"compileall -q settings\.py ([\w ]+)", (ROOT / name).read_text("utf-8"))
        assert compiled is not None
        assert sorted(compiled[1].split()) == sorted(PACKAGES), name


def test_tests_have_no_packages_so_that_files_may_share_names():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_unit_tests_mirror_the_tree():
    """A noun's tests stand in tests/unit/<noun>, everything else's under its own path."""
    unit = ROOT / "tests" / "unit"
    tested = {path.relative_to(unit).parent for path in unit.rglob("test_*.py")}
    assert [each for each in tested if not (ROOT / each).is_dir() and not (ROOT / "tasks" / each).is_dir()] == []


# --- how big they are, what they say ------------------------------------------------------------------------------


def test_no_file_is_longer_than_400_lines():
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_no_function_is_longer_than_50_lines():
    lines = {f"{name_of(path)}:{each.lineno}": length(each) for path in package_files() for each in functions(path)}
    assert {place: n for place, n in lines.items() if n > MOST_FUNCTION_LINES} == {}


def test_no_function_has_more_than_six_parameters():
    numbers = {
        f"{name_of(path)}:{each.lineno}": n_parameters(each)
        for path in package_files()
        for each in functions(path)
    }  # fmt: skip
    assert {place: n for place, n in numbers.items() if n > MOST_PARAMETERS} == {}


def test_every_file_begins_by_saying_what_it_is():
    for path in [*package_files(), ROOT / "settings.py"]:
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring is not None, name_of(path)
        first = docstring.splitlines()[0]
        assert first.endswith((".", ":", ",", ";")) or len(docstring.splitlines()) > 1, name_of(path)


def test_no_test_uses_a_mock_library():
    tests = [path for path in python_files() if path.is_relative_to(ROOT / "tests")]
    assert [name_of(path) for path in tests if imports_of(path) & {"mock", "unittest.mock", "pytest_mock"}] == []


# --- what they know about the world -------------------------------------------------------------------------------


def imports_of(path: Path) -> set[str]:
    """Every module a file names in an import, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


PURE_PLANNER = ("request", "candidates", "graph", "plan")


def test_nouns_and_the_pure_planner_never_read_the_clock_or_the_environment():
    forbidden = {
        "os.environ",
        "os.getenv",
        "time.time",
        "time.time_ns",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
        "time.localtime",
        "time.gmtime",
        "datetime.datetime.now",
        "datetime.date.today",
    }
    nouns = [path for noun in NOUNS for path in (ROOT / "tasks" / noun).rglob("*.py")]
    planner = [ROOT / "orchestrator" / "planning" / f"{name}.py" for name in PURE_PLANNER]
    for path in (*nouns, *planner, *(ROOT / "domain").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not (names | imports_of(path)) & forbidden, name_of(path)


def test_settings_is_the_only_file_that_reads_the_environment():
    readers = {
        name_of(path) for path in package_files() if re.search(r"os\.(environ|getenv)\b", path.read_text("utf-8"))
    }
    assert readers == set()


def test_nothing_is_pickled():
    picklers = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
    assert [name_of(path) for path in package_files() if imports_of(path) & picklers] == []


# --- what may not be committed ------------------------------------------------------------------------------------

PLACES_OF_ONE_MACHINE = re.compile(r"(?<![\w.$}/-])/(?:home|root|work|Users)/[\w.-]+")
REGISTRIES = re.compile(
    r"--(?:extra-)?index-url|--find-links\s+\S|pypi\.org/simple|files\.pythonhosted\.org|/simple/?\s*$", re.M
)


def test_no_committed_file_names_a_place_of_one_machine():
    found = {name_of(path): PLACES_OF_ONE_MACHINE.findall(text) for path, text in committed_texts()}
    assert {name: places for name, places in found.items() if places} == {}


def test_no_committed_file_names_a_package_registry():
    mine = Path(__file__).resolve()
    found = {name_of(path): REGISTRIES.findall(text) for path, text in committed_texts() if path != mine}
    assert {name: addresses for name, addresses in found.items() if addresses} == {}


def lock_files() -> list[Path]:
    return sorted((ROOT / "requirements").glob("*.lock"))


def test_there_is_a_lock_for_each_way_to_install():
    assert [path.stem for path in lock_files()] == ["base", "dev", "formats", "gpu", "readers", "train"]


@pytest.mark.parametrize("path", lock_files(), ids=name_of)
def test_every_locked_package_has_a_version_and_a_hash_and_no_address(path):
    text = path.read_text("utf-8")
    assert "://" not in text
    requirements = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.match(r"[a-zA-Z0-9._-]+(\[[\w,-]+\])?==\S+", requirement), requirement[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement), requirement[:80]


def test_no_recording_is_committed():
    audio = {".ogg", ".mp3", ".wav", ".flac", ".m4a", ".aiff", ".opus"}
    assert [name_of(path) for path in committed_files() if path.suffix.lower() in audio] == []
