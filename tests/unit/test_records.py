"""Records of claims and sweeps on the page of their model: shown as they are, or refused."""

import dataclasses
import html
import json
import re
import shlex
from functools import cache

import pytest

from planted import Pictures, photos, plant
from unit.claim_evidence import COUNT, model, observed
from unit.page_findings import findings
from unlazy.benchmarks.probe_sweep import ThresholdSweep
from unlazy.fixes.baselines import NormClipping
from unlazy.ledger import Estimate
from unlazy.report.beside import sweeps, table
from unlazy.report.claims.answer import answers_of
from unlazy.report.claims.judge import judge, write_records
from unlazy.report.energy import Energy
from unlazy.report.meanings import interval, readable
from unlazy.report.page import render
from unlazy.report.probe import run_probes
from unlazy.report.record import NoRecord, plain, read_record
from unlazy.report.records import of_model, read
from unlazy.settings import override

SWEEP = ThresholdSweep(rates=(1.0, 2.0), seeds=1, epochs=1, batch=16, pictures=None)


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    """A folder of `unlazy claims`: a model, the same with random weights, and another."""
    folder = tmp_path_factory.mktemp("claims")
    write_records(judge([observed(high=True)]), folder, ["-net"], Energy())
    control = {"weights": "random", "control": True, "weights_hash": "0123456789abcdef"}
    other = {"name": "timm:other", "weights_hash": "fedcba9876543210"}
    for name, model_of in (("-net-random-weights", control), ("-other", other)):
        content = json.loads((folder / "record-net.json").read_text())
        content["model"] |= model_of
        (folder / f"record{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A folder of `unlazy probe`."""
    folder = tmp_path_factory.mktemp("probe")
    evaluated, training = (Pictures(photos(24, 64, seed=seed)) for seed in (0, 1))
    [outcome] = run_probes([SWEEP], planted(), evaluated, training, source="drawn", seed=3)
    outcome.record.write(folder / "threshold-sweep.json")
    return folder


@cache
def planted():
    """The model that the Records are of."""
    backbone = model()
    return plant(backbone, backbone.normalise(photos(COUNT, 64)))


def shown(*places):
    beside = of_model(read(places), planted(), model="file:runs/net")
    return render([dataclasses.replace(findings(), beside=beside)])


@pytest.fixture(scope="module")
def page(claims, probe):
    return shown(claims, probe)


def section(page, name):
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    assert found, name
    words = re.sub(r"<svg.*?</svg>", "", found[0], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", words)).replace("\xa0", " ").split())


def changed(path, folder, change):
    """A copy of a Record with another content."""
    content = json.loads(path.read_text())
    change(content)
    (folder / path.name).write_text(json.dumps(content))
    return folder


def test_claims_show_verdict_statistics_and_origin(page, claims):
    text = section(page, "claims")
    answers = answers_of(read_record(claims / "record-net.json").benchmark["claims"])
    assert [answer.claim for _, answer in answers] == [1, 2, 3, 4, 5]
    for claim, answer in answers:
        assert f"{claim.number}. {claim.title}" in text
        assert f"{answer.verdict} {answer.reason}" in text
        for each in answer.statistics:
            row = f"{each.label} {readable(each.found.value)} {interval(each.found)}"
            assert row.strip() in text
    assert f"{COUNT} pictures of drawn; judged together with" in text


def test_a_sweep_shows_every_set_and_origin(page, probe):
    text, found = section(page, "sweep"), page[page.index('<section id="sweep"') :]
    values = read_record(probe / "threshold-sweep.json").values["threshold_sweep"]
    for said, name in (
        *(("all tokens", "top100"), ("highest 50 %", "top50"), ("highest 2 %", "top2")),
        *(("tenth 1, lowest norms", "decile1"), ("tenth 10, highest norms", "decile10")),
    ):
        top1, tokens = values[f"top1/{name}"], values[f"tokens/{name}"]
        row = text[text.index(f"{said} {readable(top1.value)}") :]
        assert interval(top1) in row[:60]
        assert readable(tokens.value) in row[:200]
    assert found.count("<svg") == 3
    assert "24 pictures of drawn; learned from 24 training pictures" in text
    assert len(re.findall(r"(highest|tenth) \d", text)) == 7 + 10


def test_records_add_two_sections_and_change_nothing_else(page, claims):
    without = render([findings()])
    assert 'id="claims"' not in without
    assert 'id="sweep"' not in without
    parts = r'\n<section id="(?:claims|sweep)">.*?</section>\n'
    assert re.sub(parts, "", page, flags=re.DOTALL) == without
    assert page.index('id="places"') < page.index('id="claims"') < page.index('id="numbers"')
    assert 'id="sweep"' not in shown(claims)


def test_the_record_of_this_model_is_taken_from_several(claims):
    [only] = of_model(read([claims]), planted(), model="file:net")
    assert only.path.name == "record-net.json"
    assert only.others == ("file:net, random weights", "timm:other")
    assert of_model(read([only.path, claims]), planted(), model="file:net") == (only,)


def test_a_record_that_was_written_reads_as_it_was(claims, probe):
    for path in (claims / "record-net.json", probe / "threshold-sweep.json"):
        assert read_record(path).to_json() == path.read_text()
    read_again = answers_of(read_record(claims / "record-net.json").benchmark["claims"])
    for (_, found), answer in zip(read_again, judge([observed(high=True)])[0].answers, strict=True):
        assert plain(found) == plain(answer)


def test_what_was_not_a_number_is_said_as_such(probe, tmp_path):
    def change(content):
        content["values"]["threshold_sweep"]["top1/top2"]["value"] = None

    changed(probe / "threshold-sweep.json", tmp_path, change)
    [one] = of_model(read([tmp_path]), planted(), model="file:net")
    [sweep] = sweeps([dataclasses.replace(findings(), beside=(one,))])
    [cells] = [cells for name, cells in sweep["table"].groups[0] if name == "highest 2 %"]
    assert cells[0].value == "not defined"


def test_a_record_with_what_is_no_number_is_not_judged_with_itself(claims, tmp_path):
    def change(content):
        content["values"]["norms"]["max"]["value"] = None

    changed(claims / "record-net.json", tmp_path, change)
    [only] = of_model(read([tmp_path]), planted(), model="file:net")
    assert only.others == ()


def test_the_command_measures_the_same_again(claims, probe):
    [sweep] = of_model(read([probe]), planted(), model="file:runs/net", options=["--size", "64"])
    words = shlex.split(sweep.command)
    assert words[:4] == ["unlazy", "probe", "file:runs/net", "threshold-sweep"]
    assert words[4:8] == ["--size", "64", "--on", "drawn"]
    assert words[-2:] == ["--seed", "3"]
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert override(ThresholdSweep(), settings) == SWEEP
    [judged] = of_model(read([claims]), planted(), model="file:runs/net")
    assert shlex.split(judged.command) == [
        *("unlazy", "claims", "file:runs/net", "timm:other", "--random"),
        *("--on", "drawn", "--pictures", str(COUNT)),
    ]


def test_data_in_a_folder_are_named_by_a_root(probe, tmp_path):
    def change(content):
        content["data"]["source"] = "tiny-imagenet:val"

    place = changed(probe / "threshold-sweep.json", tmp_path, change)
    [found] = of_model(read([place]), planted(), model="net")
    assert "--data ROOT --on tiny-imagenet:val" in found.command


def test_other_models_are_refused_by_both_names(claims, probe, tmp_path):
    other = model(name="file:other", registers=1)
    for place, names in ((claims, ["file:net", "timm:other"]), (probe, ["file:net"])):
        with pytest.raises(ValueError, match="this report is of file:other, weights") as said:
            of_model(read([place]), other, model="file:other")
        assert all(f"{name}, weights" in str(said.value) for name in names)
        assert "\n" not in str(said.value)
        assert "(other weights)" in str(said.value)

    def larger(content):
        content["model"] |= {"size": [128, 128], "name": "file:larger"}

    place = changed(probe / "threshold-sweep.json", tmp_path, larger)
    with pytest.raises(ValueError, match=r"file:larger.*file:net.*\(other size\)"):
        of_model(read([place]), planted(), model="file:net")


def test_the_same_weights_under_another_name_are_the_same_model(probe, tmp_path):
    def change(content):
        content["model"] |= {"name": "file:copy", "weights": "copy.pth"}

    place = changed(probe / "threshold-sweep.json", tmp_path, change)
    assert of_model(read([place]), planted(), model="file:net")


def test_another_fix_is_refused(probe, tmp_path):
    """Also the same one with other settings: it was calibrated on other pictures."""
    fixed, other = (NormClipping(cutoff=each).apply(planted()) for each in (1.0, 2.0))
    pictures = Pictures(photos(12, 64))
    [outcome] = run_probes([SWEEP], fixed, pictures, pictures, source="drawn")
    outcome.record.write(tmp_path / "threshold-sweep.json")
    found = read([tmp_path])
    assert of_model(found, fixed, model="fixed:clipped")
    for backbone in (planted(), other):
        with pytest.raises(ValueError, match=r"under norm-clipping; this report.*\(other fix\)"):
            of_model(found, backbone, model="file:net")
    with pytest.raises(ValueError, match=r"this report is of .* under norm-clipping"):
        of_model(read([probe]), fixed, model="fixed:clipped")


def cut(path, folder):
    (folder / path.name).write_text(path.read_text()[:-40])
    return folder


def without_verdicts(path, folder):
    return changed(path, folder, lambda content: content["benchmark"]["claims"][2].pop("verdict"))


def four(path, folder):
    return changed(path, folder, lambda content: content["benchmark"]["claims"].pop())


def odd(path, folder):
    return changed(
        path, folder, lambda content: content["benchmark"]["claims"][0].update(verdict="perhaps")
    )


def no_data(path, folder):
    return changed(path, folder, lambda content: content.update(data=[]))


@pytest.mark.parametrize("damage", [cut, without_verdicts, four, odd, no_data])
def test_damaged_records_are_refused_in_one_line(claims, tmp_path, damage):
    place = damage(claims / "record-net.json", tmp_path)
    with pytest.raises(ValueError, match=r"record-net\.json is (damaged|no whole Record)") as said:
        read([place])
    assert "\n" not in str(said.value)
    assert "measure it again, or leave it out" in str(said.value)


def test_a_sweep_without_numbers_is_refused(probe, tmp_path):
    def change(content):
        del content["values"]["threshold_sweep"]

    with pytest.raises(ValueError, match="no whole Record"):
        read([changed(probe / "threshold-sweep.json", tmp_path, change)])


def test_places_without_such_records_are_refused(probe, tmp_path):
    with pytest.raises(ValueError, match=r"there is no .*unlazy probe MODEL threshold-sweep"):
        read([tmp_path / "nowhere"])
    (tmp_path / "boxes.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no Record of the claims or a threshold sweep"):
        read([tmp_path])
    changed(
        probe / "threshold-sweep.json", tmp_path, lambda one: one["benchmark"].update(name="pixels")
    )
    with pytest.raises(ValueError, match="holds Records of pixels, but none of the claims"):
        read([probe, tmp_path])
    with pytest.raises(NoRecord, match="is no Record"):
        read_record(tmp_path / "boxes.json")


def test_a_sweep_of_pixels_has_errors_and_no_distance():
    values = {f"{key}/top{top}": Estimate(1.0) for key in ("error", "tokens") for top in (100, 2)}
    found = table(values)
    assert found.headings == ("squared error of a patch", "tokens")
    assert [name for name, _ in found.groups[0]] == ["all tokens", "highest 2 %"]
    assert found.groups[1] == ()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page)
    return path.as_uri()


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1200])
def test_the_sections_fit_without_scrolling(visit_alone, width):
    opened = visit_alone(width, "light")
    assert opened.locator("#claims .badge").count() == 5
    rights = opened.eval_on_selector_all(
        "#claims td, #sweep td, #claims th[scope=row], #sweep th[scope=row]",
        "all => all.map(one => one.getBoundingClientRect().right)",
    )
    assert max(rights) <= width
