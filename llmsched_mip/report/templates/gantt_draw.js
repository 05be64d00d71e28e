// Draws lanes, KV use and slots on one time axis.  A view is { from, to } in seconds and { top, bottom } in lanes.
const STRIP = 76, STRIP_GAP = 30, AXIS = 44, LEAST_WIDTH = 0.35, LEAST_PREFILL = 1.5;

function ganttLayout(model, width) {
  const small = width < 520;
  const wanted = model.lanes * (model.lanes > 80 ? (small ? 2 : 3) : model.lanes > 24 ? 8 : 20);
  const lanesHeight = Math.round(Math.min(small ? 420 : 640, Math.max(80, wanted)));
  const left = small ? 50 : 64, right = 12, top = 8;
  const kvTop = top + lanesHeight + STRIP_GAP, heldTop = kvTop + STRIP + STRIP_GAP;
  return {
    width, left, right, top, lanesHeight, kvTop, heldTop, small,
    across: width - left - right, bottom: heldTop + STRIP, height: heldTop + STRIP + AXIS,
  };
}

function fitCanvas(canvas, layout) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(layout.width * ratio);
  canvas.height = Math.round(layout.height * ratio);
  canvas.style.height = layout.height + "px";
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

class GanttPainter {
  constructor(model, layout, view, context) {
    Object.assign(this, { model, layout, view, context });
    this.colors = model.schedule.colors.map((k) => color("shade-" + k));
  }

  x(time) {
    return this.layout.left + ((time - this.view.from) / (this.view.to - this.view.from)) * this.layout.across;
  }

  y(lane) {
    return this.layout.top + ((lane - this.view.top) / (this.view.bottom - this.view.top)) * this.layout.lanesHeight;
  }

  width(start, end) {
    return Math.max(LEAST_WIDTH, this.x(end) - this.x(start));
  }

  draw() {
    const { context, layout } = this;
    context.font = "12px " + getComputedStyle(document.body).fontFamily;
    context.clearRect(0, 0, layout.width, layout.height);
    context.fillStyle = color("panel");
    for (const [top, height] of [[layout.top, layout.lanesHeight], [layout.kvTop, STRIP], [layout.heldTop, STRIP]]) {
      context.fillRect(layout.left, top, layout.across, height);
    }
    this.timeAxis();
    this.clipped(layout.top, layout.lanesHeight, () => { this.bars(); this.stalls(); });
    this.laneAxis();
    const { runs, kv_capacity: capacity, slots } = this.model.worker;
    this.strip(layout.kvTop, runs.kv_first, runs.kv_last, this.model.kvTop, capacity, "KV cache (tokens)", "curve");
    this.strip(layout.heldTop, runs.held, runs.held, this.model.heldTop, slots, (slots === null ? "requests" : "slots") + " held", "held");
  }

  clipped(top, height, paint) {
    const { context, layout } = this;
    context.save();
    context.beginPath();
    context.rect(layout.left, top, layout.across, height);
    context.clip();
    paint();
    context.restore();
  }

  timeAxis() {
    const { context, layout, view } = this;
    const span = view.to - view.from;
    context.strokeStyle = color("grid");
    context.fillStyle = color("quiet");
    context.textAlign = "center";
    context.textBaseline = "top";
    context.lineWidth = 1;
    for (const time of roundTicks(view.from, view.to, layout.small ? 4 : 10)) {
      const at = Math.round(this.x(time)) + 0.5;
      context.beginPath();
      context.moveTo(at, layout.top);
      context.lineTo(at, layout.bottom + 5);
      context.stroke();
      context.fillText(tickText(time, span), at, layout.bottom + 8);
    }
    context.fillStyle = color("ink");
    context.fillText("time (s)", layout.left + layout.across / 2, layout.bottom + 25);
  }

