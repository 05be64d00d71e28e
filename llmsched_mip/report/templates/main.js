// Starts everything; the mark says when the page answers to the reader.
const data = JSON.parse(document.getElementById("data").textContent);
startTheme();
if (data.columns) {
  startTables();
  startDownload(data.columns, data.file);
}
startGantts(data.schedules || []);
if (data.charts) startCharts(data.charts);
root.dataset.ready = "yes";
performance.mark("llmsched-interactive");
