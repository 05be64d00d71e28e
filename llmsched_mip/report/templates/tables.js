// Sorting by click and keyboard, and filtering, of every table with the class "sortable".
function cellKey(row, column) {
  const cell = row.cells[column];
  const given = cell.dataset.value;
  if (given === undefined) return cell.textContent;
  return given === "" ? null : Number(given);
}

function compareKeys(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row, place) => ({ row, place, key: cellKey(row, column) }));
  keyed.sort((a, b) => {
    // Rows without a value stand last in both directions.
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
    return (descending ? -1 : 1) * compareKeys(a.key, b.key) || a.place - b.place;
  });
  body.append(...keyed.map((own) => own.row));
  Array.from(table.tHead.rows[0].cells, (head, k) => {
    head.setAttribute("aria-sort", k !== column ? "none" : descending ? "descending" : "ascending");
  });
}

function startSorting(table) {
  Array.from(table.tHead.rows[0].cells, (head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      sortTable(table, column, head.getAttribute("aria-sort") === "ascending");
    });
  });
}

function startFilter(input) {
  const table = document.getElementById(input.dataset.table);
  const count = document.getElementById(input.dataset.count);
  const rows = Array.from(table.tBodies[0].rows, (row) => ({ row, text: row.textContent.toLowerCase() }));
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown + " of " + rows.length + " rows";
  };
  input.addEventListener("input", apply);
  apply();
}

function startTables() {
  document.querySelectorAll("table.sortable").forEach(startSorting);
  document.querySelectorAll("input[data-table]").forEach(startFilter);
}
