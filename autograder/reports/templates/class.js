"use strict";
// Sorts and filters the table of students. Without it everything is there, in the order of names.
const table = document.querySelector(".students");
const body = table.tBodies[0];
const rows = [...body.rows];
const find = document.getElementById("find");
const only = document.getElementById("only");
const shown = document.getElementById("shown");
const names = new Map(rows.map((row) => [row, row.querySelector("bdi").textContent.toLowerCase()]));
const natural = new Map(rows.map((row, index) => [row, index]));

function filter() {
  const text = find.value.trim().toLowerCase();
  let count = 0;
  for (const row of rows) {
    const flags = ` ${row.dataset.flags ?? ""} `;
    row.hidden = !(names.get(row).includes(text) && (!only.value || flags.includes(` ${only.value} `)));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length}`;
}

function value(row, column) {
  const cell = row.cells[column];
  const found = (cell.dataset.v ?? cell.textContent).match(/-?[0-9.]+/);
  return found ? Number(found[0]) : -1;
}

function sort(head, column) {
  const up = head.getAttribute("aria-sort") === "descending";
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = column === 0 ? (row) => -natural.get(row) : (row) => value(row, column);
  const keys = new Map(rows.map((row) => [row, key(row)]));
  const order = [...rows].sort((a, b) => keys.get(b) - keys.get(a) || natural.get(a) - natural.get(b));
  body.append(...(up ? order.reverse() : order));
}

[...table.tHead.rows[1].cells].forEach((head, column) => {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  button.addEventListener("click", () => sort(head, column));
  head.append(button);
});
find.addEventListener("input", filter);
only.addEventListener("change", filter);
document.querySelector(".controls").hidden = false;
filter();
