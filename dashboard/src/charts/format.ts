// Numbers and times of charts as text. Pure.

/** A value with `digits` significant digits at most; names for what is not finite. */
export function number(value: number, digits = 5): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return trimmed(value.toExponential(digits - 1));
  if (Number.isInteger(value)) return grouped(value);
  return trimmed(value.toPrecision(digits));
}

/** A whole number with thin groups of three. */
export function grouped(value: number): string {
  return value.toLocaleString("en");
}

/** A tick of an axis: short, 12k and 3M included. */
export function tick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e4 && size < 1e15) {
    const [unit, name] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : [1e3, "k"];
    return `${trimmed((value / unit).toPrecision(6))}${name}`;
  }
  return number(value, 4);
}

/** Seconds as 1.5 s, 3:05 or 2 h 03 min or 4 d 02 h. */
export function duration(seconds: number): string {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size < 60) return `${sign}${number(size, 3)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  if (size < 3_600) return `${sign}${Math.floor(size / 60)}:${two(size % 60)} min`;
  if (size < 86_400) return `${sign}${Math.floor(size / 3_600)} h ${two((size % 3_600) / 60)} min`;
  return `${sign}${Math.floor(size / 86_400)} d ${two((size % 86_400) / 3_600)} h`;
}

/** A time in µs as 2026-11-30 14:05:07.123, in the zone of the reader. */
export function moment(time: number): string {
  const date = new Date(time / 1_000);
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().replace("T", " ").replace("Z", "");
}

function trimmed(text: string): string {
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "").replace("e+", "e");
}
