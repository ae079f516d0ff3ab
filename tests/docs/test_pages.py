"""The pages fit together: links lead somewhere, the site lists every page, the reference names what there is."""

from __future__ import annotations

import configparser
import importlib
import re
import unicodedata
from pathlib import Path

import pytest
import yaml

from neurofit import errors

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)")
PACKAGES = (
    "neurofit.features",
    "neurofit",
    "neurofit.datasets",
    "neurofit.plotting",
    "neurofit.scores",
    "neurofit.models.baselines",
)
WITH_TENSORFLOW = (
    "neurofit.models",
    "neurofit.models.architectures",
    "neurofit.models.inspection",
    "neurofit.models.layers",
    "neurofit.models.regularizers",
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {_slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def _slug(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def documented(page: Path) -> list[str]:
    return re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def resolved(name: str):
    """The object of this dotted name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name} is not a name of neurofit")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_to_a_page_and_a_heading(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.is_file(), f"{page.name}: {target} leads nowhere"
        assert not anchor or anchor in anchors(aim), f"{page.name}: {target} has no such heading"


def test_the_site_lists_every_page_once():
    def listed(entry):
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [page for value in values for page in listed(value)]

    nav = listed(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def needs_tensorflow(name: str) -> bool:
    return name.startswith("neurofit.models.") and not name.startswith("neurofit.models.baselines.")


@pytest.mark.parametrize("page", sorted((DOCS / "api").glob("*.md")), ids=lambda page: page.stem)
def test_every_name_of_the_reference_is_there(page):
    for name in documented(page):
        if not needs_tensorflow(name):
            resolved(name)


@pytest.mark.slow
def test_every_name_of_the_reference_that_needs_tensorflow_is_there():
    for page in (DOCS / "api").glob("*.md"):
        for name in documented(page):
            resolved(name)


def public(package: str) -> list[str]:
    """Its public functions and classes."""
    module = importlib.import_module(package)
    return [f"{package}.{name}" for name in module.__all__ if callable(getattr(module, name))]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads_and_is_in_the_reference(package):
    pages = {name for page in (DOCS / "api").glob("*.md") for name in documented(page)}
    assert set(public(package)) <= pages


@pytest.mark.slow
@pytest.mark.parametrize("package", WITH_TENSORFLOW)
def test_every_public_name_of_models_loads_and_is_in_the_reference(package):
    pages = {name for page in (DOCS / "api").glob("*.md") for name in documented(page)}
    assert package in pages or set(public(package)) <= pages


def test_the_architecture_page_names_modules_and_what_is_in_them():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where is it?")[2].partition("## The tree")[0]
    named = re.findall(r"`([\w/]+\.py)`(?:, (?:function|class|method) `(\w+)`)?", table)
    assert len(named) > 10
    for path, name in named:
        source = (REPOSITORY / "neurofit" / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^ *(?:def|class) {name}\b", source, re.MULTILINE), (path, name)
    for path in re.findall(
        r"`((?:store|backends|worker|status|orchestrate|tables|experiments|cli)/[\w/]+\.py)`", page
    ):
        assert (REPOSITORY / "neurofit" / path).is_file(), path


def test_the_page_of_errors_has_every_error_with_its_base_and_exit_code():
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \|.*\| (\d+)[^|]* \|$",
        (DOCS / "api" / "errors.md").read_text(),
        re.MULTILINE,
    )
    classes = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.NeurofitError)
    ]
    assert {name: (base, int(code)) for name, base, code in rows} == {
        one.__name__: (one.__bases__[0].__name__, 128 if one is errors.Interrupted else one.exit_code)
        for one in classes
    }


def test_the_page_on_installing_has_every_extra():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    table = (DOCS / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(setup["options.extras_require"])
