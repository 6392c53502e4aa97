// From values to pixels, and the round numbers written beside an axis. Pure.

/** Round numbers inside [low, high], about `wanted` of them. */
export function linearTicks(low, high, wanted) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const ticks = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let i = first; i * step <= high + step * 1e-9 && ticks.length < 50; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Whole-number ticks: steps have no halves. */
export function wholeTicks(low, high, wanted) {
  return linearTicks(low, high, Math.min(wanted, Math.max(1, high - low))).filter(Number.isInteger);
}

/** Powers of ten inside [low, high], both above 0; every n-th when there are too many, and round numbers when too few. */
export function logTicks(low, high, wanted) {
  const from = Math.ceil(Math.log10(low) - 1e-9);
  const to = Math.floor(Math.log10(high) + 1e-9);
  if (to - from < 1) return linearTicks(low, high, wanted);
  const every = Math.max(1, Math.ceil((to - from + 1) / wanted));
  const ticks = [];
  for (let power = from; power <= to; power += every) ticks.push(10 ** power);
  return ticks;
}

const TIME_STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Ticks of elapsed time, in µs from the start: multiples of 1, 2, 5 s, 1, 5, 10 min, 1, 2 h ... */
export function timeTicks(spanUs, wanted) {
  const seconds = spanUs / 1e6;
  const rough = seconds / Math.max(1, wanted);
  const step = TIME_STEPS.find((one) => one >= rough) ?? Math.ceil(rough / 86400) * 86400;
  const ticks = [];
  for (let i = 0; i * step <= seconds + 1e-9 && ticks.length < 50; i += 1) ticks.push(i * step * 1e6);
  return ticks;
}

/** An elapsed time beside an axis: "0", "250 ms", "1:30" minutes, "2:05:00" hours, "3 d". */
export function elapsed(us) {
  const seconds = us / 1e6;
  if (seconds === 0) return "0";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
  return `${Number((whole / 86400).toFixed(1))} d`;
}

/** The interval to draw: all finite values (above 0 if `log`), with air; null when there is none. */
export function domain(values, log) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
  if (low === high) {
    const air = Math.abs(low) * 0.1 || 1;
    return [low - air, high + air];
  }
  const air = (high - low) * 0.06;
  return Number.isFinite(air) ? [low - air, high + air] : [low, high];
}

/** A function from value to pixel for [low, high] -> [bottom, top]. */
export function toPixels([low, high], bottom, top, log) {
  if (!log) {
    // Halves first: the difference of two values near the ends of float64 would be infinite.
    const span = high / 2 - low / 2;
    return (value) => bottom + ((value / 2 - low / 2) / span) * (top - bottom);
  }
  const [from, to] = [Math.log(low), Math.log(high)];
  return (value) => bottom + ((Math.log(value) - from) / (to - from)) * (top - bottom);
}
