// The films, their sides, and the maps that are laid over them.
import { at, el, percent } from "./dom.js";

export function showFilms(films, mirrored) {
  at("films").replaceChildren(...films.map((film, index) => {
    const plate = el("div", { class: "plate", style: { aspectRatio: `${film.width} / ${film.height}` } },
      el("img", { src: film.src, alt: `film ${index + 1}, ${film.projection}`, class: mirrored ? "flipped" : null }),
      (film.sides || []).map((side) => el("b", {}, side)),
      mirrored ? el("em", {}, "mirrored") : null);
    const read = film.is_read ? "" : " Not read: this model reads frontal films.";
    return el("figure", { "data-read": film.is_read, "data-number": index + 1 },
      plate, el("figcaption", {}, el("strong", {}, `${index + 1} · ${film.projection}`), ` ${film.name} (${film.why}).${read}`));
  }));
}

// Lays the maps of findings over the films that decide them; no finding: the films alone.
export function showMaps(findings) {
  const read = [...document.querySelectorAll("figure[data-read]")];
  for (const figure of document.querySelectorAll("figure")) {
    figure.classList.remove("deciding");
    figure.querySelectorAll(".map, i").forEach((layer) => layer.remove());
  }
  const shown = findings.filter((finding) => finding.map);
  for (const { name, map } of shown) {
    const figure = read[map.film];
    figure.classList.add("deciding");
    figure.querySelector(".plate").append(
      el("img", { class: "map", src: map.src, alt: `map of ${name}` }),
      el("i", { style: { left: percent(map.peak[0]), top: percent(map.peak[1]) } }));
  }
  fade();
  at("place-of").textContent = saying(findings, shown, read);
}

export function fade() {
  const share = at("opacity").value;
  at("opacity").nextElementSibling.value = `${share}%`;
  for (const layer of document.querySelectorAll(".map")) layer.style.opacity = share / 100;
}

function saying(findings, shown, read) {
  if (!findings.length) return "Choose a finding or a sentence to see its place.";
  if (!shown.length) return `${named(findings)}: its map shows no place.`;
  const where = [...new Set(shown.map((finding) => read[finding.map.film].dataset.number))].join(" and ");
  const absent = shown.every((finding) => !finding.present);
  const what = absent ? "where the model looked for" : "where the model sees";
  return `${document.querySelectorAll("figure").length > 1 ? `On film ${where}: ` : "On the film: "}${what} ${named(shown)}${absent ? ", which is below its threshold" : ""}.`;
}

const named = (findings) => findings.map((finding) => finding.name).join(", ");
