"use strict";
// All contents are set as text, never as markup, because a report may contain anything.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};
const short = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const NO_FINDING = data.names.length - 1;

// --- summary ---------------------------------------------------------------------------------------------------------
function showSummary() {
  const protocol = $("protocol").value;
  const columns = data.columns.filter(({ key }) => data.systems[0].values[protocol][key]);
  const head = make("tr", {}, make("th", {}, "reports"), ...columns.map(({ label }) => make("th", {}, label)));
  const body = data.systems.map((system) => {
    const cells = columns.map(({ key }) => {
      const row = system.values[protocol][key];
      if (!row) return make("td", {}, "–");
      const between = row[1] === null ? null : make("small", {}, `${short(row[1])} – ${short(row[2])}`);
      return make("td", {}, short(row[0]), between);
    });
    const note = system.note ? make("small", {}, system.note) : null;
    return make("tr", { class: system.group ? "" : "ours" }, make("td", {}, system.name, note), ...cells);
  });
  $("summary").replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  const compared = ["metric", "ours", "theirs", "difference", "95% from", "to", "p", "effect"];
  $("differences").replaceChildren(...Object.entries(data.differences[protocol]).map(([name, rows]) => make("div", { class: "wide" },
    make("h3", {}, `ours minus ${name}`),
    make("table", {}, make("thead", {}, make("tr", {}, ...compared.map((title) => make("th", {}, title)))),
      make("tbody", {}, ...rows.map(([label, ...values]) =>
        make("tr", {}, make("td", {}, label), ...values.map((value) => make("td", {}, short(value))))))))));
}

// --- recall ------------------------------------------------------------------------------------------------------------
function showRecall() {
  const { columns, rows, note } = data.recall;
  const line = (cells, kind) => make("tr", {}, ...cells.map((cell) => make(kind, {}, cell)));
  $("recall-section").hidden = !rows.length;
  $("recall").replaceChildren(make("thead", {}, line(columns, "th")), make("tbody", {}, ...rows.map((row) => line(row, "td"))));
  $("recall-note").textContent = note;
}

// --- findings --------------------------------------------------------------------------------------------------------
function showBars() {
  const rows = data.findings[$("uncertain").value];
  $("bars").replaceChildren(...rows.map((row, i) => {
    const track = make("span", { class: "track" });
    for (const part of ["f1", "precision", "recall"]) {
      const bar = make("i", { class: part });
      bar.style.width = `${100 * row[part]}%`;
      track.append(bar);
    }
    const figures = `F1 ${short(row.f1, 2)}  P ${short(row.precision, 2)}  R ${short(row.recall, 2)}  ` +
      `in ${row.support} references, in ${row.predicted} reports`;
    return make("button", { type: "button", "aria-pressed": String(state.finding === i), onclick: () => {
      state.finding = state.finding === i ? -1 : i;
      $("finding").value = String(state.finding);
      filterStudies();
      showBars();
    } }, make("span", {}, data.names[i]), track, make("span", { class: "note" }, figures));
  }));
}

