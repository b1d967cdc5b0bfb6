import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from tasks.report.data import CrossingRecording
from tasks.report.html.page import JobReport, UnusedRecording, page
from tests.unit.report.examples import LABELS, jobs_of, report_of

HOSTILE = '<script>alert("1")</script>&amp;\'"><img src=x onerror=alert(1)> $\\frac{1}{2}$ {{ 7 * 7 }}'
STRANGE = "\u202egnp.evil \x00\x1b[31m \udcff قُبَّرة 雲雀 " + "very" * 60


def parsed(text: str) -> ET.Element:
    """The page as a tree; raises if the page is not well-formed."""
    return ET.fromstring(text.replace("<!DOCTYPE html>", ""))


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(tree: ET.Element, name: str) -> str:
    found = tree.find(f".//section[@id='{name}']")
    assert found is not None, f"no section {name}"
    return words(found)


@pytest.fixture(scope="module")
def full() -> str:
    jobs = [*jobs_of("cnn"), *jobs_of("mlp", right=0.5), JobReport("train", "failed", "lstm", reason="loss is NaN")]
    return page(report_of(jobs))


def test_the_page_counts_survived_faults():
    facts = report_of().run
    met = {"claims lost with their worker": 1210, "retries": 3}
    text = words(parsed(page(report_of(run=replace(facts, faults=met)))))
    assert "faults 1,210 claims lost with their worker, 3 retries" in text
    assert "faults none" in words(parsed(page(report_of())))


def test_training_parameters_are_averaged_over_trainings():
    def trained(fold, epoch_s, device):
        parameters = {"parameters": 493_770, "epoch_s": epoch_s, "peak_rss_bytes": 947_367_936 + fold, "device": device}
        return JobReport("train", "done", "cnn", fold, 42, parameters=parameters)

    evaluated = JobReport("evaluate", "done", "cnn", 0, 42, parameters={"accuracy": 0.47023809523809523})
    several = words(parsed(page(report_of([trained(0, 1.5, "CPU"), trained(1, 2.123456, "GPU: x"), evaluated]))))
    assert (
        "Numbers that differ between trainings are averaged. parameters 493770 epoch_s 1.812 peak_rss_bytes 947400000"
        in several
    )
    assert "device CPU" not in several
    assert "0.4702" not in several, "a score of one fold is no parameter"
    one = words(parsed(page(report_of([trained(0, 1.5, "CPU")]))))
    assert "How cnn was trained parameters 493770 epoch_s 1.5 peak_rss_bytes 947367936 device CPU" in one


def test_a_page_refers_to_nothing_outside_itself(full):
    assert "http:" not in full
    assert "https:" not in full
    assert "<script" not in full
    targets = re.findall(r'(?:src|href|action|srcset|data)\s*=\s*"([^"]*)"', full) + re.findall(r"url\(([^)]*)\)", full)
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert "default-src 'none'" in full


def test_a_page_is_well_formed_and_its_links_have_targets(full):
    tree = parsed(full)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    for link in tree.iter("a"):
        assert link.get("href")[1:] in ids
    drawn_once = [name for name in ids if not re.fullmatch(r"f[0-9a-f]{10}.*", name)]
    assert len(drawn_once) == len(set(drawn_once))


def test_a_page_has_no_unclosed_element(full):
    open_tags = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag != "meta":
                open_tags.append(tag)

        def handle_startendtag(self, tag, attributes):
            assert tag in {"meta", "path", "use", "image", "rect", "g"}

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balance().feed(full)
    assert open_tags == []


def test_the_same_facts_give_the_same_bytes(full):
    jobs = [*jobs_of("cnn"), *jobs_of("mlp", right=0.5), JobReport("train", "failed", "lstm", reason="loss is NaN")]
    assert page(report_of(jobs)) == full


def test_figures_have_alternative_texts_and_tables_captions(full):
    tree = parsed(full)
    figures = list(tree.iter("svg"))
    assert len(figures) > 5
    assert all(figure.get("role") == "img" and figure.get("aria-label") for figure in figures)
    assert all(table.find("caption") is not None for table in tree.iter("table"))
    assert [element.tag for element in tree.iter("h1")] == ["h1"]


def test_the_verdict_names_the_best_model_and_the_majority_baseline(full):
    verdict = words(parsed(full).find(".//p[@class='verdict']"))
    assert verdict == (
        "cnn classifies 75 % of chunks and 75 % of unseen recordings correctly; "
        "always predicting the most frequent class would be correct for 33 % of chunks."
    )


def test_a_failed_training_is_listed_with_its_reason(full):
    tree = parsed(full)
    assert "train lstm failed: loss is NaN" in section(tree, "scores")
    assert "loss is NaN" in section(tree, "failures")


def test_a_leaky_split_is_called_dishonest_first():
    data = report_of(jobs_of("cnn"))
    leaky = replace(data, split=replace(data.split, leaks=("Copies of 3 files are in two subsets.",)))
    tree = parsed(page(leaky))
    assert words(tree.find(".//header/p")) == "This score is not honest."
    assert "This score is not honest: Copies of 3 files are in two subsets." in section(tree, "honest")
    assert "unseen" not in words(tree.find(".//header"))


def test_a_leaky_page_names_what_crosses_and_ticks_nothing():
    data = report_of(jobs_of("cnn"))
    crossing = (CrossingRecording("7.ogg", "wren", "7.ogg", "test"),)
    changes = {"leaks": ("1 group is in test and in training.",), "notes": ("1 author crosses: ana",)}
    facts = replace(data.split, crossing=crossing, n_crossing=1, crossing_groups=frozenset(["7.ogg"]), **changes)
    tree = parsed(page(replace(data, split=facts)))
    text = section(tree, "honest")
    assert "Tested recordings that cross: 1" in text
    assert "7.ogg" in text
    assert "1 author crosses: ana" in text
    ticked = [item for item in tree.find(".//section[@id='honest']").iter("li") if not item.get("class")]
    assert ticked == []
    # 119 of the 120 one-chunk recordings remain; number 7 was correct.
    left = words(tree.find(".//section[@id='honest']//table"))
    assert "74.8" in left
    assert "75.0" in left


