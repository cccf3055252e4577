from __future__ import annotations

from ammrg.text.abnormal_spans import abnormal_spans


def test_only_sentences_that_affirm_something_are_named() -> None:
    text = "The heart is  normal in size. There is a\nsmall left pleural effusion. No pneumothorax. Possible edema."
    found = [text[start:stop] for start, stop in abnormal_spans(text)]
    assert found == ["There is a\nsmall left pleural effusion.", "Possible edema."]


def test_a_sentence_that_returns_is_found_where_it_returns() -> None:
    text = "Cardiomegaly. No effusion. Cardiomegaly."
    assert abnormal_spans(text) == ((0, 13), (27, 40))
    assert abnormal_spans("") == ()
