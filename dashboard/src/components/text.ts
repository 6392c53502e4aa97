/** Numbers and times as people read them. The API counts in µs since 1970-01-01 UTC. Pure. */

const COUNT = new Intl.NumberFormat("en");
const COUNT_EXACT = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

/** A whole number with separators. */
export function count(value: number): string {
  return COUNT.format(value);
}

/** "1 run", "2 runs". */
export function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** A value in at most `digits` significant digits; what JSON cannot hold comes as text and stays it. */
export function value(found: unknown, digits = 5): string {
  if (found === null || found === undefined) return "";
  if (typeof found === "boolean") return found ? "true" : "false";
  if (typeof found !== "number") return typeof found === "string" ? found : JSON.stringify(found);
  const size = Math.abs(found);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return found.toExponential(Math.min(3, digits - 1)).replace(/\.?0+e\+?/, "e");
  if (Number.isInteger(found)) return COUNT.format(found);
  return String(Number(found.toPrecision(digits)));
}

/** A length of time given in µs: "340 ms", "12 s", "3 min 20 s", "5 h 12 min", "3 d 4 h". */
export function duration(us: number): string {
  const seconds = Math.max(0, us) / 1e6;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A length of time given in µs, exactly: "6.900409 s". */
export function durationExact(us: number): string {
  return `${COUNT_EXACT.format(us / 1e6)} s`;
}

/** How long ago a time was: "just now", "4 min ago". */
export function ago(us: number, nowMs: number): string {
  const seconds = nowMs / 1000 - us / 1e6;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** A moment in the reader's time zone: "2026-11-21 08:26:02". */
export function moment(us: number): string {
  const date = new Date(us / 1000);
  if (Number.isNaN(date.getTime())) return "?";
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A moment with all its digits: "2026-11-21 08:26:02.004200". */
export function momentExact(us: number): string {
  return `${moment(us)}.${String(((us % 1e6) + 1e6) % 1e6).padStart(6, "0")}`;
}
