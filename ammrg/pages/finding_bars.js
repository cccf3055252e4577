// Bars of findings, those above their thresholds first: findingBars([{name, probability, threshold, present, place, figures}]).
// figures: both as text, with as many decimals as tell which is greater; two where left out.
function findingBars(findings) {
  const sorted = [...findings].sort((a, b) => b.present - a.present || b.probability - a.probability);
  return make("ul", { class: "probabilities", "aria-label": "probability of each finding" },
    ...sorted.map(({ name, probability, threshold, present, place, figures }) => {
      const shown = figures || { probability: short(probability, 2), threshold: short(threshold, 2) };
      const fill = make("i", { class: "fill" }), limit = threshold === null ? null : make("i", { class: "limit" });
      fill.style.width = `${100 * probability}%`;
      if (limit) limit.style.left = `${100 * Math.min(1, Math.max(0, threshold))}%`;
      const state = threshold === null ? "threshold not known" : `${present ? "above" : "not above"} its threshold ${shown.threshold}`;
      return make("li", { class: present ? (name === "No Finding" ? "present normal" : "present") : "", title: `${name}: ${shown.probability}, ${state}` },
        make("span", {}, name, place ? make("span", { class: "place" }, ` ${place}`) : null),
        make("span", { class: "rail", "aria-hidden": "true" }, fill, limit),
        make("span", { class: "value" }, shown.probability, make("span", { class: "unseen-label" }, `, ${state}`)));
    }));
}
