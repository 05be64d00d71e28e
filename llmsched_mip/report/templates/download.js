// All results as a CSV file, made here from the data in the page.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  // A spreadsheet would take such text for a formula.
  const text = /^[=+\-@\t\r]/.test(String(value)) ? "'" + value : String(value);
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

// A column that repeats itself comes as its different values and an index into them.
function unpacked(column) {
  return Array.isArray(column) ? column : column.index.map((k) => column.values[k]);
}

function csvOf(packed) {
  const names = Object.keys(packed);
  const columns = Object.fromEntries(names.map((name) => [name, unpacked(packed[name])]));
  const count = names.length ? columns[names[0]].length : 0;
  const lines = [names.map(csvCell).join(",")];
  for (let k = 0; k < count; k += 1) lines.push(names.map((name) => csvCell(columns[name][k])).join(","));
  return lines.join("\n") + "\n";
}

function startDownload(columns, name) {
  document.getElementById("download").addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([csvOf(columns)], { type: "text/csv;charset=utf-8" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}
