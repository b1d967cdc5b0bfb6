import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from tasks.report.html.page import JobReport, NotUsed, page
from tests.unit.report.examples import LABELS, jobs_of, report_of

HOSTILE = '<script>alert("1")</script>&amp;\'"><img src=x onerror=alert(1)> $\\frac{1}{2}$ {{ 7 * 7 }}'
STRANGE = "\u202egnp.evil \x00\x1b[31m \udcff قُبَّرة 雲雀 " + "very" * 60


def parsed(text: str) -> ET.Element:
    """The page as a tree; a page that is not well formed fails here."""
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


def test_the_faults_that_were_survived_are_counted():
    facts = report_of().run
    met = {"claims lost with their worker": 1210, "retries": 3}
    told = words(parsed(page(report_of(run=replace(facts, faults=met)))))
    assert "faults met 1,210 claims lost with their worker, 3 retries" in told
    assert "faults met none" in words(parsed(page(report_of())))


def test_how_a_model_was_trained_is_told_of_all_its_trainings():
    def trained(fold, epoch_s, device):
        told = {"parameters": 493_770, "epoch_s": epoch_s, "peak_rss_bytes": 947_367_936 + fold, "device": device}
        return JobReport("train", "done", "cnn", fold, 42, parameters=told)

    judged = JobReport("evaluate", "done", "cnn", 0, 42, parameters={"accuracy": 0.47023809523809523})
    several = words(parsed(page(report_of([trained(0, 1.5, "CPU"), trained(1, 2.123456, "GPU: x"), judged]))))
    assert (
        "Where its trainings differ, the mean of them. parameters 493770 epoch_s 1.812 peak_rss_bytes 947400000"
        in several
    )
    assert "device CPU" not in several
    assert "0.4702" not in several, "a score of one fold is no parameter"
    one = words(parsed(page(report_of([trained(0, 1.5, "CPU")]))))
    assert "How cnn was trained parameters 493770 epoch_s 1.5 peak_rss_bytes 947367936 device CPU" in one


def test_a_page_names_nothing_outside_itself(full):
    assert "http:" not in full
    assert "https:" not in full
    assert "<script" not in full
    targets = re.findall(r'(?:src|href|action|srcset|data)\s*=\s*"([^"]*)"', full) + re.findall(r"url\(([^)]*)\)", full)
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert "default-src 'none'" in full


def test_a_page_is_well_formed_and_its_links_lead_somewhere(full):
    tree = parsed(full)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    for link in tree.iter("a"):
        assert link.get("href")[1:] in ids
    drawn_once = [name for name in ids if not re.fullmatch(r"f[0-9a-f]{10}.*", name)]
    assert len(drawn_once) == len(set(drawn_once))


def test_a_browser_sees_no_unclosed_element(full):
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


def test_pictures_have_words_and_tables_have_captions(full):
    tree = parsed(full)
    pictures = list(tree.iter("svg"))
    assert len(pictures) > 5
    assert all(picture.get("role") == "img" and picture.get("aria-label") for picture in pictures)
    assert all(table.find("caption") is not None for table in tree.iter("table"))
    assert [element.tag for element in tree.iter("h1")] == ["h1"]


def test_the_verdict_names_the_best_model_and_the_score_of_knowing_nothing(full):
    verdict = words(parsed(full).find(".//p[@class='verdict']"))
    assert verdict == (
        "cnn names 75 % of chunks and 75 % of unseen recordings correctly; "
        "always answering the commonest class would reach 33 %."
    )


def test_a_failed_training_stands_beside_the_others_with_its_reason(full):
    tree = parsed(full)
    assert "train lstm failed: loss is NaN" in section(tree, "scores")
    assert "loss is NaN" in section(tree, "troubles")


