// The films, their sides, and the maps that are laid over them.
import { at, el, percent } from "./dom.js";

const CHOICES = { "": "as the file says", frontal: "frontal", lateral: "lateral" };

// Shows the films of a study, each with a choice of its projection; tellFilms says how they are read.
export function showFilms(films) {
  at("films").replaceChildren(...films.map((film, index) => el("figure", { "data-number": index + 1 },
    el("div", { class: "plate", style: { aspectRatio: `${film.width} / ${film.height}` } }, el("img", { class: "film", src: film.src })),
    el("figcaption", {}, el("span", {}), " ",
      el("label", {}, "Read ", el("select", { "aria-label": `Film ${index + 1}: its projection` },
        Object.entries(CHOICES).map(([value, words]) => el("option", { value }, words))))))));
  tellFilms(films, false);
}

export function tellFilms(views, mirrored) {
  for (const [index, figure] of document.querySelectorAll("figure").entries()) {
    const { name, projection, why, sides, is_read: isRead } = views[index];
    const film = figure.querySelector(".film");
    film.alt = `film ${index + 1}, ${projection}`;
    film.classList.toggle("flipped", mirrored);
    figure.querySelectorAll("b, em").forEach((mark) => mark.remove());
    figure.querySelector(".plate").append(...(sides || []).map((side) => el("b", {}, side)), ...(mirrored ? [el("em", {}, "mirrored")] : []));
    figure.toggleAttribute("data-read", isRead);
    figure.querySelector("figcaption span").replaceChildren(el("strong", {}, `${index + 1} · ${projection}`),
      ` ${name} (${why}).${isRead ? "" : " Not read: this model reads frontal films."}`);
  }
}

// The projections that were chosen, in the order of the films.
export const chosenProjections = () => [...document.querySelectorAll("figure select")].map(({ value }) => value).join(",");

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
