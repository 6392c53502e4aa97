/**
 * How a value is written in the query part of an address.
 *
 * A codec's `read` never throws: what nobody can have meant is the default, because addresses are typed and shortened
 * by people. `write` gives null for the default, so that an address names only what differs from it.
 */
export interface Codec<T> {
  read(text: string | null): T;
  write(value: T): string | null;
}

/** Any text. */
export function text(otherwise = ""): Codec<string> {
  return { read: (found) => found ?? otherwise, write: (value) => (value === otherwise ? null : value) };
}

/** A finite number. */
export function number(otherwise: number): Codec<number> {
  return {
    read: (found) => {
      const value = found === null || found.trim() === "" ? NaN : Number(found);
      return Number.isFinite(value) ? value : otherwise;
    },
    write: (value) => (value === otherwise || !Number.isFinite(value) ? null : String(value)),
  };
}

/** Yes or no, written 1 and 0. */
export function flag(otherwise = false): Codec<boolean> {
  return {
    read: (found) => (found === "1" ? true : found === "0" ? false : otherwise),
    write: (value) => (value === otherwise ? null : value ? "1" : "0"),
  };
}

/** One of these words; the first is the default. */
export function choice<W extends string>(words: readonly [W, ...W[]]): Codec<W> {
  return {
    read: (found) => words.find((word) => word === found) ?? words[0],
    write: (value) => (value === words[0] ? null : value),
  };
}

/** Several texts, joined by commas; a comma or backslash inside one has a backslash before it. */
export function list(otherwise: readonly string[] = []): Codec<readonly string[]> {
  return {
    read: (found) => (found === null ? otherwise : splitList(found)),
    write: (value) => (sameList(value, otherwise) ? null : joinList(value)),
  };
}

/** Anything that JSON holds; `isValid` refuses what has another shape. */
export function json<T>(otherwise: T, isValid: (found: unknown) => found is T): Codec<T> {
  const usual = JSON.stringify(otherwise);
  return {
    read: (found) => {
      if (found === null) return otherwise;
      try {
        const value: unknown = JSON.parse(found);
        return isValid(value) ? value : otherwise;
      } catch {
        return otherwise;
      }
    },
    write: (value) => {
      const written = JSON.stringify(value);
      return written === usual ? null : written;
    },
  };
}

/** Join texts so that `splitList` finds them again; no texts are "" and one empty text is a backslash and "e". */
export function joinList(items: readonly string[]): string {
  return items.map((item) => (item === "" ? "\\e" : item.replace(/[\\,]/g, "\\$&"))).join(",");
}

/** Split what `joinList` joined. */
export function splitList(written: string): string[] {
  if (written === "") return [];
  return (written.match(/(?:\\[\s\S]|[^,\\]|\\$)+/g) ?? []).map((item) =>
    item === "\\e" ? "" : item.replace(/\\([\s\S])/g, "$1"),
  );
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}
