#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the recipes in packaging/ with the project: the version, the options that they set, and Python's requirements.

    recipes_test.py PROJECT
"""
import ast
import json
import pathlib
import re
import sys
import tomllib

project = pathlib.Path(sys.argv[1])
recipes = project / "packaging"
version = re.search(r'define FANIN_VERSION "([^"]+)"', (project / "include/fanin/version.h").read_text())[1]
conda = (recipes / "conda/recipe.yaml").read_text()
spack = (recipes / "spack/packages/fanin/package.py").read_text()
port = (recipes / "vcpkg/fanin/portfile.cmake").read_text()
manifest = json.loads((recipes / "vcpkg/fanin/vcpkg.json").read_text())


def same(what, found, expected):
    assert found == expected, f"{what}: {found}, but the project has {expected}"


same("the conda recipe's version", re.search(r"^  version: (\d.*)$", conda, re.M)[1], version)
same("the vcpkg manifest's version", manifest["version"], version)
calls = [node for node in ast.walk(ast.parse(spack)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
same("Spack's newest version", next(call.args[0].value for call in calls if call.func.id == "version"), version)
same("the changelog's newest version", re.search(r"^## (\S+?),?\s", (project / "CHANGELOG.md").read_text(), re.M)[1], version)

# Options that a recipe sets exist, so that a renamed one is not silently ignored.
scripts = "".join(path.read_text() for path in [project / "CMakeLists.txt", *sorted((project / "cmake").glob("*.cmake"))])
options = set(re.findall(r"(?:option|set|cmake_dependent_option)\((FANIN_\w+)", scripts))
for name, text in {"conda": conda, "spack": spack, "vcpkg": port}.items():
    used = set(re.findall(r"FANIN_[A-Z_]+", text))
    assert used and used <= options, f"the recipe for {name} sets {sorted(used - options)}, which the project does not have"

python = tomllib.loads((project / "pyproject.toml").read_text())
needs = [f"python {python['project']['requires-python']}", *python["project"]["dependencies"], *python["build-system"]["requires"]]
for need in needs:
    package, limits = re.match(r"([\w-]+)\s*(.*)", need).groups()
    assert f"- {package} {limits}\n" in conda, f"the conda recipe does not ask for {package} {limits}"
cmake = re.search(r"cmake_minimum_required\(VERSION ([\d.]+)\)", scripts)[1]
assert conda.count(f"- cmake >={cmake}\n") == 2 and f"cmake@{cmake}:" in spack, f"a recipe does not ask for CMake {cmake}"
print(f"the recipes are those of fanin {version}")