def test_an_unchecked_split_is_not_called_honest():
    data = report_of(jobs_of("cnn"))
    tree = parsed(page(replace(data, split=replace(data.split, checks=()))))
    assert "Not checked" in section(tree, "honest")
    assert "unseen" not in words(tree.find(".//header"))


def test_the_page_says_if_a_model_is_not_better_than_guessing():
    text = words(parsed(page(report_of(jobs_of("cnn", right=0.35)))).find(".//header"))
    assert "not better than guessing" in text


def test_a_run_without_models_shows_its_data():
    tree = parsed(page(report_of()))
    assert "This run trained no model" in words(tree.find(".//header"))
    assert tree.find(".//section[@id='scores']") is None
    assert "blackcap" in section(tree, "data")


def test_a_run_without_a_finished_training_shows_the_reasons():
    failed = [JobReport("train", "failed", "cnn", reason="one class only"), JobReport("evaluate", "cancelled", "cnn")]
    tree = parsed(page(report_of(failed)))
    assert "No model could be evaluated" in words(tree.find(".//header"))
    assert "one class only" in section(tree, "scores")


def test_unfinished_jobs_are_not_failures():
    tree = parsed(page(report_of([JobReport("train", "waiting", "cnn"), JobReport("render", "running")])))
    assert tree.find(".//section[@id='failures']") is None
    assert "not evaluated yet" in section(tree, "scores")


def test_scores_of_several_folds_are_means_with_deviations():
    shares = (0.6, 0.65, 0.7, 0.75, 0.8)  # mean 70 %, sample deviation 7.9 %
    jobs = [job for fold, right in enumerate(shares) for job in jobs_of("cnn", fold=fold, right=right)]
    jobs += [job for fold in range(5) for job in jobs_of("mlp", fold=fold, right=0.5)]
    tree = parsed(page(report_of(jobs)))
    assert "70.0 ± 7.9 %" in section(tree, "scores")
    assert "on average over 5 folds" in words(tree.find(".//header"))
    assert "600 chunks of 600 test recordings, all folds together" in section(tree, "models")


def test_a_fold_that_failed_is_counted_as_missing():
    jobs = [*jobs_of("cnn", fold=0), *jobs_of("cnn", fold=1), JobReport("train", "failed", "cnn", 2, 42, "NaN")]
    assert "2 of 3" in section(parsed(page(report_of(jobs))), "scores")


@pytest.mark.parametrize("n_classes", [2, 200])
def test_a_page_works_with_two_and_two_hundred_classes(n_classes):
    labels = tuple(f"Genus species{number:03d}" for number in range(n_classes))
    text = page(report_of(jobs_of("cnn", labels), labels))
    assert labels[-1] in section(parsed(text), "data")
    assert len(text) < 3_000_000


def test_hostile_names_are_escaped():
    labels = (HOSTILE, STRANGE, "wren")
    jobs = [*jobs_of("cnn", labels), JobReport("train", "failed", HOSTILE, reason=HOSTILE, worker=STRANGE)]
    data = report_of(jobs, labels, quarantined=(UnusedRecording(STRANGE, HOSTILE, "unreadable"),))
    text = page(replace(data, dataset=replace(data.dataset, name=HOSTILE, source=STRANGE)))
    tree = parsed(text)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("img"))
    assert "{{ 7 * 7 }}" in section(tree, "data")
    assert "\u202e" not in text
    assert "\x00" not in text
    assert text.encode()  # no lone surrogate is left


def test_a_long_quarantine_list_is_cut_with_a_note():
    many = tuple(UnusedRecording(f"{number:05d}.ogg", "empty: 0 samples", "empty") for number in range(1200))
    text = section(parsed(page(report_of(quarantined=many, quarantine_counts={"empty": 5000}))), "quarantine")
    assert "empty 5,000" in text
    assert "the first 1,000 of 5,000" in text
    assert "00999.ogg" in text
    assert "01000.ogg" not in text


def test_recordings_that_were_used_in_part_have_a_section_of_their_own_with_the_seconds_that_are_missing():
    lost = UnusedRecording("long.wav", "1 of 4 spans lost, 75 of 300 s (75 to 150 s): it contains NaN", "unreadable")
    tree = parsed(page(report_of(used_in_part=(lost,), n_used_in_part=1, lost_s=75.0)))
    text = section(tree, "in-part")
    assert "long.wav" in text
    assert "1 of 4 spans lost, 75 of 300 s (75 to 150 s): it contains NaN" in text
    assert "1 min 15 s of audio in all" in text.replace("\u00a0", " ")
    assert "long.wav" not in section(tree, "quarantine")


def test_recordings_that_failed_because_of_the_machine_are_not_in_quarantine():
    failed = (UnusedRecording("good.ogg", "given up after 8 attempts: OSError: no store", "machine fault"),)
    tree = parsed(page(report_of(failed=failed, n_failed=7)))
    assert "good.ogg" not in section(tree, "quarantine")
    failures = section(tree, "failures")
    assert "good.ogg given up after 8 attempts" in failures
    assert "7 recordings failed on every attempt" in failures
    assert "orchestrator retry 7f3a" in failures
    assert "The table shows the first 1" in failures


def test_every_label_and_preset_value_is_on_the_page(full):
    text = words(parsed(full))
    assert all(label in text for label in LABELS)
    assert "range_hz 500, 12500" in text
