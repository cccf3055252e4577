// Bars of findings, those above their thresholds first: findingBars([{name, probability, threshold, present, place}]).
function findingBars(findings) {
  const sorted = [...findings].sort((a, b) => b.present - a.present || b.probability - a.probability);
  return make("ul", { class: "probabilities", "aria-label": "probability of each finding" },
    ...sorted.map(({ name, probability, threshold, present, place }) => {
      const fill = make("i", { class: "fill" }), limit = threshold === null ? null : make("i", { class: "limit" });
      fill.style.width = `${100 * probability}%`;
      if (limit) limit.style.left = `${100 * Math.min(1, Math.max(0, threshold))}%`;
      const state = threshold === null ? "threshold not known" : `${present ? "above" : "not above"} its threshold ${short(threshold, 2)}`;
      return make("li", { class: present ? (name === "No Finding" ? "present normal" : "present") : "", title: `${name}: ${short(probability, 2)}, ${state}` },
        make("span", {}, name, place ? make("span", { class: "place" }, ` ${place}`) : null),
        make("span", { class: "rail", "aria-hidden": "true" }, fill, limit),
        make("span", { class: "value" }, short(probability, 2), make("span", { class: "unseen-label" }, `, ${state}`)));
    }));
}
