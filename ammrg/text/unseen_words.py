"""Words of what one film cannot show, as data: change since an earlier film, sizes, the distance of a tube's tip.

:mod:`ammrg.text.patterns` describes the form of the entries. :mod:`ammrg.text.unseen` looks for them. The words of
change were chosen for this project. That networks invent earlier films, because their training reports mention them,
is described in "Improving Radiology Report Generation Systems by Removing Hallucinated References to Non-existent
Priors" (Ramesh et al. 2022).
"""

from __future__ import annotations

KINDS: tuple[str, ...] = ("change", "size", "distance")
"""Change since an earlier film; a size in cm or mm; the distance of a tube's or line's tip from a landmark."""

_FILM = "(film|exam|examination|stud(y|ie)|radiograph|x ?ray|image|imaging|ct|scan|report)s?"
_EARLIER = "(prior|previous|earlier|preceding|old|older|last|most recent|recent|outside|yesterday's)"
_EARLIER_FILM = f"{_EARLIER}( \\w+){{0,2}} {_FILM}"
_DEGREE = (
    "(significant*|substantial*|appreciabl*|definite*|major|relevant|marked*|gross*|real|radiographic|evident|interval"
    "|slight*|mild*|minimal*|obvious*|further|much|overall)"
)
_BE = "(is|are|was|were|appears?|looks?|seems?)"
_HAVE = "(has|have|had)( \\w+)?"
_OTHER_SIDE = "(left|right|other|opposite|contralateral|normal|rest|remaining)"
_TURN = "(persist|worsen|remain|continue|recur|improve|resolve|change|progress)s?"
_COURSE = "(resolution|clearing|clearance|improvement|stability|change|progression)"
_DISEASE = (
    "(degenerative|(osteo)?arthritic|chronic|fibrotic|emphysematous|inflammatory|interstitial|atherosclerotic|cystic"
    "|hypertrophic|bronchitic|(post ?)?(surgical|operative|radiation|traumatic|treatment)|disc|disk|endplate|bony"
    "|acute)"
)

CHANGE: tuple[str, ...] = (
    "unchanged|unaltered",
    f"({_BE}|{_HAVE}|not)( {_DEGREE})? changed",
    "changed (from|since|in the interval)",
    f"(no|not|without|little|minimal|any)( an?| any)?( {_DEGREE}){{0,3}} changes?(?! of)",
    "change from|changes? (since|compared)",
    "change in",
    "interval|interim",
    "stable|stability",
    "new|newly",
    "again",
    "re ?demonstrat*|re ?identified|re ?accumulat*|re ?expan*|re ?aerat*",
    "remain|remains|remained",
    "persist*",
    "residual",
    "continue(s|d)? to|continued",
    "resolved|resolving|resolves|resolution",
    "cleared|clearing",
    "improv*",
    "worsen*",
    f"({_BE}|{_DEGREE}|now|somewhat|no|not) worse(?! (on|in|at))",
    "better (aerat*|inflat*|expan*|than)",
    f"than( \\w+){{0,3}} {_EARLIER}",
    "(than|as|like|from|since) (before|previously|yesterday)",
    f"({_BE}|{_DEGREE}|now|somewhat|no|not)( {_DEGREE})? (larger|smaller|bigger)(?! (than|on|in|at))",
    f"{_HAVE} (increased|decreased|enlarged|grown|developed|progressed|regressed|diminished|moved|migrated|appeared"
    "|disappeared|accumulated)",
    f"({_HAVE} been|was|were)( \\w+)? (removed|withdrawn|retracted|advanced|repositioned|replaced|exchanged"
    "|discontinued)",
    "removal of",
    f"{_BE} developing",
    "(in|de)creased in (size|extent|number|volume|density|amount|conspicuity)",
    "(in|de)creased (since|from|compared|relative to|size of)",
    "(increas|decreas|enlarg|diminish|progress|evolv)ing",
    "progressi(on|ve)|progressed",
    "no longer",
    "now",
    "previously (seen|noted|described|identified|visuali[sz]ed|present|demonstrated|reported|mentioned|placed)",
    "(seen|noted|described|identified|visuali[sz]ed|present|demonstrated) previously",
    _EARLIER_FILM,
    "(compar(ed|ison)|relative|since|than|from|with|on|to)( \\w+){0,2} (prior|previous)s?(?= ?[.,;:)]| ?$| (of|from))",
    "(compared (to|with)|on|than|since)( the)? (prior|previous) x{2,}",
    f"since (yesterday|admission|\\d|(the )?{_EARLIER}|(\\w+ ){{0,3}}{_FILM})",
    f"comparison( \\w+){{0,3}} {_FILM}",
    "compared (to|with)|in comparison|when compared|comparison( (is|was))?( made)? (to|with)",
    f"{_BE} similar(?! (in both|on both|to the {_OTHER_SIDE}|on the {_OTHER_SIDE}|in the {_OTHER_SIDE}))",
    f"similar to( the| that on)? ({_EARLIER}|before)",
)
"""Words which say that something changed since an earlier film, or that nothing did."""

