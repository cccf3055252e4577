// The report, what changed in it, its findings and its warnings.
import { at, el, percent } from "./dom.js";

const TAGS = { same: "span", new: "ins", gone: "del" };

export function showWriting(text) {
  at("text").classList.add("writing");
  at("text").textContent = text;
}

export function showReport(shown, choose) {
  at("text").classList.remove("writing");
  at("how").textContent = shown.title;
  at("text").replaceChildren(...shown.sentences.flatMap(({ pieces, says }) => {
    const words = pieces.flatMap(({ kind, text }) => [el(TAGS[kind], {}, text), " "]);
    words.pop();
    const names = Object.keys(says);
    const title = names.map((name) => `${name}: ${says[name]}`).join("; ");
    if (!names.length) return [...words, " "];
    const button = el("button", { type: "button", title, "aria-pressed": "false", "data-findings": names.join("|"), on: { click: () => choose(names, button) } }, words);
    return [button, " "];
  }));
  at("marks").hidden = shown.before === null;
  const changed = shown.sentences.some(({ pieces }) => pieces.some(({ kind }) => kind !== "same"));
  at("marks").replaceChildren(...(changed
    ? [`Compared with the report before (${shown.before}): `, el("ins", {}, "new"), " ", el("del", {}, "gone")]
    : [`Compared with the report before (${shown.before}), no word changed.`]));
  showSides(shown.sides);
  at("warnings").replaceChildren(...shown.warnings.map((text) => el("li", {}, text)));
}

function showSides(sides) {
  at("sides").hidden = sides === null;
  if (sides === null) return;
  at("sides").replaceChildren(el("strong", {}, sides.sentence), el("ul", {}, sides.findings.map(
    ({ finding, before, after, outcome }) => el("li", { class: outcome }, `${finding}: ${before} → ${after}`))));
}

export function showFindings(shown, choose) {
  at("operating-note").textContent = shown.operating_note;
  at("findings").replaceChildren(...shown.findings.map((finding) => {
    const { name, value, threshold, figures, present, place, before } = finding;
    const moved = before && Math.abs(before.value - value) >= 0.01;
    const turned = before && before.threshold !== null && before.threshold !== threshold;
    const crossed = before && before.present !== present;
    const note = [place, crossed ? (present ? "now present" : "no longer present") : ""].filter(Boolean);
    const limit = threshold === null ? "never called present" : `threshold ${figures.threshold}`;
    const button = el("button", { type: "button", "aria-pressed": "false", "data-findings": name, title: limit,
        "aria-label": `${name}: probability ${figures.probability}, ${limit}, ${present ? "present" : "not present"}`,
        on: { click: () => choose([name], button) } },
      el("span", { class: "name" }, name, note.length ? el("small", { class: crossed ? "changed" : null }, note.join(" · ")) : null),
      el("span", { class: "track" },
        el("span", { class: "fill", style: { width: percent(value) } }),
        threshold === null ? null : el("span", { class: "limit", style: { left: percent(threshold) } }),
        turned ? el("span", { class: "limit was-limit", title: `threshold before: ${before.figures.threshold}`, style: { left: percent(before.threshold) } }) : null,
        moved ? el("span", { class: "was", title: `before: ${before.figures.probability}`, style: { left: percent(before.value) } }) : null),
      el("span", { class: "value" }, figures.probability));
    return el("li", { class: `${present ? "present" : ""}${name === "No Finding" ? " healthy" : ""}` }, button);
  }));
}

export function showFit({ trained_on: trained, distance }) {
  at("trained-on").textContent = trained;
  at("distance-says").textContent = distance.sentence;
  at("distance-says").className = distance.warns ? "far" : "";
  at("distance").hidden = !distance.distances;
  const marks = (distance.distances || []).map((value) =>
    el("div", { class: "mark", title: value.toFixed(2), style: { left: percent(value / 2) } }));
  at("distance").replaceChildren(el("div", { class: "scale" }), ...marks,
    el("span", { class: "first", style: { left: "0" } }, "like them"),
    el("span", { style: { left: "50%" } }, "99 in 100 are below"),
    el("span", { class: "last", style: { left: "100%" } }, "unlike"));
}
