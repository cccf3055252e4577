// Recalled regions and reports. Only those whose influence is beyond its threshold are called reasons.
import { at, el, percent } from "./dom.js";

const LUNGS = "M46 14c-14 0-24 22-26 44-1 14-1 28 3 29 5 1 20-3 23-9z M54 14c14 0 24 22 26 44 1 14 1 28-3 29-5 1-20-3-23-9z";

export function showCards(shown) {
  at("memory").textContent = shown.memory;
  at("cards").replaceChildren(...shown.cases.map(card));
}

function card(found) {
  const kind = found.is_reason ? "reason" : "similar case";
  const what = found.kind === "reports" ? "Report" : `${found.finding}${found.place && `, ${found.place}`}`;
  const asked = found.query ? `for ${found.query}, ` : "";
  const owner = found.owner === "disease query" ? "a learned query, of no study" : `of ${found.owner}`;
  return el("li", { class: found.is_reason ? "reason" : null },
    el("div", { class: "kind" }, kind),
    found.box ? region(found.box) : null,
    el("div", { class: "body" },
      el("h3", {}, what),
      el("small", {}, `${asked}${owner}`),
      found.text ? el("blockquote", {}, found.text) : null),
    el("dl", {},
      row("weight", bar(found.weight, null), found.weight.toFixed(2)),
      found.influence === null ? [] : influence(found)));
}

// Where the region lies on its own film, which the memory does not hold.
function region([x0, y0, x1, y1]) {
  return el("svg", { viewBox: "0 0 100 100", role: "img", "aria-label": "place of the region on its film" },
    el("path", { d: LUNGS }),
    el("rect", { x: 100 * x0, y: 100 * y0, width: 100 * (x1 - x0), height: 100 * (y1 - y0) }));
}

function influence({ influence: value, limit }) {
  const most = limit === null ? Math.abs(value) : 2 * limit;
  const beyond = limit === null ? "" : `, a reason has more than ${limit.toFixed(2)}`;
  const shown = el("span", {}, `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(Math.abs(value) < 0.1 ? 3 : 2)} nats`);
  shown.title = `influence on the report${beyond}`;
  return row("influence", bar(value / (most || 1), limit === null ? null : 0.5), shown);
}

const row = (name, shown, value) => [el("dt", {}, name), el("dd", {}, shown), el("dd", {}, value)];

function bar(share, limit) {
  return el("div", { class: "bar" }, el("u", { style: { width: percent(share) } }),
    limit === null ? null : el("s", { style: { left: percent(limit) } }));
}
