// --- one described study -------------------------------------------------------------------------------------------------
const item = (words, kind = "") => make("li", kind ? { class: kind } : {}, words);
const of = (name) => data.findings.find((finding) => finding.name === name);
const present = data.findings.filter((finding) => finding.present && finding.name !== "No Finding").sort((a, b) => b.probability - a.probability);
const foundWords = present.map(({ name, place }) => [name, place && `(${place})`].filter(Boolean).join(" ")).join(", ");

$("title").textContent = data.title;
$("notice").textContent = data.notice;
$("found").textContent = foundWords ? `Found: ${foundWords}` : "No abnormal finding is above its threshold.";
if (!present.length) $("found").className = "none";
$("text").textContent = data.report || "The report is empty.";
$("warnings").append(...data.warnings.map((words) => item(words)));
$("warnings").hidden = !data.warnings.length;
$("notes").append(...data.notes.map((words) => item(words, words.startsWith("WARNING") ? "warns" : "")));
$("bars").append(findingBars(data.findings));
$("sentence").textContent = data.memory.sentence;
$("recalled").append(...[["Reasons", data.memory.reasons], ["Similar cases", data.memory.similar]].flatMap(([name, lines]) =>
  (lines.length ? [make("h3", {}, name), make("ul", {}, ...lines.map((words) => item(words)))] : [])));

const called = ({ number }) => (number ? `film ${number}` : "film");
$("films").append(filmViewer({
  alt: `Chest film of ${data.title.replace(/^.*: /, "")}. ${foundWords ? `Found: ${foundWords}.` : "Nothing is found."}`,
  films: data.films.map((film) => ({ ...film, name: [called(film), film.projection].filter(Boolean).join(", ") })),
  maps: data.maps.map((map) => {
    const { name, figures: { probability }, place, present: above } = of(map.finding);
    const where = data.films[map.film].number ? `, ${called(data.films[map.film])}` : "";
    return { ...map, name: `${name} ${probability}${where}`, words: [`map of ${name}`, place, `probability ${probability}`,
      above ? "above its threshold" : "not above its threshold"].filter(Boolean).join(", ") + where };
  }),
}));
