import { at, el } from "./dom.js";
import { showCards } from "./cards.js";
import { chosenProjections, fade, showFilms, showMaps, tellFilms } from "./films.js";
import { showFindings, showFit, showReport, showWriting } from "./report.js";
import { describe, download, facts, openExample, sendStudy } from "./service.js";

// The study on the page: its key, its films, the description that is shown, and the numbers of the last load and the last request.
const now = { study: null, shown: null, load: 0, request: 0 };

// How the report is asked for: the fields of ammrg/demo/asked.py.
const asked = () => ({
  memories: at("memories").checked, mirrored: at("mirrored").checked, operating_point: Number(at("operating_point").value),
  projections: chosenProjections(),
});

async function start() {
  chooseTheme();
  const told = await facts();
  at("notice").textContent = told.notice;
  at("domain").textContent = told.trained_on;
  at("model").textContent = `AM-MRG ${told.version}, model ${told.model}, ${told.trained_on} (terms of these data: ${told.terms})`;
  at("memories-switch").hidden = !told.has_memories;
  at("dial").hidden = !told.has_curve;
  at("operating_point").addEventListener("input", turned);
  at("examples-note").textContent = told.examples_note;
  at("examples").hidden = !told.examples.length;
  at("examples").querySelector("ul").replaceChildren(...told.examples.map((example, number) => {
    const button = el("button", { type: "button", title: example.title, on: { click: () => load(() => openExample(number), button) } },
      el("img", { src: example.src, alt: "" }), el("span", {}, example.title));
    return el("li", {}, button);
  }));
  const send = (files) => files.length && load(() => sendStudy([...files], told.upload_bytes), null);
  at("files").addEventListener("change", () => { send(at("files").files); at("files").value = ""; });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name !== "drop") return;
      const folder = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).find((entry) => entry?.isDirectory);
      if (folder) load(() => { throw new Error(`${folder.name} is a folder: drop the films in it, or a zip archive of it.`); }, null);
      else send(event.dataTransfer.files);
    });
  }
  let soon = null;  // the arrow keys turn the dial step by step: only where it stops is asked for
  for (const id of ["switches", "films"]) {
    at(id).addEventListener("change", ({ target }) => {
      clearTimeout(soon);
      soon = setTimeout(write, target.type === "range" ? 300 : 0);
    });
  }
  at("switches").addEventListener("submit", (event) => event.preventDefault());
  at("opacity").addEventListener("input", fade);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && now.shown) choose([], null); });
}

// The study before is taken away first: beside the error of a new one, its report would be read as the new one's.
// Of two that are read at once, the one asked for last is shown.
async function load(read, button) {
  const number = ++now.load, isLast = () => number === now.load;
  say("");
  Object.assign(now, { study: null, shown: null, request: now.request + 1 });
  at("case").hidden = true;
  clear();
  for (const other of at("examples").querySelectorAll("button")) other.removeAttribute("aria-current");
  document.body.classList.add("busy");
  try {
    const study = await read();
    if (!isLast()) return;
    now.study = study;
    at("memories").checked = true;
    at("mirrored").checked = false;
    at("operating_point").value = 0.5;
    turned();
    showFilms(study.films);
    button?.setAttribute("aria-current", "true");
    document.body.classList.add("loaded");
    at("case").hidden = false;
    at("set-aside").replaceChildren(...study.set_aside.map(({ path, reason }) => el("li", {}, `Set aside: ${path}: ${reason}`)));
    await write();
  } catch (error) {
    if (isLast()) say(error.message);
  } finally {
    if (isLast()) document.body.classList.remove("busy");
  }
}

// Takes away all that was written of a study; its films stay.
function clear() {
  for (const id of ["text", "findings", "cards", "warnings", "distance"]) at(id).replaceChildren();
  for (const id of ["memory", "trained-on", "distance-says", "how", "no-dicom", "operating-note"]) at(id).textContent = "";
  for (const id of ["marks", "sides", "fit", "recalled", "downloads"]) at(id).hidden = true;
  at("text").classList.remove("writing");
}

async function write() {
  if (!now.study) return;
  const { study, shown: before } = now, how = asked(), number = ++now.request;
  const isLast = () => number === now.request;
  say("");
  tellFilms(before ? before.views : study.films, how.mirrored);
  showMaps([]);
  showWriting("");
  at("how").textContent = "writing …";
  try {
    const shown = await describe(study.case, how, before && before.asked, (text) => isLast() && showWriting(text));
    if (isLast()) show(shown);
  } catch (error) {
    if (!isLast()) return;
    clear(); // the report before was asked for in another way
    now.shown = null;
    say(error.message);
  }
}

function show(shown) {
  now.shown = shown;
  tellFilms(shown.views, shown.asked.mirrored);
  showReport(shown, choose);
  showFindings(shown, choose);
  showCards(shown);
  showFit(shown);
  for (const id of ["fit", "recalled", "downloads"]) at(id).hidden = false;
  for (const [id, name] of [["get-json", "report.json"], ["get-pdf", "report.pdf"], ["get-dicom", "documents.zip"]]) {
    at(id).href = download(now.study.case, shown.asked, name);
  }
  if (!shown.is_dicom) at("get-dicom").removeAttribute("href");
  at("get-dicom").toggleAttribute("aria-disabled", !shown.is_dicom);
  at("no-dicom").textContent = shown.is_dicom ? "" : "DICOM documents need DICOM films, not mirrored.";
  const first = shown.findings.find((finding) => finding.present && finding.map);
  choose(first ? [first.name] : [], null);
}

// Shows the places of findings, and marks each button that names the same; one that is marked takes them away.
function choose(names, button) {
  const again = button?.getAttribute("aria-pressed") === "true";
  const chosen = again ? [] : names;
  for (const other of document.querySelectorAll("[data-findings]")) {
    other.setAttribute("aria-pressed", String(chosen.length > 0 && other.dataset.findings === chosen.join("|")));
  }
  showMaps(now.shown.findings.filter((finding) => chosen.includes(finding.name)));
  if (button) document.querySelector(".deciding")?.scrollIntoView({ block: "nearest" }); // on a phone, films are far above
}

function turned() {
  at("dial").querySelector("output").value = Number(at("operating_point").value);
}

function say(sentence) {
  at("error").textContent = sentence;
  at("error").hidden = !sentence;
}

function chooseTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark", at("theme").value ? at("theme").value === "dark" : dark.matches);
  at("theme").addEventListener("change", apply);
  dark.addEventListener("change", apply);
  apply();
}

start().catch((error) => say(error.message));
