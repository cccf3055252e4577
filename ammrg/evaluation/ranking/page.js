// --- one table of all systems, and one for each column of groups --------------------------------------------------------
$("notice").textContent = data.notice;
$("title").textContent = data.title;
const MARKS = { best: "best", close: "not clearly below the best" };
const small = (text) => (text ? make("small", {}, text) : null);
const cellOf = ({ value, mark, interval, rank, below }) => [
  mark ? make(mark === "best" ? "b" : "span", { title: MARKS[mark] }, mark === "best" ? value : `${value}†`) : value,
  small(interval), small(rank && `rank ${rank}`), small(below)];
const [main, ...groups] = data.tables.map(({ title, columns, rows, note }) => make("section", {},
  make("h2", {}, title),
  tableBox(title, ["system", ...columns], rows.map(({ label, cells }) => ({ row: [label, ...cells.map(cellOf)] }))),
  make("p", { class: "note" }, note)));
$("tables").replaceChildren(main);
$("groups").replaceChildren(...groups);
$("said").hidden = !data.sentences.length && !data.alarms.length;
const listed = (texts) => texts.map((text) => make("li", {}, text));
$("sentences").replaceChildren(...listed(data.sentences));
$("alarms").replaceChildren(...data.alarms.flatMap(([name, alarms]) => [
  make("h3", {}, `Alarms of ${name}`), make("ul", { class: "alarms" }, ...listed(alarms))]));