NOT_CHANGE: tuple[str, ...] = (
    # There is no earlier film, or it should be looked at.
    f"(no|without( an?| any)?|lack of|absence of)( (other|available|relevant|direct|chest)){{0,2}} ({_EARLIER_FILM}"
    "|priors?|comparisons?)( \\w+){0,3} for comparison",
    f"(no|without( an?| any)?|lack of|absence of)( (other|available|relevant|direct|chest)){{0,2}} ({_EARLIER_FILM}"
    f"|priors?|comparisons?)( {_FILM})?",
    f"{_EARLIER_FILM} ((would|could|should|may) be|if|not|un*|(is|are|was|were) (not|un*))( \\w+){{0,2}}",
    "comparison:? (none|not|unavailable|no|n/a)",
    "comparison( \\w+){0,5} (is|are|would be) (recommended|advised|suggested|helpful|useful)",
    "(recommend*|suggest*|advise*|obtain*) comparison( \\w+){0,5}",
    # Two places of one film.
    f"(compared|comparison|relative)( \\w+)? (to|with)( the| that on the| those on the)? {_OTHER_SIDE}( \\w+)?",
    # Advice on what comes next.
    f"(if|should|unless|until)( \\w+){{0,4}} {_TURN}( (and|or) {_TURN})?",
    f"(to|toward|until|ensure|document|confirm|verify|exclude|(assess|evaluate|monitor)( for)?)"
    f"( (the|its|their|complete|full|radiographic|interval|eventual|any|and|or|{_COURSE})){{0,3}} {_COURSE}",
    "(to|may|might|could|can|would|should)( \\w+)? improve",
    "continued (follow up|surveillance|attention|monitoring|observation|clinical)",
    "(again|now) (recommend|advis|suggest)*",
    # Other intervals.
    "(pr|qt|qrs|rr|time|follow up|confidence|regular|short( term)?|screening|(month|year)(ly)?|annual) intervals?"
    "( follow up)?",
    "intervals? (between|follow up)",
    "at( an)? intervals? of",
    # Not the film's.
    "ha?emodynamic* stable|clinically stable|stable (patient|vital*|angina|condition|enough)",
    "(patient|vitals?|vital signs?|condition|he|she)( (is|are|was|were|has been|remains?))?( \\w+)? stable",
    "new (york|england|jersey|mexico|zealand|onset|patient|baseline|technique|protocol|guideline)s?",
    "new line (of|in) (this|the) (report|text|page)",
    "persistent (left (superior vena cava|svc)|ductus|cough|fever|pain|symptoms?|dyspnea|shortness|vomiting)",
    "progressive (massive|dyspn*|cough|shortness|weakness|systemic)",
    "(high|low|spatial|image|film) resolution|resolution (ct|of the (film|image|study))",
    "residual (barium|contrast|volume|oral)",
    "remains? (a|the) (concern|possibility|consideration)|remains? (to be|unclear|uncertain|difficult)",
    "(patient|he|she)( (is|has))? now|now (with|presenting|complaining)",
    # A kind of disease, or the state of an organ.
    f"{_DISEASE} changes? (in|from)",
    "residual to",
    "(status post|s/p|prior|previous)( \\w+)? removal of",
    "(in|de)creased size of the (heart|cardiac*)",
    f"(heart|cardiac (silhouette|shadow)|heart size)( {_BE})?( {_DEGREE})? (in|de)creased in (size|volume)",
)
"""Wider phrases inside which a word of change does not count."""

