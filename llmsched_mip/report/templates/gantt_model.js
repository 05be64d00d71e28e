// One worker of one schedule, indexed for drawing and for finding what lies under the pointer.
class GanttModel {
  constructor(schedule, worker) {
    this.schedule = schedule;
    this.worker = worker;
    this.lanes = Math.max(1, worker.lanes);
    this.makespan = schedule.makespan > 0 ? schedule.makespan : 1;
    this.laneName = worker.slots === null ? "lane" : "slot";
    const { bars, runs } = worker;
    // Bars come ordered by lane and start: first[l] is the first one of lane l.
    this.first = new Int32Array(this.lanes + 1);
    for (const lane of bars.lane) this.first[lane + 1] += 1;
    for (let l = 0; l < this.lanes; l += 1) this.first[l + 1] += this.first[l];
    this.kvTop = Math.max(worker.kv_capacity || 0, maximum(runs.kv_first), maximum(runs.kv_last), 1);
    this.heldTop = Math.max(worker.slots || 0, maximum(runs.held), 1);
  }

  barAt(lane, time) {
    const { bars } = this.worker;
    for (let k = this.first[lane]; k < this.first[lane + 1]; k += 1) {
      if (bars.prefill[k] <= time && time < bars.end[k]) return k;
    }
    return -1;
  }

  // The run of iterations at a time; -1 where the worker waits.
  runAt(time) {
    const { start, end } = this.worker.runs;
    const k = lastAtMost(start, time);
    return k >= 0 && time < end[k] ? k : -1;
  }

  kvAt(k, time) {
    const { start, end, kv_first: first, kv_last: last } = this.worker.runs;
    const share = end[k] > start[k] ? (time - start[k]) / (end[k] - start[k]) : 1;
    return Math.round(first[k] + share * (last[k] - first[k]));
  }
}

function maximum(values) {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

// Place of the last value that is at most the given one; values increase.
function lastAtMost(values, limit) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function roundTicks(low, high, most) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10, 20].map((m) => m * power).find((own) => span / own <= most);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12); k += 1) found.push(k * step);
  return found;
}

function tickText(value, span) {
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(span || 1))));
  return String(Number(value.toFixed(digits)));
}
