"""What is installed: one package, with the packages that its modules import, by the extra that brings them."""

from __future__ import annotations

import ast
import configparser
import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from setuptools import find_packages

from ammrg import __version__

ROOT = Path(__file__).parents[1]
CHECKOUT = ("callbacks", "datamodules", "experiments", "lightning_modules")
"""Packages that are run from the checkout."""
OUTSIDE = {"radeval", "faiss", "pynvml"}
"""Not required: each is used where it is there (radeval in an environment of its own), and done without elsewhere."""
BY_OTHERS = {"accelerate"}
"""Required because a required package imports them: transformers places quantised weights with accelerate."""

CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(lines: str) -> set[str]:
    """Names of the distributions that a list of requirements brings, those of other extras of ours among them."""
    found: set[str] = set()
    for line in lines.split():
        name, _, extra = line.rstrip("]").partition("[")
        found |= required(CONFIG["options.extras_require"][extra]) if name == "am-mrg" else {canonical(name)}
    return found


LIGHT = required(CONFIG["options"]["install_requires"])
MODELS, TRAIN, DICOM, SERVE, DEMO, TABLES, DOCS, DEV = (
    required(CONFIG["options.extras_require"][name])
    for name in ("models", "train", "dicom", "serve", "demo", "tables", "docs", "dev")
)
DISTRIBUTIONS = metadata.packages_distributions()


def imported(node: ast.AST, module: str, *, lazily: bool) -> Iterator[str]:
    """Modules that a source imports, by their whole names: those for type checkers not, those within functions where
    ``lazily``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} imports relatively"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            yield from (each.value for each in child.args if isinstance(each, ast.Constant))
        elif lazily or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported(child, module, lazily=lazily)


def path_of(name: str) -> Path | None:
    """The file of one of our modules; None where there is none of that name."""
    place = ROOT.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imports_of(path: Path, *, lazily: bool) -> set[str]:
    return set(imported(ast.parse(path.read_text(encoding="utf-8")), str(path), lazily=lazily))


def distributions(names: Iterable[str]) -> set[str]:
    """The distributions of imported names that are neither Python's nor ours."""
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    tops -= {"ammrg", "benchmarks", *CHECKOUT} | OUTSIDE
    return {canonical(DISTRIBUTIONS[top][0]) for top in tops}


def loaded_with(*modules: str) -> set[str]:
    """All that an interpreter imports with some of our modules, third-party names among them."""
    waiting, seen = list(modules), set(modules)
    while waiting:
        name = waiting.pop()
        parents = [name.rpartition(".")[0]] if "." in name else []
        path = path_of(name)
        for found in [*parents, *(imports_of(path, lazily=False) if path else ())]:
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return seen


def sources(*rooms: str) -> list[Path]:
    found = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert found
    return found


# --- the wheel --------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_one_package_whole() -> None:
    include = CONFIG["options.packages.find"]["include"].split()
    packages = find_packages(str(ROOT), include=include)
    assert {name.partition(".")[0] for name in packages} == {"ammrg"}
    folders = {path.parent for path in sources("ammrg")}
    assert {ROOT.joinpath(*name.split(".")) for name in packages} == folders