// --- what the network found, beside what the reports say ----------------------------------------------------------------
function showFaithfulness() {
  if (!data.faithfulness) return;
  const columns = ["finding", "found", "said", "found, not said", "said, not found", "found, but denied"];
  $("faithfulness").replaceChildren(make("h3", {}, "the network's own table, beside its reports"),
    make("table", {}, make("thead", {}, make("tr", {}, ...columns.map((title) => make("th", {}, title)))),
      make("tbody", {}, ...data.faithfulness.map((row) =>
        make("tr", {}, ...row.map((value) => make("td", {}, String(value))))))));
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

// --- list of studies: only the visible rows exist ----------------------------------------------------------------------
const ROW = 30;
const state = { finding: -1, sort: "f1", up: true, shown: [], selected: -1 };
const COLUMNS = [["id", "study"], ["f1", "F1"], ["cider", "CIDEr"], ["rouge", "ROUGE-L"], ["errors", "findings"]];
const has = (study, side, i) => (study[side] >> i) & 1;
for (const study of data.studies) {
  study.errors = 0;
  for (let i = 0; i < data.names.length; i++) study.errors += has(study, "truth", i) ^ has(study, "predicted", i);
  study.words = `${study.id}\n${study.reference.map((part) => part[0]).join(" ")}\n` +
    study.generated.map((part) => part[0]).join(" ");
  study.words = study.words.toLowerCase();
}

function relates(study, i, relation) {
  const truth = has(study, "truth", i), predicted = has(study, "predicted", i);
  return { any: truth || predicted, reference: truth, agreed: truth && predicted, missed: truth && !predicted,
    invented: predicted && !truth }[relation];
}

function filterStudies() {
  const relation = $("relation").value, words = $("search").value.trim().toLowerCase();
  const film = $("with-film").checked;
  const related = (study) => state.finding < 0
    ? relation === "any" || data.names.some((_, i) => relates(study, i, relation))
    : relates(study, state.finding, relation);
  state.shown = data.studies.filter((study) =>
    related(study) && (!words || study.words.includes(words)) && (!film || data.films[study.id]));
  sortStudies();
}

function sortStudies() {
  const { sort, up } = state;
  const ordered = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  state.shown.sort((a, b) =>
    (up ? 1 : -1) * (ordered(a[sort], b[sort]) || ordered(a.cider, b.cider)) || ordered(a.id, b.id));
  $("count").textContent = `${state.shown.length} of ${data.studies.length} studies`;
  $("sizer").style.height = `${state.shown.length * ROW}px`;
  $("scroller").scrollTop = 0;
  $("head").replaceChildren(...COLUMNS.map(([key, label]) => make("button", {
    type: "button", role: "columnheader", "data-key": key,
    "aria-sort": key === sort ? (up ? "ascending" : "descending") : "none",
    onclick: () => { state.up = key === sort ? !up : key === "id"; state.sort = key; sortStudies(); },
  }, label + (key === sort ? (up ? " ▲" : " ▼") : ""))));
  if (state.shown.length) select(0); else $("detail").replaceChildren();
  showRows();
}

function findingMarks(study) {
  const marks = [];
  data.names.forEach((name, i) => {
    const truth = has(study, "truth", i), predicted = has(study, "predicted", i);
    if (truth || predicted) {
      const kind = truth && predicted ? "hit" : truth ? "miss" : "made";
      marks.push(make("span", { class: kind, title: { hit: "in both", miss: "missed", made: "invented" }[kind] },
        `${{ hit: "✓", miss: "−", made: "+" }[kind]}${name}`), " ");
    }
  });
  return marks;
}

function showRows() {
  const scroller = $("scroller");
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 5);
  const last = Math.min(state.shown.length, first + Math.ceil(scroller.clientHeight / ROW) + 10);
  $("rows").style.top = `${first * ROW}px`;
  $("rows").replaceChildren(...state.shown.slice(first, last).map((study, k) => make("div", {
    class: "row", role: "row", "data-id": study.id, "aria-selected": String(first + k === state.selected),
    onclick: () => { select(first + k); showRows(); },
  }, make("span", {}, study.id), make("span", {}, short(study.f1, 2)), make("span", {}, short(study.cider, 2)),
    make("span", {}, short(study.rouge, 2)), make("span", {}, ...findingMarks(study)))));
}

function select(place) {
  state.selected = place;
  showStudy(state.shown[place]);
}

$("list").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
  if (!step || !state.shown.length) return;
  event.preventDefault();
  select(Math.min(state.shown.length - 1, Math.max(0, state.selected + step)));
  const top = state.selected * ROW, scroller = $("scroller");
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  if (top + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW - scroller.clientHeight;
  showRows();
});
$("scroller").addEventListener("scroll", () => requestAnimationFrame(showRows));

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

