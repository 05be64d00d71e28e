// The chart as a reader meets it: choice of schedule, zoom, pan, hover, keyboard.
const LEAST_LANES = 4;

class Gantt {
  constructor(holder, schedules) {
    this.holder = holder;
    this.schedules = schedules;
    this.stage = holder.querySelector(".stage");
    [this.base, this.over] = holder.querySelectorAll("canvas");
    this.tip = holder.querySelector(".tip");
    this.readout = holder.querySelector(".readout");
    this.choice = holder.querySelector("select.schedule");
    this.workerChoice = holder.querySelector("select.worker");
    this.pointers = new Map();
    schedules.forEach((own, k) => this.choice.add(new Option(own.title, String(k))));
    this.choice.hidden = schedules.length < 2;
    this.choice.addEventListener("change", () => this.choose(Number(this.choice.value)));
    this.workerChoice.addEventListener("change", () => this.open(Number(this.workerChoice.value)));
    this.listen();
    this.choose(0);
  }

  choose(k) {
    this.schedule = this.schedules[k];
    this.workerChoice.replaceChildren(...this.schedule.workers.map((own, w) => new Option("worker " + own.name, String(w))));
    this.workerChoice.hidden = this.schedule.workers.length < 2;
    this.facts();
    this.legend();
    this.open(0);
  }

  open(w) {
    this.model = new GanttModel(this.schedule, this.schedule.workers[w]);
    this.reset();
  }

  facts() {
    const { makespan, utilization, prefill_iterations: prefills, decode_rounds: rounds, title } = this.schedule;
    const parts = ["makespan " + makespan.toFixed(3) + " s"];
    if (utilization !== null) parts.push("utilization " + (100 * utilization).toFixed(1) + " %");
    parts.push(prefills + " prefill iterations", rounds + " decode rounds");
    this.holder.querySelector("h3").textContent = title;
    this.holder.querySelector(".facts").textContent = parts.join(" · ");
  }

  legend() {
    const entry = (name, text) => {
      const own = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = "var(--" + name + ")";
      own.append(swatch, text);
      return own;
    };
    const parts = [entry("prefill", "prefill iteration of the request"), entry("stall", "decode stalled by a prefill"), entry("panel", "idle")];
    parts[2].firstChild.style.outline = "1px solid var(--rule)";
    let least = 1;
    this.schedule.shades.forEach((edge, k) => {
      const range = edge > least ? least + "–" + edge : String(edge);
      parts.push(entry("shade-" + this.schedule.colors[k], (k === 0 ? "decode, output tokens " : "") + range));
      least = edge + 1;
    });
    this.holder.querySelector(".legend").replaceChildren(...parts);
  }

  reset() {
    this.view = { from: 0, to: this.model.makespan, top: 0, bottom: this.model.lanes };
    this.draw();
  }

  draw() {
    this.hide();
    this.layout = ganttLayout(this.model, this.stage.clientWidth || 600);
    colorCache.refresh();
    const context = fitCanvas(this.base, this.layout);
    fitCanvas(this.over, this.layout);
    new GanttPainter(this.model, this.layout, this.view, context).draw();
    const { from, to, top, bottom } = this.view;
    Object.assign(this.holder.dataset, { from, to, top, bottom });
    const digits = Math.max(1, Math.min(6, 2 - Math.floor(Math.log10(to - from))));
    const lanes = bottom - top < this.model.lanes ? `, ${this.model.laneName}s ${Math.floor(top)} to ${Math.ceil(bottom) - 1}` : "";
    this.readout.textContent = `Shown: ${from.toFixed(digits)} s to ${to.toFixed(digits)} s${lanes}`;
  }

