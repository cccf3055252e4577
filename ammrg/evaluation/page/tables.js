// --- scores of all systems, in one table for each kind of metric -------------------------------------------------------
function showSummary() {
  const protocol = $("protocol").value;
  const known = data.columns.filter(({ key }) => data.systems[0].values[protocol][key]);
  const kinds = [...new Set(known.map(({ kind }) => kind))];
  $("summary").replaceChildren(...kinds.flatMap((kind) => {
    const columns = known.filter((column) => column.kind === kind);
    const rows = data.systems.map((system) => ({
      kind: system.group ? "" : "ours",
      row: [[system.name, system.note ? make("small", {}, system.note) : null], ...columns.map(({ key }) => {
        const row = system.values[protocol][key];
        return row ? [short(row[0]), row[1] === null ? null : make("small", {}, `${short(row[1])} – ${short(row[2])}`)] : "–";
      })],
    }));
    return [make("h3", {}, kind), tableBox(`scores: ${kind}`, ["reports", ...columns.map(({ label }) => label)], rows)];
  }));
  const compared = ["metric", "ours", "theirs", "difference", "95% from", "to", "p", "effect"];
  $("differences").replaceChildren(...Object.entries(data.differences[protocol]).map(([name, rows]) => make("div", {},
    make("h3", {}, `ours minus ${name}`),
    tableBox(`ours minus ${name}`, compared, rows.map(([label, ...values]) => ({ row: [label, ...values.map((value) => short(value))] }))))));
}

// --- recall ------------------------------------------------------------------------------------------------------------
function showRecall() {
  const { columns, rows, note } = data.recall;
  $("recall-section").hidden = !rows.length;
  if (rows.length) $("recall").replaceChildren(tableBox("recall", columns, rows.map((row) => ({ row }))));
  $("recall-note").textContent = note;
}

// --- findings --------------------------------------------------------------------------------------------------------
function showBars() {
  const rows = data.findings[$("uncertain").value];
  $("bars").replaceChildren(...rows.map((row, i) => {
    const track = make("span", { class: "track" });
    for (const part of ["f1", "precision", "recall"]) {
      const bar = make("i", { class: part });
      bar.style.width = `${100 * row[part]}%`;
      track.append(bar);
    }
    const figures = `F1 ${short(row.f1)}  P ${short(row.precision)}  R ${short(row.recall)}  ` +
      `in ${row.support} references, in ${row.predicted} reports`;
    return make("button", { type: "button", "aria-pressed": String(state.finding === i), onclick: () => {
      state.finding = state.finding === i ? -1 : i;
      $("finding").value = String(state.finding);
      filterStudies();
      showBars();
      $("bars").children[i].focus({ preventScroll: true });
    } }, make("span", {}, data.names[i]), track, make("span", { class: "note" }, figures));
  }));
}

// --- what the network found, beside what the reports say ----------------------------------------------------------------
function showFaithfulness() {
  if (!data.faithfulness) return;
  const columns = ["finding", "found", "said", "found, not said", "said, not found", "found, but denied"];
  $("faithfulness").replaceChildren(make("h3", {}, "the network's own table, beside its reports"),
    tableBox("what the network found and said", columns, data.faithfulness.map((row) => ({ row: row.map(String) }))));
}
