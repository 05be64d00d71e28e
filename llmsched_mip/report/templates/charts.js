// The ordinary charts: plotly draws them when they come near the screen, in the colours of the theme.
function axisTheme(axis) {
  const base = {
    gridcolor: color("grid"), linecolor: color("rule"), zerolinecolor: color("rule"), tickcolor: color("rule"),
    ticks: "outside", ticklen: 4, automargin: true,
  };
  const own = { ...base, ...axis };
  own.title = { standoff: 8, font: { size: 13 }, ...(axis || {}).title };
  return own;
}

function themedLayout(layout, figure, width) {
  const small = width < 520;
  return {
    ...layout,
    height: layout.height || figure.height,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("ink") },
    paper_bgcolor: color("page"), plot_bgcolor: color("page"),
    margin: { l: 56, r: 16, t: 30, b: 48, ...(layout.margin || {}) },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left", traceorder: "normal", font: { size: 12 } },
    hoverlabel: { bgcolor: color("page"), bordercolor: color("quiet"), font: { color: color("ink"), size: 13 }, namelength: -1 },
    annotations: (layout.annotations || []).map((own) => ({ font: { size: 12, color: color("ink") }, ...own })),
    hovermode: "closest",
    dragmode: small ? false : "zoom",
    xaxis: axisTheme(layout.xaxis),
    yaxis: axisTheme(layout.yaxis),
  };
}

class Chart {
  constructor(holder, figure) {
    this.holder = holder;
    this.figure = figure;
    this.view = 0;
    this.drawn = false;
    this.plot = holder.querySelector(".plot");
    this.plot.style.minHeight = (figure.views[0].layout.height || figure.height) + "px";
    this.select = holder.querySelector("select");
    if (this.select) {
      figure.views.forEach((view, k) => this.select.add(new Option(view.label, String(k))));
      this.select.addEventListener("change", () => {
        this.view = Number(this.select.value);
        this.draw();
      });
    }
    window.addEventListener("themechange", () => this.drawn && this.draw());
  }

  draw() {
    this.drawn = true;
    const view = this.figure.views[this.view];
    const layout = themedLayout(view.layout, this.figure, this.plot.clientWidth);
    this.plot.style.minHeight = layout.height + "px";
    const config = {
      responsive: true, displaylogo: false, displayModeBar: this.plot.clientWidth < 520 ? false : "hover",
      modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    };
    return Plotly.react(this.plot, view.data, layout, config);
  }
}

function startCharts(figures) {
  const charts = Array.from(document.querySelectorAll("figure[data-chart]"), (holder) => {
    const chart = new Chart(holder, figures[holder.dataset.chart]);
    holder.chart = chart;
    return chart;
  });
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        near.unobserve(entry.target);
        entry.target.chart.draw();
      }
    }
  }, { rootMargin: "300px" });
  charts.forEach((chart) => near.observe(chart.holder));
  window.addEventListener("beforeprint", () => charts.forEach((chart) => chart.drawn || chart.draw()));
}
