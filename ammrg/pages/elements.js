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
const short = (value, digits = 3) => (value === null || value === undefined ? "–" : (+value.toFixed(digits) || 0).toFixed(digits));

// A table in a box of its own, which scrolls where the page is narrower, can then be reached by keyboard, and says so.
const watcher = new ResizeObserver((seen) => seen.forEach(({ target }) => {
  const box = target.tagName === "TABLE" ? target.parentElement : target, scrolls = box.scrollWidth > box.clientWidth + 1;
  box.classList.toggle("scrolls", scrolls);
  if (scrolls) box.setAttribute("tabindex", "0"); else box.removeAttribute("tabindex");
}));
function tableBox(label, columns, rows, attributes = {}) {
  const cells = (row, kind) => row.map((cell, i) => {
    const element = kind === "th" ? make("th", { scope: "col" }) : make(i ? "td" : "th", i ? {} : { scope: "row" });
    element.append(...(Array.isArray(cell) ? cell.filter((part) => part !== null) : [cell]));
    return element;
  });
  const table = make("table", attributes, make("thead", {}, make("tr", {}, ...cells(columns, "th"))),
    make("tbody", {}, ...rows.map(({ row, kind }) => make("tr", kind ? { class: kind } : {}, ...cells(row, "td")))));
  const box = make("div", { class: "wide", role: "region", "aria-label": label }, table);
  watcher.observe(box);
  watcher.observe(table);
  return make("div", {}, make("p", { class: "hint", "aria-hidden": "true" }, "⇆ this table is wider than the page: it scrolls sideways"), box);
}
