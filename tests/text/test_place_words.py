"""The tables of words of place, entry by entry: each is read where a report uses it."""

from __future__ import annotations

import pytest

from ammrg.text.places import Place, mention_places


def places(sentence: str) -> list[tuple[str, str]]:
    """The place of each mention of a sentence, as its sides and its levels in the order of the alphabet."""
    return [(" ".join(sorted(place.side)), " ".join(sorted(place.level))) for _, place in mention_places(sentence)]


@pytest.mark.parametrize(
    ("side", "level", "words"),
    [
        ("left", "", "left lung, LT lung"),
        ("right", "", "right lung, RT lung"),
        ("left", "upper", "LUL, left apex"),
        ("left", "mid", "lingula, left midlung, left mid zone"),
        ("left", "lower", "LLL, left base, left cp angle"),
        ("right", "upper", "RUL, right upper zone, apical right lung"),
        ("right", "mid", "RML, middle lobe, right peri-hilar region, right parahilar region, right middle field"),
        ("right", "lower", "RLL, right lower lobe, basal right lung, right costo-phrenic sulcus"),
        (
            "left right",
            "",
            "lungs bilaterally, b/l lungs, both lungs, both of the lungs, L > R, R > L, L>R, R>L, each side",
        ),
        ("left right", "upper", "apices, upper lung zones, bi-apical lung"),
        ("left right", "mid", "middle lobes"),
        ("left right", "lower", "bases, lower lobes, bibasilar region, cardiophrenic angles"),
        ("", "lower", "retro-cardiac region, region behind the heart"),
    ],
)
def test_each_word_of_place(side: str, level: str, words: str) -> None:
    for word in words.split(", "):
        assert places(f"Opacity in the {word}.") == [(side, level)], word


@pytest.mark.parametrize(
    "text",
    [
        *("Opacity on the left lateral view.", "Opacity in the right decubitus film.", "Catheter in the right atrium."),
        *(
            "Wires in the right heart.",
            "Chest tube left in place.",
            "The drain was left on.",
            "Upper limits of opacity.",
        ),
        *("Opacity with shift of all structures to the left.", "Opacity on the apical lordotic film."),
        *("Opacity at the cardiac apex.", "Opacity at the apex of the heart.", "Opacity at the base of the neck."),
        "Catheter beneath the left hemidiaphragm.",
    ],
)
def test_words_that_only_look_like_a_place(text: str) -> None:
    assert places(text) == [("", "")]


@pytest.mark.parametrize(
    "joint",
    [
        " and ",
        " with ",
        " & ",
        "/",
        " or ",
        " along with ",
        " together with ",
        ", adjacent ",
        ", compatible with ",
        ", suggesting ",
    ],
)
def test_two_findings_share_the_place_of_the_first(joint: str) -> None:
    assert places(f"Left effusion{joint}atelectasis.") == [("left", ""), ("left", "")]


@pytest.mark.parametrize(
    "joint",
    [
        *(", ", " plus ", " without ", " as well as ", " but ", " yet ", " however ", " although ", " though "),
        *(" except ", " aside from ", " apart from ", " other than ", " whereas ", " while "),
    ],
)
def test_two_findings_do_not_share_a_place(joint: str) -> None:
    assert places(f"Left effusion{joint}atelectasis.") == [("left", ""), ("", "")]


@pytest.mark.parametrize(
    "joint", ["and", "with", "plus", "as well as", "along with", "together with", "there is", "or", "which borders"]
)
def test_each_finding_keeps_a_place_of_its_own(joint: str) -> None:
    assert places(f"Left effusion {joint} right atelectasis.") == [("left", ""), ("right", "")]


@pytest.mark.parametrize(
    "part", ["lobe", "lung field", "base", "apex", "apices", "lingula", "costophrenic angle", "hilum"]
)
def test_a_part_between_two_findings_belongs_to_the_first(part: str) -> None:
    sides = [side for side, _ in places(f"Effusion on the left and right {part} and left nodule.")]
    assert sides == ["left right", "left"]
    sides = [side for side, _ in places("Effusion on the left and right basilar and left lingular nodule.")]
    assert sides == ["left", "left right"]


def test_what_stands_between_two_findings_keeps_them_apart() -> None:
    assert places("Left effusion and stomach and atelectasis.") == [("left", ""), ("", "")]
    assert places("Effusion and stomach and atelectasis on the left.") == [("", ""), ("left", "")]
    assert places("On this film, effusion and atelectasis on the left.") == [("left", ""), ("left", "")]


def test_a_place_after_a_list_is_that_of_the_last_two() -> None:
    sides = [side for side, _ in places("Effusion and edema and nodule and fracture on the right.")]
    assert sides == ["", "", "right", "right"]


def test_what_is_beside_something_before_the_sentence_shares_with_nothing_after_it() -> None:
    assert places("Underlying left effusion, atelectasis.") == [("left", ""), ("", "")]


def test_a_comma_after_a_place_leaves_it_with_the_finding_before() -> None:
    text = "Effusion on the left and right upper zone laterally, left opacity."
    assert places(text) == [("left right", "upper"), ("left", "")]


def test_the_heart_has_no_place() -> None:
    assert places("Cardiomegaly on the left.") == [("", "")]


@pytest.mark.parametrize("plain", ["pleural", "pulmonary", "lung", "air space", "rib"])
def test_a_plain_word_before_the_second_finding_changes_nothing(plain: str) -> None:
    assert places(f"Left nodule and {plain} fracture.") == [("left", ""), ("left", "")]
    assert places(f"Left nodule and new {plain} fracture.") == [("left", ""), ("", "")]


@pytest.mark.parametrize("word", ["none", "clear", "sharp", "spared", "intact", "unremarkable", "preserved"])
def test_a_side_that_is_spared_is_no_place(word: str) -> None:
    assert places(f"Opacity on the left, {word} on the right.") == [("left", "")]


def test_a_place_joined_with_another_keeps_both() -> None:
    left, lower = Place(frozenset({"left"})), Place(level=frozenset({"lower"}))
    assert left.joined(lower) == left.completed(lower) == Place(frozenset({"left"}), frozenset({"lower"}))
    assert left.completed(Place(frozenset({"right"}))) == left