def test_a_leaky_split_is_called_dishonest_before_anything_else():
    data = report_of(jobs_of("cnn"))
    leaky = replace(data, split=replace(data.split, leaks=("Copies of 3 files stand on two sides.",)))
    tree = parsed(page(leaky))
    assert words(tree.find(".//header/p")) == "This score is not honest."
    assert "This score is not honest: Copies of 3 files stand on two sides." in section(tree, "honest")
    assert "unseen" not in words(tree.find(".//header"))


def test_a_split_nobody_checked_is_not_called_honest():
    data = report_of(jobs_of("cnn"))
    tree = parsed(page(replace(data, split=replace(data.split, checks=()))))
    assert "Nobody looked" in section(tree, "honest")
    assert "unseen" not in words(tree.find(".//header"))


def test_a_model_no_better_than_guessing_is_said_to_be():
    text = words(parsed(page(report_of(jobs_of("cnn", right=0.35)))).find(".//header"))
    assert "no better than knowing nothing" in text


def test_a_run_without_models_shows_its_data():
    tree = parsed(page(report_of()))
    assert "No model was asked for" in words(tree.find(".//header"))
    assert tree.find(".//section[@id='scores']") is None
    assert "blackcap" in section(tree, "data")


def test_a_run_whose_every_training_failed_says_why():
    failed = [JobReport("train", "failed", "cnn", reason="one class only"), JobReport("evaluate", "cancelled", "cnn")]
    tree = parsed(page(report_of(failed)))
    assert "No model could be judged" in words(tree.find(".//header"))
    assert "one class only" in section(tree, "scores")


def test_a_run_that_is_not_finished_is_no_trouble():
    tree = parsed(page(report_of([JobReport("train", "waiting", "cnn"), JobReport("render", "running")])))
    assert tree.find(".//section[@id='troubles']") is None
    assert "not judged yet" in section(tree, "scores")


def test_five_folds_of_two_models_are_means_with_deviations():
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
def test_two_classes_and_two_hundred_both_make_a_page(n_classes):
    labels = tuple(f"Genus species{number:03d}" for number in range(n_classes))
    text = page(report_of(jobs_of("cnn", labels), labels))
    assert labels[-1] in section(parsed(text), "data")
    assert len(text) < 3_000_000


def test_hostile_names_are_text_and_nothing_else():
    labels = (HOSTILE, STRANGE, "wren")
    jobs = [*jobs_of("cnn", labels), JobReport("train", "failed", HOSTILE, reason=HOSTILE, worker=STRANGE)]
    data = report_of(jobs, labels, quarantined=(NotUsed(STRANGE, HOSTILE, "unreadable"),))
    text = page(replace(data, dataset=replace(data.dataset, name=HOSTILE, source=STRANGE)))
    tree = parsed(text)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("img"))
    assert "{{ 7 * 7 }}" in section(tree, "data")
    assert "\u202e" not in text
    assert "\x00" not in text
    assert text.encode()  # no lone surrogate is left


def test_a_long_quarantine_is_cut_and_says_so():
    many = tuple(NotUsed(f"{number:05d}.ogg", "empty: 0 samples", "empty") for number in range(1200))
    text = section(parsed(page(report_of(quarantined=many, quarantine_counts={"empty": 5000}))), "quarantine")
    assert "empty 5,000" in text
    assert "the first 1,000 of 5,000" in text
    assert "00999.ogg" in text
    assert "01000.ogg" not in text


def test_recordings_that_the_machine_failed_with_stand_apart_from_the_quarantine():
    failed = (NotUsed("good.ogg", "given up after 8 attempts: OSError: no store", "machine fault"),)
    tree = parsed(page(report_of(failed=failed, n_failed=7)))
    assert "good.ogg" not in section(tree, "quarantine")
    troubles = section(tree, "troubles")
    assert "good.ogg given up after 8 attempts" in troubles
    assert "7 of the recordings" in troubles
    assert "orchestrator retry 7f3a" in troubles
    assert "first 1" in troubles


def test_every_label_and_preset_value_is_on_the_page(full):
    text = words(parsed(full))
    assert all(label in text for label in LABELS)
    assert "range_hz 500, 12500" in text