  bars() {
    const { context, model, view } = this;
    const { bars } = model.worker;
    const gap = this.y(1) - this.y(0) >= 4 ? 1 : 0;
    const low = Math.max(0, Math.floor(view.top)), high = Math.min(model.lanes, Math.ceil(view.bottom));
    for (let lane = low; lane < high; lane += 1) {
      const y = Math.round(this.y(lane));
      const height = Math.max(1, Math.round(this.y(lane + 1)) - y - gap);
      for (let k = model.first[lane]; k < model.first[lane + 1]; k += 1) {
        if (bars.end[k] < view.from || bars.prefill[k] > view.to) continue;
        context.fillStyle = this.colors[bars.shade[k]];
        context.fillRect(this.x(bars.decode[k]), y, this.width(bars.decode[k], bars.end[k]), height);
        context.fillStyle = colorCache.prefill;
        // A request's own prefill stays visible where it is shorter than a pixel.
        const decode = this.x(bars.decode[k]), wide = Math.max(LEAST_PREFILL, decode - this.x(bars.prefill[k]));
        context.fillRect(decode - wide, y, wide, height);
        if (height >= 13) this.label(k, y, height);
      }
    }
  }

  label(k, y, height) {
    const { context, layout } = this;
    const { bars } = this.model.worker;
    const start = Math.max(layout.left, this.x(bars.decode[k])), end = Math.min(layout.width, this.x(bars.end[k]));
    const text = bars.id[k].slice(0, 24);
    if (end - start < context.measureText(text).width + 8) return;
    const dark = this.model.schedule.colors[bars.shade[k]] >= 3;
    context.fillStyle = dark === isDark() ? "#14171a" : isDark() ? "#ececea" : dark ? "#ffffff" : "#14171a";
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, start + 4, y + height / 2 + 0.5);
  }

  // A prefill iteration stalls every request in decode: it is marked across all lanes.
  stalls() {
    const { context, layout, model, view } = this;
    const { start, end, prefill } = model.worker.runs;
    context.fillStyle = color("stall");
    for (let k = Math.max(0, lastAtMost(start, view.from)); k < start.length && start[k] <= view.to; k += 1) {
      if (prefill[k]) context.fillRect(this.x(start[k]), layout.top, this.width(start[k], end[k]), layout.lanesHeight);
    }
  }

  laneAxis() {
    const { context, layout, model, view } = this;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillStyle = color("quiet");
    // Slots are numbered from 0, as in plan files.
    const marks = roundTicks(view.top, view.bottom - 0.5, Math.max(2, layout.lanesHeight / 70)).filter(Number.isInteger);
    for (const lane of marks) {
      const y = this.y(lane + 0.5);
      if (lane < model.lanes && y >= layout.top) context.fillText(String(lane), layout.left - 7, Math.max(y, layout.top + 5));
    }
    context.fillStyle = color("ink");
    context.textAlign = "center";
    context.save();
    context.translate(11, layout.top + layout.lanesHeight / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(model.laneName, 0, 0);
    context.restore();
  }

  strip(top, first, last, most, limit, label, name) {
    const { context, layout, model, view } = this;
    const { start, end } = model.worker.runs;
    const y = (value) => top + STRIP * (1 - value / most);
    this.clipped(top - 1, STRIP + 2, () => {
      context.beginPath();
      let before = Math.max(0, lastAtMost(start, view.from));
      context.moveTo(this.x(start[before]), y(0));
      for (let k = before; k < start.length && start[k] <= view.to; k += 1) {
        if (k > before && start[k] > end[k - 1]) {
          context.lineTo(this.x(end[k - 1]), y(0));
          context.lineTo(this.x(start[k]), y(0));
        }
        context.lineTo(this.x(start[k]), y(first[k]));
        context.lineTo(this.x(end[k]), y(last[k]));
        before = k;
      }
      context.lineTo(this.x(end[before]), y(0));
      context.fillStyle = color(name + "-fill");
      context.fill();
      context.strokeStyle = color(name);
      context.lineWidth = 1.25;
      context.stroke();
      if (limit !== null) {
        context.setLineDash([5, 4]);
        context.strokeStyle = color("quiet");
        context.beginPath();
        context.moveTo(layout.left, y(limit));
        context.lineTo(layout.left + layout.across, y(limit));
        context.stroke();
        context.setLineDash([]);
      }
    });
    context.fillStyle = color("quiet");
    context.textBaseline = "bottom";
    context.textAlign = "left";
    const text = limit === null ? label : label + ", limit " + limit.toLocaleString("en");
    context.fillText(text, layout.left, top - 4);
    context.textAlign = "right";
    context.fillText("0", layout.left - 7, top + STRIP + 2);
    context.textBaseline = "top";
    const short = most >= 1e4 ? Math.round(most / 1e3).toLocaleString("en") + "k" : most.toLocaleString("en");
    context.fillText(short, layout.left - 7, top);
  }
}
