# SPDX-License-Identifier: Apache-2.0
"""MkDocs's hooks: the pages that are made of files outside of docs/, and the links between all of them.

A page of docs/ keeps its links, which are right in the repository too. Here a link to a file outside of docs/ leads to a page with
that file: a Markdown file becomes a page, any other file a page that shows its text.
"""
import pathlib
import posixpath
import re
import sys

from mkdocs.structure.files import File

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cpp_reference  # noqa: E402
import program_reference  # noqa: E402
import python_reference  # noqa: E402
import specification_reference  # noqa: E402

PROJECT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)
HOME = {"README.md": "index.md"}
LANGUAGES = {".cpp": "cpp", ".h": "cpp", ".hpp": "cpp", ".cu": "cuda", ".cuh": "cuda", ".c": "c", ".py": "python", ".json": "json"}


def page_of(source):
    """The site's page for a file of the project, both as paths with slashes."""
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    if source in HOME:
        return HOME[source]
    return source if source.endswith(".md") else f"files/{source}.md"


def prose_of(text):
    """The parts of a page that are not fenced code, with their positions."""
    end = 0
    for fence in FENCE.finditer(text):
        yield end, fence.start()
        end = fence.end()
    yield end, len(text)


def targets_of(source, text):
    """The files of the project that a Markdown file links."""
    for begin, end in prose_of(text):
        for link in LINK.finditer(text, begin, end):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))


def relinked(source, text):
    """The text of a file's page, whose links lead to pages of the site."""
    here = posixpath.dirname(page_of(source)) or "."

    def replace(link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return posixpath.relpath(page_of(target), here) + (link[2] or "")

    parts, end = [], 0
    for begin, stop in prose_of(text):
        parts += [text[end:begin], LINK.sub(replace, text[begin:stop])]
        end = stop
    return "".join(parts)


def shown(source):
    """A page that shows a file."""
    language = LANGUAGES.get(pathlib.PurePosixPath(source).suffix, "text")
    text = (PROJECT / source).read_text()
    fence = "~" * max(4, *(len(run) + 1 for run in re.findall("~+", text))) if "~~~" in text else "~~~~"
    return f"---\nsearch: {{exclude: true}}\n---\n# {source}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def on_files(files, config):
    made = {**cpp_reference.pages(PROJECT), **python_reference.pages(PROJECT), **program_reference.pages(),
            **specification_reference.pages(PROJECT)}
    wanted = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/RESULTS.md", "examples/trainer/README.md"]
    for file in files.documentation_pages():
        wanted += targets_of(f"docs/{file.src_uri}", pathlib.Path(file.abs_src_path).read_text())
    while wanted:
        source = wanted.pop()
        page = page_of(source)
        if page in made or source.startswith("docs/") or not (PROJECT / source).is_file():
            continue  # MkDocs reports links to what does not exist
        if source.endswith(".md"):
            text = (PROJECT / source).read_text()
            made[page] = relinked(source, text)
            wanted += targets_of(source, text)
        else:
            made[page] = shown(source)
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    if page.file.generated_by is not None:
        return markdown
    return relinked(f"docs/{page.file.src_uri}", markdown)
