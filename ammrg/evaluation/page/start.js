// --- start -------------------------------------------------------------------------------------------------------------
$("title").textContent = data.title;
$("facts").textContent = data.facts;
$("notice").textContent = data.notice;
if (data.restricted) { $("restricted").textContent = data.restricted; $("restricted").hidden = false; }
$("protocol").append(...data.protocols.map((name) => make("option", { value: name }, name)));
$("protocol").addEventListener("change", showSummary);
$("uncertain").addEventListener("change", showBars);
startStudies();
showVerdicts();
filterStudies();
showSummary();
showRecall();
showBars();
showFaithfulness();
openAddress();
// Paper cannot be clicked.
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
