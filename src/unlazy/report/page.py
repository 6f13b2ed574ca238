"""The page: one self-contained HTML file of one model, or of several side by side."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unlazy.report import beside, figures, numbers, panels
from unlazy.report.colours import photo
from unlazy.report.findings import Findings
from unlazy.report.kinds import ATTENTION, KINDS, NORM, QKV
from unlazy.report.verdict import Sentence, kind_of, norm_sentence, verdict
from unlazy.whole_files import write_whole

HERE = Path(__file__).parent
NAME_LENGTH = 40


def write_page(several: Sequence[Findings], out: Path) -> Path:
    """Write ``index.html`` into the folder ``out``: a report, or for two or more a comparison.

    Returns:
        The path of the page.

    Raises:
        ValueError: there are no findings, or none of the pictures is shown.
        OSError: the folder cannot be written.
    """
    path = out / "index.html"
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, render(several).encode())
    return path


def render(several: Sequence[Findings]) -> str:
    """The page as text."""
    if not several or not several[0].shown:
        raise ValueError("a page needs at least one model with at least one shown picture")
    return fill("page.html.j2", _content(several))


def fill(template: str, content: Mapping[str, Any]) -> str:
    """A template of this folder with style and script inside, so that it stands alone."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (HERE / "page.js").read_text()
    return pages.get_template(template).render(
        style=(HERE / "page.css").read_text(),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **content,
    )


def write_maps(findings: Findings, folder: Path) -> list[Path]:
    """Write the maps of every shown picture as PNG, its photo as JPEG; returns the paths.

    Names are the index and what is safe of the picture's name.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[Path, bytes] = {}
    for layer in figures.layers([findings], (*KINDS, *QKV)):
        for index, one in layer.maps[0].items():
            path = folder / f"{_safe(findings, index)}_{layer.kind.key}.png"
            contents[path] = layer.paint(one)
    pictures = findings.measured.seen.get("pictures")
    if pictures is not None:
        for index, pixels in pictures.kept.get("pixels", {}).items():
            contents[folder / f"{_safe(findings, index)}_photo.jpg"] = photo(pixels)
    for path, content in contents.items():
        write_whole(path, content)
    return sorted(contents)


def _safe(findings: Findings, index: int) -> str:
    stem = Path(findings.measured.names[index]).stem
    return f"{index:05d}_{re.sub(r'[^A-Za-z0-9-]+', '-', stem)[:NAME_LENGTH].strip('-')}".strip("_")


def _content(several: Sequence[Findings]) -> dict[str, Any]:
    """All that the template shows."""
    compare = len(several) > 1
    high = [each.high for each in several if each.high is not None]
    layers, qkv_layers = figures.layers(several, KINDS), figures.layers(several, QKV)
    high_layers = figures.layers(high, (NORM, ATTENTION))
    return {
        "title": " and ".join(each.label for each in several),
        "kind": "comparison" if compare else "report",
        "first": "verdict",
        "compare": compare,
        "models": [_model(each) for each in several],
        "legends_of_maps": panels.legends(layers),
        "shown": panels.shown(several, layers),
        "absent": _absent(several),
        "plots": _plots(several),
        "blocks": panels.block_strips(several),
        "qkv_legends": panels.legends(qkv_layers),
        "qkv": panels.qkv_strips(several, qkv_layers),
        "places": panels.outlier_strips(several),
        "high_legends": panels.legends(high_layers),
        "high_verdicts": [(each.label, _norms_of(each)) for each in high],
        "high": panels.shown(high, high_layers) if high else (),
        "claims": beside.claims(several),
        "sweeps": beside.sweeps(several),
        "tables": numbers.tables(several),
        "glance": numbers.glance(several),
    }


def _norms_of(findings: Findings) -> Sentence | None:
    values = findings.record.values
    return norm_sentence(values, kind_of(values))


def _model(findings: Findings) -> dict[str, Any]:
    """Facts, verdict and circumstances of one model."""
    facts, record = findings.facts, findings.record
    values, used = record.values, len(findings.measured.names)
    plain = json.loads(record.to_json())
    rest = ("benchmark", "fix", "data", "parameters", "timing", "environment", "model")
    return {
        "label": findings.label,
        "random": facts.weights == "random",
        "verdict": verdict(values, facts, kind_of(values), used),
        "used": used,
        "fix": record.fix,
        "source": str(record.data.get("source", "")),
        "facts": _facts(findings),
        "skipped": record.skipped,
        "sections": [(name, numbers.flattened(plain[name])) for name in rest if plain[name]],
    }


def _facts(findings: Findings) -> list[tuple[str, str]]:
    """The few facts that a reader asks for first."""
    facts = findings.facts
    prefix = ["class token"] * facts.has_cls
    prefix += [f"{facts.num_registers} further (registers)"] * (facts.num_registers > 0)
    heads = f", {facts.heads} heads" if facts.heads else ", no attention"
    found = [
        ("Model", facts.name),
        ("Family", facts.family),
        ("Weights", facts.weights),
        ("Supervision", facts.supervision),
        ("Size", f"{facts.depth} blocks, width {facts.dim}{heads}"),
        ("Patches", f"{facts.patch[1]} x {facts.patch[0]} pixels each"),
        ("Native picture", f"{facts.size[1]} x {facts.size[0]} pixels"),
        ("Tokens besides patches", ", ".join(prefix) or "none"),
        ("Positions", facts.position),
    ]
    if findings.record.fix is not None:
        found.append(("Fix applied", findings.record.fix))
    hashed = findings.record.model.get("weights_hash")
    return [*found, ("Hash of the weights", str(hashed))] if hashed else found


def _absent(several: Sequence[Findings]) -> list[str]:
    """One line for each kind of map that a model lacks."""
    lines = []
    for each in several:
        for kind in KINDS:
            reason = figures.missing(each, kind.measure)
            if reason:
                whose = f"{each.label}: " if len(several) > 1 else ""
                lines.append(f"{whose}{kind.title} is not shown. {reason}")
    return lines


def _plots(several: Sequence[Findings]) -> dict[str, list[tuple[str, str, str]]]:
    """Name -> (label, SVG, reason why there is none) of every model."""
    norm_axis = figures.common_axis(several, figures.relative_norms)
    neighbour_axis = figures.common_axis(several, figures.similarities)
    found: dict[str, list[tuple[str, str, str]]] = {"norms": [], "blocks": [], "neighbours": []}
    for turn, each in enumerate(several):
        drawn = {
            "norms": figures.histogram(each, name=f"norms{turn}", limits=norm_axis),
            "blocks": figures.block_plot(each, name=f"blocks{turn}"),
            "neighbours": figures.neighbour_plot(
                each, name=f"neighbours{turn}", limits=neighbour_axis
            ),
        }
        for name, svg in drawn.items():
            found[name].append((each.label, svg, figures.missing(each, name)))
    return found
