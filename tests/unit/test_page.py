import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from unit.page_findings import HOSTILE, findings, mixed, without, written
from unlazy.data.photos import CREDITS
from unlazy.report import panels
from unlazy.report.meanings import meaning
from unlazy.report.numbers import tables
from unlazy.report.page import render, write_maps, write_page

PARTS = ("Query norms", "Key norms", "Value norms")


class Elements(HTMLParser):
    """Start tags with their attributes, and the visible text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def of(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]

    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page():
    return render([findings()])


def test_the_page_is_one_whole_file(tmp_path):
    path = write_page([findings()], tmp_path / "new")
    assert path == tmp_path / "new" / "index.html"
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]
    assert path.stat().st_size < 3_000_000


def test_nothing_is_fetched(page):
    found = Elements(page)
    for tag, attributes in found.tags:
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            address = attributes.get(key) or "#"
            assert address.startswith(("data:", "#")), (tag, address)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_hostile_names_stay_text(page):
    assert HOSTILE not in page
    found = Elements(page)
    assert len(found.of("script")) == 1
    assert not any("onerror" in attributes for attributes in found.of("img"))
    assert HOSTILE in html.unescape(page)
    assert "the file is <b>empty</b>" in found.text()


def test_the_verdict_comes_before_all_figures_and_says_random(page):
    order = ["verdict", "facts", "maps", "norms", "blocks", "qkv", "neighbours", "places"]
    order += ["numbers", "skipped", "record"]
    places = [page.index(f'<section id="{name}"') for name in order]
    assert places == sorted(places)
    assert "The weights of this model are random" in page[places[0] : places[1]]


def test_captions_of_small_maps_tell_pictures_apart(page):
    strips = page[page.index('<section id="qkv"') : page.index('<section id="neighbours"')]
    assert "<figcaption>path.jpg</figcaption>" in strips
    assert "norms of forest/path.jpg" in strips


def test_every_shown_picture_has_its_maps_block_by_block(page):
    blocks = page[page.index('<section id="blocks"') : page.index('<section id="qkv"')]
    found, names = findings(), findings().measured.names
    alts = [attributes["alt"] for attributes in Elements(blocks).of("img")]
    for index in found.shown:
        name = names[index]
        assert f"The photo {name}, small." in alts
        for layer in range(found.facts.depth):
            assert sum(alt.startswith(f"Norms of {name} after block {layer};") for alt in alts) == 1


def test_photos_stand_above_the_queries_keys_and_values(page):
    strips = page[page.index('<section id="qkv"') : page.index('<section id="neighbours"')]
    alts = [attributes["alt"] for attributes in Elements(strips).of("img")]
    rows = [[alt for alt in alts if words in alt] for words in ("The photo", *PARTS)]
    for place, index in enumerate(findings().shown):
        assert all(findings().measured.names[index] in row[place] for row in rows)


def test_blocks_of_a_comparison_stand_below_each_other_picture_by_picture():
    several = [findings(), findings("timm:other", 1)]
    panel = panels.block_strips(several)
    assert panel is not None
    assert [one.name for one in panel[1]] == [
        findings().measured.names[i] for i in several[0].shown
    ]
    for picture in panel[1]:
        assert [strip.label for strip in picture.strips] == ["timm:tiny", "timm:other"]
        assert all(len(strip.figures) == 1 + findings().facts.depth for strip in picture.strips)


def test_every_picture_has_words(page):
    pictures = Elements(page).of("img")
    assert len(pictures) > 4 * 7
    assert all(attributes["alt"] for attributes in pictures)


def test_every_number_is_on_the_page_and_explained():
    found = [(measure, key) for measure, row in findings().record.values.items() for key in row]
    assert not [pair for pair in found if not meaning(*pair)]
    assert sum(len(table.rows) for table in tables([findings()])) == len(found)
    text = Elements(render([findings()])).text()
    assert not [key for _, key in found if key not in text]


def test_the_record_is_shown_whole(page):
    text = Elements(page).text()
    for name in ("packages.torch", "view.fit", "weights_hash", "images_per_second", "dtype"):
        assert name in text


def test_a_comparison_has_a_column_a_model(tmp_path):
    text = written([findings(), findings("timm:<other>", 1)], tmp_path)
    found = Elements(text)
    assert "unlazy comparison" in found.text()
    assert "timm:<other>" in found.text()
    assert "timm:<other>" not in text
    assert "x median" in found.text()
    assert "multiples of each model's median" in found.text()


def test_a_model_without_attention_lacks_the_figure_and_the_page_says_why():
    bare = without(findings(), "attention", "qkv", "votes", "blocks", "neighbours", "patch_score")
    text = Elements(render([bare])).text()
    assert "Attention is not shown. This model has no attention" in text
    assert "no queries, keys and values" in text
    both = Elements(render([findings(), bare])).text()
    assert "timm:tiny: Attention is not shown" in both


def test_pictures_of_several_sizes_have_no_common_places():
    text = Elements(render([mixed()])).text()
    assert "The pictures have different grids" in text
    assert "Photo, 64 x 64" in text
    assert "Photo, 96 x 64" in text


def test_high_norms_that_do_not_exist_are_no_black_map():
    norms = findings().measured.seen["norms"].flat("before")
    assert norms.max() < 3 * np.median(norms)
    page = render([findings()])
    places = Elements(
        page[page.index('<section id="places"') : page.index('<section id="numbers"')]
    )
    assert "no patch of any picture is that high. over three medians" in places.text()
    assert [one["alt"] for one in places.of("img") if "three medians" in one["alt"]] == []
    assert [one["alt"] for one in places.of("img") if "top 2 %" in one["alt"]]


def named(name: str, source: str):
    """The same findings, as if the first shown picture were ``name`` of ``source``."""
    found = findings()
    names = found.measured.names | {found.shown[0]: name}
    return dataclasses.replace(
        found,
        measured=dataclasses.replace(found.measured, names=names),
        record=dataclasses.replace(found.record, data={"source": source}),
    )


def test_bundled_photographs_name_their_photographer_and_licence():
    text = Elements(render([named("china", "data:photos data:scenes")])).text()
    assert f"Photograph: {CREDITS['china']}." in text
    assert text.count("Photograph:") == 1
    assert "Photograph:" not in Elements(render([named("china", "china/")])).text()


def test_high_resolution_is_a_section_of_its_own(page):
    assert 'id="high"' not in page
    high = render([dataclasses.replace(findings(), high=findings())])
    section = high[high.index('id="high"') : high.index('id="numbers"')]
    assert 'class="verdict"' in section


def test_no_findings_are_refused():
    with pytest.raises(ValueError, match="at least one model"):
        render([])


def test_maps_are_pictures_with_safe_names(tmp_path):
    paths = write_maps(findings(), tmp_path / "maps")
    assert len(paths) == 4 * (6 + 3 + 1)
    for path in paths:
        assert re.fullmatch(r"\d{5}[A-Za-z0-9_-]*\.(png|jpg)", path.name)
        assert path.parent == tmp_path / "maps"
        assert np.asarray(Image.open(path)).size > 0


def test_a_folder_that_cannot_be_written_raises(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_page([findings()], tmp_path / "file")


def test_a_comparison_begins_with_the_numbers_that_tell_models_apart(page):
    one, other = findings(), dataclasses.replace(findings(), label="another")
    compared = render([one, other])
    assert compared.index("At a glance") < compared.index("What was found")
    first = compared[compared.index('id="glance"') : compared.index('id="verdict"')]
    assert "max_over_median" in first
    assert first.count('data-model="another"') == len(re.findall("<tr>", first)) - 1
    assert "At a glance" not in page