_NUMBER = (
    "(\\d+(\\.\\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|half an?|a few|few|several|couple( of)?"
    "|x{2,}|_{2,})"
)
"""A number; ``xxxx`` and ``___`` stand where a number was removed with the patient's data."""
_MEASURE = f"{_NUMBER} ?(mms?|cms?|(milli|centi) ?met(er|re)s?)(?! ?(hg|h2o|of (water|mercury)))"
_ABOUT = "(about|approximately|approx|roughly|around|at least|an estimated|some)"

SIZE: tuple[str, ...] = (_MEASURE, "sub ?(cm|mm|(centi|milli) ?met(er|re))")
"""A number with cm or mm."""

_TUBE = "(tube|catheter|drain|stent|coil|filter|screw|plate|clip|trocar|sheath|port|device|plug|valve)s?"
_OF_TUBE = (
    "(endo ?tracheal|et|tracheostomy|tracheal|naso ?gastric|ng|enteric|feeding|chest|pleural|pigtail|drainage|surgical"
    "|metal*|vascular|coronary|biliary|bronchial|o?esophageal|inner|outer|diameter|internal)"
)
NOT_SIZE: tuple[str, ...] = (
    f"{_MEASURE}( {_OF_TUBE}){{0,3}} {_TUBE}",
    f"{_MEASURE}( thick| thin| axial| contiguous){{0,2}} (slice|section|cut|collimation|increment|reconstruction)s?",
    f"(slice|section)s?( thickness)?( of| is)? {_MEASURE}",
    f"(less|smaller|under|below)( than)? {_MEASURE}( in (size|diameter))? (may|might|can|cannot|could)",
)
"""Wider phrases inside which a measure is not the size of something seen: a device's name, a technique, a limit."""

TIPS: tuple[str, ...] = (
    "(tube|catheter|line|lead|electrode|drain|balloon|pump|wire|sheath|cannula|probe|port|tip|picc|ett?|ngt?|ogt?)s?",
    "dob ?hoff|swan ganz",
    "terminat*",
)
"""Words of a tube or its tip; without one in its sentence, a distance is not a tube's."""

_WAY = "(above|below|from|beyond|past|beneath|under|proximal|distal|superior|inferior|cephalad|caudal|cranial|short)"
_LANDMARK = (
    "(carina*|bifurcation|vocal cords?|junction|hiatus|inlet|clavic*|diaphragm*|pylor*|arch|knob|atrium|svc|vena cava"
    "|vertebra*|stomach)"
)
DISTANCE: tuple[str, ...] = (
    f"{_MEASURE}( \\w+)? {_WAY}( \\w+){{0,5}} {_LANDMARK}",
    f"within( {_ABOUT})? {_MEASURE} of( \\w+){{0,3}} {_LANDMARK}",
    f"{_WAY}( \\w+){{0,4}} {_LANDMARK}( (by|of|is|at))?( {_ABOUT})? {_MEASURE}",
    f"(advanc|withdr|retract|pull|reposition)\\w*( \\w+){{0,7}} {_MEASURE}",
    f"{_MEASURE}( of)? (advancement|withdrawal|retraction)",
)
"""The distance of a tip from a landmark, or the way that a tube should be moved."""
