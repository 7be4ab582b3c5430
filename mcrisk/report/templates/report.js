"use strict";
// Sorting, filtering and CSV export. The page says everything without it.
const key = (cell) => cell.dataset.v ?? cell.textContent.trim();
const numberOf = (text) => (text === "inf" ? Infinity : text === "" || text === "nan" ? NaN : Number(text));

function compare(a, b, numeric, direction) {
  if (!numeric) return direction * a.localeCompare(b, "en", { numeric: true });
  const x = numberOf(a), y = numberOf(b);
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // unknown always last
  return x === y ? 0 : direction * (x < y ? -1 : 1);
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("num"));
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const filled = rows.map((r) => r.cells[column].dataset.v).filter((v) => v !== undefined);
      const numeric = filled.length > 0 && filled.every((v) => v === "nan" || v === "inf" || v === "-inf" || !Number.isNaN(Number(v)));
      const value = (row) => row.cells[column].dataset.v ?? (numeric ? "nan" : key(row.cells[column]));
      rows.sort((a, b) => compare(value(a), value(b), numeric, up ? 1 : -1));
      table.tBodies[0].append(...rows);
    });
  });
}

// A text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers.
function csvField(text) {
  const guarded = /^[=+\-@\t]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

function csvOf(table) {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  const ranged = heads.map((_, c) => rows.some((r) => r.cells[c].dataset.lo !== undefined));
  const judged = heads.map((_, c) => rows.some((r) => r.cells[c].dataset.word !== undefined));
  const meant = heads.map((_, c) => rows.some((r) => r.cells[c].dataset.means !== undefined));
  const title = (h) => [...h.querySelectorAll("button")].map((b) => [...b.childNodes].map((n) => n.textContent.trim()).join(" "))[0];
  const first = heads.flatMap((h, c) => [title(h), ...(ranged[c] ? [`${title(h)} lower`, `${title(h)} upper`] : []), ...(judged[c] ? [`${title(h)} verdict`] : []), ...(meant[c] ? [`${title(h)} meaning`] : [])]);
  const clean = (v) => (v === undefined || v === "nan" ? "" : v);
  const body = rows.map((r) => [...r.cells].flatMap((cell, c) => [
    clean(cell.dataset.v), ...(ranged[c] ? [clean(cell.dataset.lo), clean(cell.dataset.hi)] : []), ...(judged[c] ? [cell.dataset.word ?? ""] : []),
    ...(meant[c] ? [cell.dataset.means ?? ""] : [])]));
  return [first, ...body].map((r) => r.map(csvField).join(",")).join("\r\n") + "\r\n";
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function tools(table) {
  const bar = document.createElement("div");
  bar.className = "tools";
  const rows = [...table.tBodies[0].rows];
  if (rows.length > 16) {
    const box = document.createElement("input"), shown = document.createElement("output");
    box.type = "search";
    box.placeholder = "Filter rows";
    box.setAttribute("aria-label", `Filter rows of: ${table.caption.textContent}`);
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((r) => { r.hidden = !words.every((w) => r.textContent.toLowerCase().includes(w)); });
      shown.textContent = words.length ? `${rows.filter((r) => !r.hidden).length} of ${rows.length}` : "";
    });
    bar.append(box, shown);
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "CSV";
  button.setAttribute("aria-label", `Save as CSV: ${table.caption.textContent}`);
  button.addEventListener("click", () => save(`${table.dataset.name}.csv`, csvOf(table)));
  bar.append(button);
  table.parentElement.before(bar);
}

document.querySelectorAll("table").forEach((table) => { sortable(table); tools(table); });