  drawSoon() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = null;
      this.draw();
    });
  }

  zoom(factor, at = 0.5) {
    const { from, to } = this.view;
    const span = Math.min(this.model.makespan, Math.max(this.model.makespan * 1e-4, (to - from) * factor));
    const start = from + at * (to - from) - at * span;
    this.setTime(start, span);
  }

  setTime(start, span) {
    this.view.from = Math.min(Math.max(0, start), this.model.makespan - span);
    this.view.to = this.view.from + span;
    this.drawSoon();
  }

  zoomLanes(factor, at = 0.5) {
    const { top, bottom } = this.view;
    const span = Math.min(this.model.lanes, Math.max(Math.min(LEAST_LANES, this.model.lanes), (bottom - top) * factor));
    this.setLanes(top + at * (bottom - top) - at * span, span);
  }

  setLanes(start, span) {
    this.view.top = Math.min(Math.max(0, start), this.model.lanes - span);
    this.view.bottom = this.view.top + span;
    this.drawSoon();
  }

  pan(times, lanes) {
    const { from, to, top, bottom } = this.view;
    if (times) this.setTime(from + times * (to - from), to - from);
    if (lanes) this.setLanes(top + lanes * (bottom - top), bottom - top);
  }

  listen() {
    const actions = {
      ArrowLeft: () => this.pan(-0.15, 0), ArrowRight: () => this.pan(0.15, 0),
      ArrowUp: () => this.pan(0, -0.15), ArrowDown: () => this.pan(0, 0.15),
      "+": () => this.zoom(1 / 1.5), "=": () => this.zoom(1 / 1.5), "-": () => this.zoom(1.5), "_": () => this.zoom(1.5),
      "0": () => this.reset(), Home: () => this.reset(), Escape: () => this.hide(),
      PageUp: () => this.zoomLanes(1 / 1.5), PageDown: () => this.zoomLanes(1.5),
    };
    this.stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    });
    const click = (name, act) => this.holder.querySelector("button." + name).addEventListener("click", act);
    click("in", () => this.zoom(1 / 1.5));
    click("out", () => this.zoom(1.5));
    click("taller", () => this.zoomLanes(1 / 1.5));
    click("reset", () => this.reset());
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"]) {
      this.stage.addEventListener(name, (event) => this[name](event));
    }
    window.addEventListener("themechange", () => this.drawSoon());
    new ResizeObserver(() => {
      if (this.layout && Math.abs(this.stage.clientWidth - this.layout.width) > 0.5) this.drawSoon();
    }).observe(this.stage);
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  wheel(event) {
    const { x, y } = this.place(event);
    const whole = this.view.from <= 0 && this.view.to >= this.model.makespan;
    const change = event.deltaY || event.deltaX;
    // Fully zoomed out, the page scrolls on.
    if (change > 0 && whole && !event.shiftKey) return;
    event.preventDefault();
    const factor = Math.exp(Math.max(-120, Math.min(120, change)) * 0.0025);
    if (event.shiftKey) this.zoomLanes(factor, Math.min(1, Math.max(0, (y - this.layout.top) / this.layout.lanesHeight)));
    else this.zoom(factor, Math.min(1, Math.max(0, (x - this.layout.left) / this.layout.across)));
  }

  pointerdown(event) {
    if (event.button > 0) return;
    this.pointers.set(event.pointerId, this.place(event));
    if (event.pointerType !== "touch") this.stage.setPointerCapture(event.pointerId);
    this.stage.classList.add("dragging");
    if (event.pointerType === "touch") this.hover(this.place(event));
  }

  pointermove(event) {
    const now = this.place(event), before = this.pointers.get(event.pointerId);
    if (!before) {
      this.hover(now);
      return;
    }
    const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, own]) => own);
    this.pointers.set(event.pointerId, now);
    this.hide();
    if (others.length) {
      const apart = (own) => Math.max(20, Math.hypot(own.x - others[0].x, own.y - others[0].y));
      this.zoom(apart(before) / apart(now), ((now.x + others[0].x) / 2 - this.layout.left) / this.layout.across);
      return;
    }
    this.pan((before.x - now.x) / this.layout.across, (before.y - now.y) / this.layout.lanesHeight);
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.stage.classList.remove("dragging");
  }

  pointercancel(event) { this.pointerup(event); }

  pointerleave(event) {
    this.pointerup(event);
    this.hide();
  }

  hide() {
    this.tip.hidden = true;
    if (this.layout) this.over.getContext("2d").clearRect(0, 0, this.layout.width, this.layout.height);
  }

  hover({ x, y }) {
    const { layout, view, model } = this;
    this.hide();
    if (x < layout.left || x > layout.left + layout.across || y < layout.top || y > layout.bottom) return;
    const time = view.from + ((x - layout.left) / layout.across) * (view.to - view.from);
    const inside = y < layout.top + layout.lanesHeight;
    const lane = inside ? Math.floor(view.top + ((y - layout.top) / layout.lanesHeight) * (view.bottom - view.top)) : -1;
    const bar = inside && lane < model.lanes ? model.barAt(lane, time) : -1;
    this.mark(x, bar, lane);
    const lines = [...this.barLines(bar, lane), ...this.runLines(time)];
    this.tip.replaceChildren(...lines.map((text, k) => {
      const line = document.createElement(k === 0 ? "b" : "div");
      line.textContent = text;
      return line;
    }));
    this.tip.hidden = false;
    const wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
    const left = x + 16 + wide > layout.width ? Math.max(0, x - wide - 16) : x + 16;
    this.tip.style.left = left + "px";
    this.tip.style.top = Math.max(0, Math.min(y + 12, layout.height - high)) + "px";
  }

  mark(x, bar, lane) {
    const context = this.over.getContext("2d"), { layout, view } = this;
    context.strokeStyle = color("quiet");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, layout.top);
    context.lineTo(x, layout.bottom);
    context.stroke();
    if (bar < 0) return;
    const painter = new GanttPainter(this.model, layout, view, context), { bars } = this.model.worker;
    const left = Math.max(layout.left, painter.x(bars.prefill[bar]));
    const right = Math.min(layout.left + layout.across, painter.x(bars.end[bar]));
    context.strokeStyle = color("ink");
    context.lineWidth = 1.5;
    context.strokeRect(left, painter.y(lane) - 0.5, right - left, painter.y(lane + 1) - painter.y(lane));
  }

  barLines(bar, lane) {
    if (lane < 0) return [];
    const { bars } = this.model.worker, where = `${this.model.laneName} ${lane}`;
    if (bar < 0) return [where + ": idle"];
    return [
      bars.id[bar],
      `${where}, ${bars.prompt[bar]} prompt tokens, ${bars.output[bar]} output tokens`,
      `prefill ${bars.prefill[bar]} s to ${bars.decode[bar]} s`,
      `decode to ${bars.end[bar]} s`,
    ];
  }

  runLines(time) {
    const { runs } = this.model.worker, k = this.model.runAt(time);
    const at = `at ${time.toPrecision(6)} s: `;
    if (k < 0) return [at + "the worker waits"];
    const state = runs.prefill[k] ? `prefill iteration of ${runs.tokens[k]} tokens` : "decode";
    return [`${at}${state}, ${runs.held[k]} ${this.model.laneName === "slot" ? "slots" : "requests"} held, KV ${this.model.kvAt(k, time).toLocaleString("en")} tokens`];
  }
}

// Reading a custom property for each of a thousand bars would cost more than drawing them.
const colorCache = { prefill: "", refresh() { this.prefill = color("prefill"); } };

function startGantts(schedules) {
  const holder = document.querySelector(".gantt");
  if (holder && schedules.length) holder.chart = new Gantt(holder, schedules);
}
