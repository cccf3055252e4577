// --- verdicts: what the scores say, doubts first ---------------------------------------------------------------------
const TILES = { clinical_micro_f1_13_neg: "findings (micro F1, 13)", location_side_f1: "their sides (F1)",
  location_level_f1: "their levels (F1)", cider: "wording (CIDEr)" };

// The reports' figure with its interval, beside the best baseline's.
function tile(key, values) {
  const [value, low, high] = values(data.systems[0])[key];
  const rivals = data.systems.filter((system) => system.group === "baselines" && values(system)[key] && values(system)[key][0] !== null);
  const best = rivals.reduce((a, b) => (a && values(a)[key][0] >= values(b)[key][0] ? a : b), null);
  const other = best ? values(best)[key][0] : null, end = Math.max(1, value, high, other);
  const rail = make("div", { class: "track", "aria-hidden": "true" }), at = (share) => `${100 * Math.max(0, share) / end}%`;
  const put = (kind, left, width) => {
    const mark = make("i", { class: kind });
    mark.style.left = at(left);
    if (width) mark.style.width = at(width);
    rail.append(mark);
  };
  if (low !== null) put("between", low, high - low);
  if (best) put("rival", other);
  put("own", value);
  return make("div", { class: "tile" }, make("span", { class: "note" }, TILES[key]), make("b", {}, short(value)),
    make("span", { class: "note" }, low === null ? "" : `${short(low)} – ${short(high)}`), rail,
    make("span", { class: "note" }, best ? `▏best baseline ${short(other)}: ${best.name}` : ""));
}

// Words in capitals, which are the verdict of a doubt, in bold.
const emphasised = (text) => text.split(/([A-Z]{2,}(?:[ -][A-Z]{2,})+)/).map((part, i) => (i % 2 ? make("b", {}, part) : part));

function showVerdicts() {
  const doubts = data.sentences.filter(({ alarm }) => alarm), others = data.sentences.filter(({ alarm }) => !alarm);
  const first = data.protocols[0], values = (system) => system.values[first];
  $("verdicts-title").textContent = `What the scores say: ${doubts.length || "no"} doubt${doubts.length === 1 ? "" : "s"} in ` +
    `${data.sentences.length} verdicts`;
  $("tiles").append(...Object.keys(TILES).filter((key) => (values(data.systems[0])[key] || [null])[0] !== null).map((key) => tile(key, values)));
  const plain = ({ text }) => make("li", {}, make("details", {}, make("summary", {}, make("span", {}, text))));
  const compared = others.filter(({ text }) => text.startsWith("Compared with "));
  $("sentences").append(...doubts.map(({ text, headline }) => make("li", { class: "doubt" },
    make("details", {}, make("summary", {}, headline), make("p", {}, ...emphasised(text))))),
    ...others.filter((each) => !compared.includes(each)).map(plain));
  if (compared.length) $("clear").append(make("summary", {}, `${compared.length} comparison${compared.length === 1 ? "" : "s"} without a doubt`), make("ul", {}, ...compared.map(plain)));
  $("figures").append(...data.figures.map((line) => make("li", {}, line)));
}
