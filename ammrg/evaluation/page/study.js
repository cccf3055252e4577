// --- one study ---------------------------------------------------------------------------------------------------------
const RUN = 4; // fewest shared words in a row that are marked
const wordsOf = (text) => [...text.matchAll(/[\p{L}\p{N}'’-]+/gu)]
  .map((found) => ({ word: found[0].toLowerCase(), start: found.index, end: found.index + found[0].length }));

// For each sentence, 1 for every character in a run of at least RUN words that the other text has too.
function sharedRuns(parts, others) {
  const known = new Set();
  for (const [sentence] of others) {
    const words = wordsOf(sentence).map(({ word }) => word);
    for (let i = 0; i + RUN <= words.length; i++) known.add(words.slice(i, i + RUN).join(" "));
  }
  return parts.map(([sentence]) => {
    const words = wordsOf(sentence), covered = new Uint8Array(sentence.length);
    for (let i = 0; i + RUN <= words.length; i++) {
      if (known.has(words.slice(i, i + RUN).map(({ word }) => word).join(" ")))
        covered.fill(1, words[i].start, words[i + RUN - 1].end);
    }
    return covered;
  });
}

function marked(parts, others, unseen) {
  const runs = sharedRuns(parts, others), text = make("p", { class: "text" });
  const claims = parts.map(([sentence]) => new Array(sentence.length).fill(""));
  for (const [s, start, end, kind] of unseen) claims[s].fill(kind, start, end);
  parts.forEach(([sentence, marks], s) => {
    const of = new Array(sentence.length).fill(null);
    marks.forEach((mark) => of.fill(mark, mark[0], mark[1]));
    for (let start = 0; start < sentence.length;) {
      let end = start + 1;
      while (end < sentence.length && of[end] === of[start] && runs[s][end] === runs[s][start] &&
        claims[s][end] === claims[s][start]) end++;
      const claim = claims[s][start];
      const classes = [of[start] ? of[start][2] : "", runs[s][start] ? "run" : "", claim ? "unseen" : ""]
        .filter(Boolean).join(" ");
      const title = of[start] ? `${data.names[of[start][3]]}: ${of[start][4]}` : claim ? `one film cannot show: ${claim}` : null;
      const piece = sentence.slice(start, end);
      text.append(classes ? make("span", { class: classes, ...(title ? { title } : {}) }, piece) : piece);
      start = end;
    }
    text.append(" ");
  });
  return text;
}

// What the network found on the films, as far as the run tells.
function findingsOf(study) {
  if (study.probabilities === null) return null;
  return study.probabilities.map((thousandths, i) => ({
    name: data.names[i], probability: thousandths / 1000, threshold: data.thresholds ? data.thresholds[i] : null,
    present: Boolean(study.found !== null && has(study, "found", i)), place: study.places[i] || "",
  }));
}

function filmsOf(study, findings) {
  const kept = data.films[study.id];
  if (!kept) return make("p", { class: "note" }, data.films_absent);
  const stated = (name, probability) => {
    const known = (findings || []).find((finding) => finding.name === name);
    return [`map of ${name}`, known && known.place, `probability ${short(probability, 2)}`,
      known && known.threshold !== null && (known.present ? "above its threshold" : "not above its threshold")].filter(Boolean).join(", ");
  };
  const seen = (findings || []).filter(({ present }) => present).map(({ name, place }) => [name, place].filter(Boolean).join(" "));
  return filmViewer({
    alt: `Chest film of study ${study.id}.${findings ? ` Found: ${seen.join("; ") || "nothing"}.` : ""}`,
    films: [{ image: kept.image, name: "film only" }],
    maps: Object.entries(kept.maps).map(([name, { probability, grid }]) => ({
      name: `${name} ${short(probability, 2)}`, film: 0, grid, shift: kept.shift, words: stated(name, probability) })),
  });
}

function foundMarks(study) {
  if (study.found === null) return null;
  const marks = data.names.flatMap((name, i) => {
    const found = has(study, "found", i), said = has(study, "predicted", i);
    if (i === NO_FINDING || !(found || said)) return [];
    const kind = found && said ? "hit" : found ? "miss" : "made";
    const title = { hit: "found and said", miss: "found, not said", made: "said, not found" }[kind];
    return [make("span", { class: kind, title }, `${{ hit: "✓", miss: "−", made: "+" }[kind]}${name}`), " "];
  });
  return make("p", { class: "note" }, "the network's own table (✓ said, − not said, + said but not found): ",
    ...(marks.length ? marks : ["nothing found, nothing said"]));
}

// --- what was recalled: reasons before cases that are merely similar ----------------------------------------------------
function isReason(kind, influence) {
  const limit = data.reasons && data.reasons[kind];
  return limit !== null && limit !== undefined && influence !== null && influence > limit;
}

function recalled(study) {
  const cases = [
    ...study.regions.map(([weight, finding, owner, influence, place, text]) => ({ kind: "regions", weight, influence,
      words: ` region of ${[place, finding ?? "no finding"].filter(Boolean).join(" ")} (${owner || "disease query"})` +
        (text === null ? "" : `: ${data.texts[text]}`) })),
    ...study.retrieved.map(([weight, owner, text, influence]) => ({ kind: "reports", weight, influence,
      words: ` report of ${owner}: ${data.texts[text]}` })),
  ];
  if (!cases.length) return [];
  const reasons = cases.filter(({ kind, influence }) => isReason(kind, influence));
  const similar = cases.filter((each) => !reasons.includes(each));
  const line = ({ kind, weight, influence, words }) => make("div", { class: "memory" }, make("b", {}, short(weight, 2)), words,
    isReason(kind, influence)
      ? make("b", {}, ` reason (influence ${short(influence, 2)} nats, more than ${short(data.reasons[kind], 2)})`) : null);
  const none = data.reasons ? "No recalled case bears on this report." : "Whether recalled cases bear on this report is not known.";
  return [make("h3", {}, "Reasons, recalled from memory"),
    ...(reasons.length ? reasons.map(line) : [make("p", { class: "note" }, none)]),
    ...(similar.length ? [make("h3", {}, "Similar cases, recalled from memory"), ...similar.map(line)] : [])];
}

const MARKS = [["same", "finding: both reports agree"], ["astray", "they agree, but this side is wrong"], ["contrary", "the other report differs"],
  ["alone", "denied here, not mentioned in the other report"], ["run", `${RUN} or more words in a row in both`],
  ["unseen", "change, size or distance that one film cannot show"]];

function showStudy(study, place) {
  const scores = `F1 (13) ${short(study.f1)}, CIDEr ${short(study.cider)}, ROUGE-L ${short(study.rouge)}` +
    (study.known ? "; this reference is also a training report, word for word" : "");
  const findings = findingsOf(study);
  const step = (label, words, to) => {
    const button = make("button", { type: "button", "aria-label": words, title: words, class: `step-${label}`, onclick: () => {
      go(to);
      const same = $("detail").querySelector(`.step-${label}`);
      (same.disabled ? $("detail") : same).focus({ preventScroll: true });
    } }, label);
    button.disabled = to < 0 || to >= state.shown.length;
    return button;
  };
  const address = `#${encodeURIComponent(study.id)}`;
  $("detail").replaceChildren(
    make("div", { class: "top" }, make("h2", {}, "Study ", make("a", { href: address, title: "the address of this study" }, study.id)),
      step("‹", "previous study", place - 1), make("span", { class: "note" }, `${place + 1} of ${state.shown.length}`), step("›", "next study", place + 1)),
    make("p", { class: "marks" }, ...findingMarks(study)), make("p", { class: "note" }, scores),
    make("div", { class: "case" },
      make("div", { class: "seen" }, filmsOf(study, findings),
        ...(findings ? [make("h3", {}, data.thresholds ? "Probabilities; the line is the threshold" : "Probabilities"), findingBars(findings)] : [])),
      make("div", { class: "written" },
        make("h3", {}, "Generated report"), marked(study.generated, study.reference, study.unseen.generated),
        make("h3", {}, "Reference"), marked(study.reference, study.generated, study.unseen.reference),
        make("p", { class: "note key" }, ...MARKS.flatMap(([kind, words]) => [make("span", { class: kind }, words), " "])),
        foundMarks(study), ...recalled(study))));
}
