"use strict";
// Sorting, filtering and choosing columns of the tables by run; the data as CSV files; what is folded is printed too.

function numberOf(cell) { // "0.512 [0.490, 0.534]" counts as its first number
  const value = parseFloat(cell.textContent.replace(/,/g, ""));
  return Number.isNaN(value) ? null : value;
}

function compare(column, numeric, descending) {
  return (one, other) => {
    const a = one.cells[column], b = other.cells[column];
    if (numeric) {
      const x = numberOf(a), y = numberOf(b);
      if (x === null || y === null) return (x === null) - (y === null); // rows without a number come last
      return descending ? y - x : x - y;
    }
    if (!a.textContent || !b.textContent) return !a.textContent - !b.textContent;
    const order = a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
    return descending ? -order : order;
  };
}

function condition(word, names) { // "lr<0.01", "kind=relu", or text that some cell contains
  const match = /^(.+?)(<=|>=|!=|=|<|>)(.+)$/.exec(word);
  const column = match ? names.indexOf(match[1].toLowerCase()) : -1;
  if (column < 0) return row => row.textContent.toLowerCase().includes(word);
  const wanted = match[3], limit = Number(wanted);
  return row => {
    const cell = row.cells[column], value = numberOf(cell), text = cell.textContent.toLowerCase();
    const equal = text === wanted || (value !== null && value === limit);
    switch (match[2]) {
      case "=": return equal;
      case "!=": return !equal;
      case "<": return value !== null && value < limit;
      case ">": return value !== null && value > limit;
      case "<=": return value !== null && value <= limit;
      default: return value !== null && value >= limit;
    }
  };
}

function setUp(tool) {
  const table = document.getElementById(tool.dataset.table);
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const names = heads.map(head => head.dataset.name.toLowerCase());
  const shown = tool.querySelector("output"), filter = tool.querySelector("input[type=search]");
  let order = rows;

  function arrange() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(word => condition(word, names));
    const kept = [], others = [];
    for (const row of order) {
      const fits = words.every(holds => holds(row));
      row.hidden = !fits;
      (fits ? kept : others).push(row);
    }
    body.append(...kept, ...others);
    shown.value = kept.length === rows.length ? "" : `${kept.length} of ${rows.length} rows`;
  }

  function show(column, visible) {
    for (const row of [table.tHead.rows[0], ...rows]) row.cells[column].hidden = !visible;
  }

  heads.forEach((head, column) => {
    const numeric = head.classList.contains("n");
    head.querySelector("button").addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : head.dataset.first === "descending";
      heads.forEach(one => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      order = [...order].sort(compare(column, numeric, descending));
      arrange();
    });
  });
  tool.querySelectorAll("input[type=checkbox]").forEach((box, column) => {
    box.checked = box.defaultChecked; // a browser may remember another choice when a page is loaded again
    if (!box.checked) show(column, false);
    box.addEventListener("change", () => show(column, box.checked));
  });
  filter.value = "";
  filter.addEventListener("input", arrange);
}

async function save(button) {
  const packed = document.getElementById(button.dataset.csv).textContent.trim();
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const file = new Blob([await new Response(stream).arrayBuffer()], { type: "text/csv;charset=utf-8" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

document.querySelectorAll("[data-table]").forEach(setUp);
document.querySelectorAll("[data-csv]").forEach(button => {
  if (typeof DecompressionStream === "undefined") {
    button.disabled = true;
    button.title = "This browser is too old to unpack the file.";
  }
  button.addEventListener("click", () => save(button));
});
document.addEventListener("click", event => { // a list of columns closes when something else is clicked
  document.querySelectorAll(".tools details[open]").forEach(list => {
    if (!list.contains(event.target)) list.open = false;
  });
});
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("main details:not([open])")].filter(one => !one.closest(".tools"));
  opened.forEach(one => { one.open = true; });
});
addEventListener("afterprint", () => opened.forEach(one => { one.open = false; }));
