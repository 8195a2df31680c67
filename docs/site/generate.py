"""Pages of the site that code writes: the reference of commands, settings and the HTTP API; a hook of MkDocs.

Links that leave docs/ (to the README, to examples) lead readers of the repository; the site has no such files, so they
become plain words there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import impasto
from impasto.cli.commands import app
from impasto.cli.manual import commands_of, options_of
from impasto.settings import PRESETS, QUALITIES, Settings


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that code writes."""
    pages = {"commands": commands(), "settings": settings(), "python": python(), "http": http()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **named: Any) -> str:
    """Links out of docs/ as plain words."""
    depth = page.file.src_uri.count("/") + 1
    return re.sub(rf"(?<!!)\[([^\]]+)\]\((?:\.\./){{{depth}}}[^)]*\)", r"\1", markdown)


def python() -> str:
    """All that `import impasto` offers, where it is defined."""
    rows = ["# Python", "", "All that `import impasto` offers.", ""]
    for name in impasto.__all__:
        offered = getattr(impasto, name)
        if hasattr(offered, "__qualname__"):
            rows.append(f"::: {offered.__module__}.{offered.__qualname__}")
    return "\n".join(rows)


def commands() -> str:
    """Every command and its options."""
    return "\n".join(["# Commands", "", f"Of impasto {impasto.__version__}.", "", *_commands()])


def _commands() -> Iterator[str]:
    for command in commands_of(app):
        yield from (f"## impasto {command}", "", app[command].help, "")
        options = options_of(app, command)
        if options:
            yield from ("| option | what it does | default |", "| --- | --- | --- |")
        for option in options:
            yield f"| `{option.names}` | {_cell(option.help)} | {_cell(option.default)} |"
        yield ""


def settings() -> str:
    """Every setting, quality and preset."""
    rows = [
        "# Settings",
        "",
        "The same words on the command line (`--style-scale`), in Python and in the HTTP API.",
        "",
    ]
    for f in fields(Settings):
        about = f.metadata
        rows += [f"## `{f.name}`", "", f"{about['help'][0].upper()}{about['help'][1:]}.", ""]
        if about["minimum"] is not None:
            rows.append(f"- from {about['minimum']:.10g} to {about['maximum']:.10g}")
        if about["choices"]:
            rows.append(f"- {'or ' if about['minimum'] is not None else ''}one of: {', '.join(about['choices'])}")
        if about["several"]:
            rows.append("- one for all paintings, or one for each: `2,0.5`")
        rows += [f"- default: `{f.default}`", ""]
    rows += ["# Qualities", "", *(f"- **{name}**: {quality.help}" for name, quality in QUALITIES.items()), ""]
    rows += ["# Presets", "", *(f"- **{n}**: {p.help} (`{dict(p.settings)}`)" for n, p in PRESETS.items()), ""]
    return "\n".join(rows)


def http() -> str:
    """The HTTP API, from the description that the server gives of itself."""
    from fastapi import FastAPI

    from impasto.web.api import router

    described = FastAPI()
    described.include_router(router)
    api = described.openapi()
    rows = ["# HTTP", "", 'What [the studio](../studio.md) answers under `/api`; errors are `{"error": "..."}`.', ""]
    for path, methods in api["paths"].items():
        for method, about in methods.items():
            rows += [f"## `{method.upper()} {path}`", "", about.get("description", ""), ""]
            rows += _fields(about, api)
    return "\n".join(rows)


def _fields(about: dict[str, Any], api: dict[str, Any]) -> Iterator[str]:
    rows = [
        (p["name"], p.get("description") or p["schema"].get("description", "")) for p in about.get("parameters", [])
    ]
    for content in about.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        properties = api["components"]["schemas"].get(name, {}).get("properties", {})
        rows += [(field, value.get("description", "")) for field, value in properties.items()]
    if rows:
        yield from ("| field | what it is |", "| --- | --- |")
        yield from (f"| `{field}` | {_cell(text)} |" for field, text in rows)
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
