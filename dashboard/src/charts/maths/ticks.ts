// Ticks of axes of time. Pure.

/** Distances between ticks in seconds: those that people count in. */
export const TIME_STEPS: readonly number[] = [
  ...[-6, -5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)),
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 3, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600),
  ...[1, 2, 7, 14, 30, 90, 180, 365, 730, 3_650].map((days) => days * 86_400),
];

/** Multiples of `step` in the clock of the reader, so that days begin at midnight; times in s since 1970. */
export function clockTicks(min: number, max: number, step: number): number[] {
  const shift = new Date(min * 1_000).getTimezoneOffset() * 60;
  const made: number[] = [];
  for (let at = Math.ceil((min - shift) / step); at * step + shift <= max; at += 1) made.push(at * step + shift);
  return made;
}

/** Times of day as a 24-hour clock, the day below the first one and wherever it changes. */
export function clockTexts(ticks: readonly number[], step: number): string[] {
  let before = "";
  return ticks.map((tick) => {
    const [day, clock] = local(tick, step);
    const isNew = day !== before;
    before = day;
    if (step >= 86_400) return day;
    return isNew ? `${clock}\n${day}` : clock;
  });
}

/** Lengths of time: as exact as the distance of the ticks, so that no two read the same. */
export function durationTexts(ticks: readonly number[], step: number): string[] {
  const longest = Math.max(...ticks.map(Math.abs), 0);
  const digits = step < 1 ? Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
  return ticks.map((tick) => lengthText(tick, { longest, step, digits }));
}

interface Form {
  longest: number;
  step: number;
  digits: number;
}

function lengthText(seconds: number, { longest, step, digits }: Form): string {
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (longest < 60) return `${sign}${size.toFixed(digits)} s`;
  if (step >= 86_400) return `${sign}${Math.round(size / 86_400)} d`;
  const rounded = Number(size.toFixed(digits));
  const days = Math.floor(rounded / 86_400);
  const hours = Math.floor((rounded % 86_400) / 3_600);
  const minutes = Math.floor((rounded % 3_600) / 60);
  const tail = step < 60 ? `:${(rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}` : "";
  const two = (part: number) => String(part).padStart(2, "0");
  if (longest < 3_600) return tail ? `${sign}${minutes}${tail}` : `${sign}${minutes} min`;
  return `${sign}${days ? `${days} d ` : ""}${hours}:${two(minutes)}${tail}${tail ? "" : " h"}`;
}

function local(seconds: number, step: number): [day: string, clock: string] {
  const date = new Date(seconds * 1_000);
  const two = (part: number) => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step >= 60) return [day, minutes];
  const whole = `${minutes}:${two(date.getSeconds())}`;
  const digits = step < 1 ? Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
  return [day, digits ? `${whole}${(seconds - Math.floor(seconds)).toFixed(digits).slice(1)}` : whole];
}
