"""Classifies mentions in sentences by negspacy or medspacy; run by the python of an environment that has it.

``python -P _negation_script.py LIBRARY < [[sentence, start, end], ...] > ["affirmed" | "negated" | "uncertain", ...]``
"""

import json
import sys


def negspacy_reader():
    import spacy
    from negspacy.negation import Negex
    from negspacy.termsets import termset

    nlp = spacy.blank("en")
    negex = Negex(
        nlp,
        name="negex",
        neg_termset=termset("en_clinical").get_patterns(),
        ent_types=[],
        extension_name="negex",
        chunk_prefix=[],
    )
    return nlp, lambda doc: "negated" if negex(doc).ents[0]._.negex else "affirmed"


def medspacy_reader():
    import spacy
    from medspacy.context import ConText

    nlp = spacy.blank("en")
    context = ConText(nlp)

    def read(doc):
        mention = context(doc).ents[0]
        return "negated" if mention._.is_negated else "uncertain" if mention._.is_uncertain else "affirmed"

    return nlp, read


def main(library):
    nlp, read = {"negspacy": negspacy_reader, "medspacy": medspacy_reader}[library]()
    answers = []
    for sentence, start, end in json.load(sys.stdin):
        doc = nlp.make_doc(sentence)
        for token in doc:
            token.is_sent_start = token.i == 0
        doc.ents = [doc.char_span(start, end, label="FINDING", alignment_mode="expand")]
        answers.append(read(doc))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
