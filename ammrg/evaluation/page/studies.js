// --- list of studies: only the visible rows exist ----------------------------------------------------------------------
const NO_FINDING = data.names.length - 1;
const ROW = 30;
const state = { finding: -1, sort: "f1", up: true, shown: [], selected: -1 };
const COLUMNS = [["id", "study"], ["f1", "F1 (13)"], ["cider", "CIDEr"], ["rouge", "ROUGE-L"], ["errors", "findings"]];
const has = (study, side, i) => (study[side] >> i) & 1;
for (const study of data.studies) {
  study.errors = 0;
  for (let i = 0; i < data.names.length; i++) study.errors += has(study, "truth", i) ^ has(study, "predicted", i);
}
// Made when a search first asks for them: a page of thousands of studies opens without.
const wordsIn = (study) => (study.words ??= [study.id, ...study.reference.map(([sentence]) => sentence),
  ...study.generated.map(([sentence]) => sentence)].join("\n").toLowerCase());

function relates(study, i, relation) {
  const truth = has(study, "truth", i), predicted = has(study, "predicted", i);
  return { any: truth || predicted, reference: truth, agreed: truth && predicted, missed: truth && !predicted,
    invented: predicted && !truth }[relation];
}

function filterStudies(wanted = null) {
  const relation = $("relation").value, words = $("search").value.trim().toLowerCase();
  const film = $("with-film").checked;
  const related = (study) => state.finding < 0
    ? relation === "any" || data.names.some((_, i) => relates(study, i, relation))
    : relates(study, state.finding, relation);
  state.shown = data.studies.filter((study) =>
    related(study) && (!words || wordsIn(study).includes(words)) && (!film || data.films[study.id]));
  sortStudies(wanted);
}

function sortStudies(wanted = null) {
  const { sort, up } = state;
  const ordered = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  // A study without a score, such as F1 where neither text affirms a finding, is neither best nor worst.
  state.shown.sort((a, b) => (a[sort] === null) - (b[sort] === null) ||
    (up ? 1 : -1) * (ordered(a[sort], b[sort]) || ordered(a.cider, b.cider)) || ordered(a.id, b.id));
  $("count").textContent = `${state.shown.length} of ${data.studies.length} studies`;
  $("list").setAttribute("aria-rowcount", state.shown.length + 1);
  $("sizer").style.height = `${state.shown.length * ROW}px`;
  $("scroller").scrollTop = 0;
  $("head").replaceChildren(...COLUMNS.map(([key, label]) => make("span", {
    role: "columnheader", "aria-sort": key === sort ? (up ? "ascending" : "descending") : "none",
  }, make("button", { type: "button", "data-key": key,
    onclick: () => { state.up = key === sort ? !up : key === "id"; state.sort = key; sortStudies(); $("head").querySelector(`[data-key=${key}]`).focus(); },
  }, label + (key === sort ? (up ? " ▲" : " ▼") : "")))));
  if (state.shown.length) select(Math.max(0, state.shown.findIndex(({ id }) => id === wanted)), false);
  else $("detail").replaceChildren(make("p", { class: "note" }, "No study is like this."));
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
  const cell = (...content) => make("span", { role: "gridcell" }, ...content);
  $("rows").replaceChildren(...state.shown.slice(first, last).map((study, k) => make("div", {
    class: "row", role: "row", id: `row-${first + k}`, "data-id": study.id, "aria-rowindex": first + k + 2,
    "aria-selected": String(first + k === state.selected), onclick: () => { select(first + k); showRows(); bringUp(); },
  }, cell(study.id), cell(short(study.f1)), cell(short(study.cider)), cell(short(study.rouge)), cell(...findingMarks(study)))));
}

// Show one of the listed studies; a chosen one also becomes the page's address, so it can be sent on.
function select(place, chosen = true) {
  state.selected = place;
  const study = state.shown[place];
  $("list").setAttribute("aria-activedescendant", `row-${place}`);
  showStudy(study, place);
  if (chosen) {
    history.replaceState(null, "", `#${encodeURIComponent(study.id)}`);
    $("said").textContent = `study ${study.id}, ${place + 1} of ${state.shown.length}`;
  }
}

function go(place) {
  if (!state.shown.length) return;
  select(Math.min(state.shown.length - 1, Math.max(0, place)));
  keepInView();
  showRows();
}

function keepInView() {
  const top = state.selected * ROW, scroller = $("scroller");
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  if (top + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW - scroller.clientHeight;
}

// In one column, the study stands above the list.
function bringUp() {
  if (matchMedia("(max-width: 1000px)").matches) $("detail").scrollIntoView();
}

// The study that the address names after "#"; one that the filters hide is shown with all others.
function openAddress() {
  let wanted = location.hash.slice(1);
  try { wanted = decodeURIComponent(wanted); } catch { /* no escape sequence: the id as it is */ }
  if (!data.studies.some(({ id }) => id === wanted)) return false;
  if (!state.shown.some(({ id }) => id === wanted)) {
    state.finding = -1;
    $("finding").value = "-1";
    $("relation").value = "any";
    $("search").value = "";
    $("with-film").checked = false;
    showBars();
  }
  filterStudies(wanted);
  keepInView();
  showRows();
  bringUp();
  return true;
}

function startStudies() {
  $("finding").append(make("option", { value: "-1" }, "any"),
    ...data.names.map((name, i) => make("option", { value: String(i) }, name)));
  $("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    if (!step || event.target !== $("list")) return;
    event.preventDefault();
    go(state.selected + step);
  });
  $("scroller").addEventListener("scroll", () => requestAnimationFrame(showRows));
  $("finding").addEventListener("change", (event) => { state.finding = Number(event.target.value); filterStudies(); showBars(); });
  for (const id of ["relation", "with-film"]) $(id).addEventListener("change", () => filterStudies());
  $("search").addEventListener("input", () => filterStudies());
  for (const [id, up] of [["worst", true], ["best", false]])
    $(id).addEventListener("click", () => { state.sort = "f1"; state.up = up; sortStudies(); });
  window.addEventListener("hashchange", openAddress);
}