function heat(grid, shift) {
  const rows = grid.length, columns = grid[0].length;
  const small = make("canvas", { width: columns, height: rows }), context = small.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  grid.flat().forEach((value, i) => {
    const t = value / 100;
    pixels.data.set([255, 200 * (1 - t), 40 * (1 - t), 255 * t], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
  const whole = make("canvas", { width: 448, height: 448 }), drawn = whole.getContext("2d");
  drawn.imageSmoothingQuality = "high";
  drawn.drawImage(small, shift * 448 / columns, shift * 448 / rows, 448, 448);
  return whole;
}

function filmsOf(study) {
  const kept = data.films[study.id];
  if (!kept) return make("p", { class: "note" }, data.films_absent);
  const tile = (caption, grid) => make("figure", {},
    make("div", { class: "film" }, make("img", { src: kept.image, alt: "film" }), grid ? heat(grid, kept.shift) : null),
    make("figcaption", { class: "note" }, caption));
  return make("div", { class: "films" }, tile("film", null),
    ...Object.entries(kept.maps).map(([name, grid]) => tile(`map of ${name}`, grid)));
}

function showStudy(study) {
  const scores = `F1 ${short(study.f1, 2)}, CIDEr ${short(study.cider, 2)}, ROUGE-L ${short(study.rouge, 2)}` +
    (study.known ? "; this reference is also a training report, word for word" : "");
  const memories = [
    ...study.regions.map(([weight, finding, owner]) => make("div", { class: "memory" },
      make("b", {}, short(weight, 2)), ` region of ${finding ?? "no finding"} (${owner || "disease query"})`)),
    ...study.retrieved.map(([weight, owner, text]) => make("div", { class: "memory" },
      make("b", {}, short(weight, 2)), ` report of ${owner}: ${data.texts[text]}`)),
  ];
  $("detail").replaceChildren(
    make("h3", {}, `study ${study.id}`), make("p", { class: "note" }, scores), make("p", {}, ...findingMarks(study)),
    ...[foundMarks(study)].filter(Boolean),
    filmsOf(study),
    make("div", { class: "texts" },
      make("div", {}, make("h3", {}, "generated"), marked(study.generated, study.reference, study.unseen.generated)),
      make("div", {}, make("h3", {}, "reference"), marked(study.reference, study.generated, study.unseen.reference))),
    make("p", { class: "note" }, make("span", { class: "same" }, "finding: both reports agree"), " ",
      make("span", { class: "astray" }, "they agree, but this side is wrong"), " ",
      make("span", { class: "contrary" }, "the other report differs"), " ",
      make("span", { class: "alone" }, "denied here, not mentioned in the other report"), " ",
      make("span", { class: "run" }, `${RUN} or more words in a row in both`), " ",
      make("span", { class: "unseen" }, "change, size or distance that one film cannot show")),
    ...(memories.length ? [make("h3", {}, "retrieved from memory"), ...memories] : []));
}

// --- start -------------------------------------------------------------------------------------------------------------
$("title").textContent = data.title;
$("facts").textContent = data.facts;
$("notice").textContent = data.notice;
if (data.restricted) { $("restricted").textContent = data.restricted; $("restricted").hidden = false; }
$("protocol").append(...data.protocols.map((name) => make("option", { value: name }, name)));
$("finding").append(make("option", { value: "-1" }, "any"),
  ...data.names.map((name, i) => make("option", { value: String(i) }, name)));
$("figures").append(...data.figures.map((line) => make("li", {}, line)));
$("sentences").append(...data.sentences.map(({ text, alarm }) => make("li", { class: alarm ? "doubt" : "" }, text)));
$("protocol").addEventListener("change", showSummary);
$("uncertain").addEventListener("change", showBars);
$("finding").addEventListener("change", (event) => { state.finding = Number(event.target.value); filterStudies(); showBars(); });
for (const id of ["relation", "with-film"]) $(id).addEventListener("change", filterStudies);
$("search").addEventListener("input", filterStudies);
for (const [id, up] of [["worst", true], ["best", false]])
  $(id).addEventListener("click", () => { state.sort = "f1"; state.up = up; sortStudies(); });
showSummary();
showRecall();
showBars();
showFaithfulness();
filterStudies();