def test_the_wheel_holds_the_files_that_are_no_source() -> None:
    patterns = CONFIG["options.package_data"]["ammrg"].split(", ")
    matched = {path for pattern in patterns for path in (ROOT / "ammrg").glob(pattern)}
    others = {path for path in (ROOT / "ammrg").rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert {path for path in others if path.is_file()} == matched
    assert set(CONFIG["options.package_data"]) == {"ammrg"}


def test_the_command_is_installed() -> None:
    (name, target) = CONFIG["options.entry_points"]["console_scripts"].strip().split(" = ")
    module, _, function = target.partition(":")
    assert name == "ammrg"
    path = path_of(module)
    assert path is not None
    assert f"def {function}(" in path.read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the sdist of the files that git knows, and the wheel that is built from the sdist."""
    place = tmp_path_factory.mktemp("built")
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if known.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, known.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / "tree" / name)

    def build(kind: str, tree: Path, out: Path) -> Path:
        out.mkdir()
        code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (file,) = out.iterdir()
        return file

    sdist = build("sdist", place / "tree", place / "sdist")
    wheel = build("wheel", place / "tree", place / "wheel")
    with tarfile.open(sdist) as file:
        file.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return {"sdist": sdist, "wheel": wheel, "again": build("wheel", unpacked, place / "again")}


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_the_wheel_is_named_licensed_and_the_same_from_the_sdist(built: dict[str, Path]) -> None:
    assert built["wheel"].name == f"am_mrg-{__version__}-py3-none-any.whl"
    assert built["sdist"].name == f"am_mrg-{__version__}.tar.gz"
    found, again = members(built["wheel"]), members(built["again"])
    info = f"am_mrg-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in found} == {"ammrg", info}
    assert f"{info}/licenses/LICENSE" in found
    told = email.message_from_bytes(found[f"{info}/METADATA"])
    assert told["Version"] == __version__
    assert set(told.get_all("Provides-Extra", ())) == set(CONFIG["options.extras_require"])
    described = {name: content for name, content in found.items() if not name.endswith("RECORD")}
    assert described == {name: content for name, content in again.items() if not name.endswith("RECORD")}
    sources_here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ammrg").rglob("*.*")}
    missing = {name for name in sources_here if not name.endswith(".pyc")} - found.keys()
    assert not missing


def test_the_wheel_scores_outside_the_checkout(built: dict[str, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(built["wheel"]) as file:
        file.extractall(site)
    (tmp_path / "mine.csv").write_text(
        "study_id,generated,reference\na,No effusion.,No effusion.\nb,Clear.,Clear lungs.\n"
    )
    code = (
        "import ammrg, sys; from ammrg.__main__ import main; "
        "status = main(['score', 'mine.csv', '--bootstrap', '20', '--no-meteor', '--quiet']); "
        "print(ammrg.__version__, ammrg.__file__, status)"
    )
    done = light_python(code, tmp_path, site)
    assert done.stdout.split() == [__version__, str(site / "ammrg" / "__init__.py"), "0"], done.stderr
    assert "<html" in (tmp_path / "report.html").read_text()


def test_the_citation_names_this_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    heading = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading.groups() == (__version__, str(citation["date-released"]))


# --- what is imported is required -------------------------------------------------------------------------------------


def test_scoring_imports_what_the_light_install_brings() -> None:
    light = loaded_with("ammrg.__main__", "ammrg.commands.score", "ammrg.evaluation.per_study", "ammrg.text.labelers")
    meteor = imports_of(ROOT / "ammrg/metrics/meteor.py", lazily=True)  # its jar's package, when METEOR starts
    assert distributions(light | meteor) <= LIGHT
    assert {"numpy", "rich"} <= {name.partition(".")[0] for name in light}
    assert "pycocoevalcap" in {name.partition(".")[0] for name in meteor}


def test_each_extra_brings_what_its_rooms_import() -> None:
    package = [name for path in sources("ammrg") for name in imports_of(path, lazily=True)]
    # Films are distorted with albumentations, and operating curves measured with scipy, in training only.
    assert (
        distributions(package) - {"albumentations", "scipy"}
        == (LIGHT | MODELS | DICOM | SERVE | DEMO | TABLES) - BY_OTHERS
    )
    checkout = [name for path in sources("ammrg", *CHECKOUT) for name in imports_of(path, lazily=True)]
    assert distributions(checkout) == (LIGHT | TRAIN | DICOM | SERVE | DEMO | TABLES) - BY_OTHERS


def test_an_extra_adds_to_the_one_before_it_and_names_nothing_twice() -> None:
    assert MODELS < TRAIN < DEV
    assert MODELS < DICOM < DEV
    assert MODELS < SERVE < DEMO < DEV
    assert DICOM < DEMO
    assert DOCS < DEV
    assert not LIGHT & DEV
    lists = [CONFIG["options"]["install_requires"], *CONFIG["options.extras_require"].values()]
    named = [line for lines in lists for line in lines.split() if not line.startswith("am-mrg[")]
    assert len(named) == len(set(named))


def test_all_that_is_required_is_pinned() -> None:
    pins = {canonical(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    needed = {name for lines in CONFIG["options.extras_require"].values() for name in required(lines)} | LIGHT
    assert needed - {"pyyaml"} <= pins  # PyYAML's version is what the others leave


def test_the_lock_holds_what_is_pinned_and_names_no_place() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(line.startswith(("# ", "    --hash=sha256:")) or "==" in line for line in lines)
    assert not [line for line in lines if "://" in line or "/" in line.partition("#")[0]]
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", "\n".join(lines), re.MULTILINE))
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {canonical(name): version for name, version in pins.items()}
    found = {canonical(name): version for name, version in locked.items()}
    assert (LIGHT | DEV) - {"torch"} <= found.keys(), "run make lock"  # which build of torch, TORCH= says
    differ = {name: (pinned[name], found[name]) for name in pinned.keys() & found.keys() if pinned[name] != found[name]}
    assert not differ, f"run make lock: {differ}"
    hashed = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", "\n".join(lines), re.MULTILINE)
    assert len(hashed) == len(found) > 100


# --- a fresh interpreter ----------------------------------------------------------------------------------------------

REFUSES = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
"""
HEAVY = {name for name, found in DISTRIBUTIONS.items() if {canonical(each) for each in found} & DEV}


def light_python(code: str, folder: Path, ours: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run code where only the packages of the light install can be imported, and ours from the folder ``ours``."""
    return subprocess.run(
        [sys.executable, "-c", REFUSES.format(heavy=sorted(HEAVY)) + code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ours)},
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = ("a,No pleural effusion.,No effusion.", "b,Cardiomegaly.,Mild cardiomegaly.", "c,Clear lungs.,Clear lungs.")
    (tmp_path / "mine.csv").write_text("study_id,generated,reference\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_a_file_is_scored_without_what_trains_and_describes(table: Path) -> None:
    assert {"torch", "lightning", "transformers", "torchmetrics", "pandas", "matplotlib"} <= HEAVY
    code = (
        "from ammrg.__main__ import main\n"
        "status = main(['score', 'mine.csv', '--bootstrap', '20', '--no-meteor'])\n"
        f"print('loaded:', sorted({HEAVY} & set(sys.modules)), status)"
    )
    done = light_python(code, table)
    assert done.returncode == 0, done.stderr
    assert "loaded: [] 0" in done.stdout
    assert {path.name for path in table.iterdir()} == {"mine.csv", "scores.json", "report.html"}


def test_several_files_are_ranked_without_what_trains_and_describes(table: Path) -> None:
    (table / "other.csv").write_text((table / "mine.csv").read_text().replace("Clear lungs.", "Effusion.", 1))
    code = (
        "from ammrg.__main__ import main\n"
        "status = main(['score', 'mine.csv', 'other.csv', '--bootstrap', '20', '--no-meteor'])\n"
        f"print('loaded:', sorted({HEAVY} & set(sys.modules)), status)"
    )
    done = light_python(code, table)
    assert done.returncode == 0, done.stderr
    assert "loaded: [] 0" in done.stdout
    assert (table / "ranking" / "ranking.html").is_file()


def test_values_of_studies_ask_for_pandas_where_it_is_not_there(tmp_path: Path) -> None:
    code = (
        "from ammrg import per_study\n"
        "try:\n    per_study(['a'], references=['a'])\n"
        "except ImportError as error:\n    print(error)"
    )
    done = light_python(code, tmp_path)
    said = "the package pandas is not installed; in a clone of AM-MRG, install it with: pip install '.[tables]'\n"
    assert done.stdout == said, done.stderr


def test_importing_the_package_loads_no_other(tmp_path: Path) -> None:
    done = light_python(
        "import ammrg; print(sorted({'numpy', 'rich', 'torch'} & set(sys.modules)), ammrg.__all__)", tmp_path
    )
    assert done.stdout == "[] ['ReportGenerator', '__version__', 'evaluate', 'per_study']\n"


@pytest.mark.parametrize(
    "words", ["score mine.csv --chexbert gone", "score mine.csv --bertscore gone", "describe film.png --model gone"]
)
def test_a_command_whose_packages_are_not_there_says_how_to_install_them(table: Path, words: str) -> None:
    code = f"from ammrg.__main__ import main; (sys.exit(main({words.split()})))"
    done = light_python(code, table)
    assert done.returncode == 1
    said = (
        r"\nerror: the package \w+ is not installed; in a clone of AM-MRG, "
        r"install it with: pip install '\.\[models\]'\n"
    )
    assert re.fullmatch(said, done.stderr)


def test_a_public_name_whose_packages_are_not_there_is_an_import_error(tmp_path: Path) -> None:
    code = (
        "try:\n    from ammrg import ReportGenerator\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = light_python(code, tmp_path)
    said = r"MissingPackageError the package \w+ is not .* pip install '\.\[models\]'\n"
    assert re.fullmatch(said, done.stdout), done.stderr


def test_a_missing_module_of_ours_is_no_package_to_install(tmp_path: Path) -> None:
    code = "from ammrg.extras import needs_extra\nwith needs_extra('models'):\n    import ammrg.never_there"
    done = light_python(code, tmp_path)
    assert "ModuleNotFoundError: No module named 'ammrg.never_there'" in done.stderr.splitlines()[-1]
    assert "pip install" not in done.stderr
