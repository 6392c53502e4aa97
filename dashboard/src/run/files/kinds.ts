/** What an artifact is, by its name and media type, and how its text is read. Pure. */

export type FileKind = "image" | "json" | "table" | "text" | "other";

export interface ImageType {
  extensions: readonly string[];
  media: string;
}

// Types that a browser draws as pictures. Of an SVG in an <img> no script runs.
const IMAGES: Readonly<Record<string, string>> = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", avif: "image/avif", bmp: "image/bmp", svg: "image/svg+xml",
};
const TEXTS = new Set(["txt", "log", "md", "yaml", "yml", "toml", "ini", "cfg", "py", "sh", "html", "htm", "xml", "css", "js", "ts", "sql", "diff", "patch", "rst", "env", "err", "out"]);

/** The media type to show a picture with; "" for what is none. Bytes are never shown as another type. */
export function imageType(path: string): string {
  return IMAGES[extensionOf(path)] ?? "";
}

export function kindOf(path: string, mediaType: string): FileKind {
  const extension = extensionOf(path);
  if (imageType(path)) return "image";
  if (extension === "csv" || extension === "tsv") return "table";
  if (extension === "json" || extension === "ipynb" || mediaType === "application/json") return "json";
  if (TEXTS.has(extension) || extension === "jsonl" || mediaType.startsWith("text/")) return "text";
  return "other";
}

function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const at = name.lastIndexOf(".");
  return at < 0 ? "" : name.slice(at + 1).toLowerCase();
}

export interface Table {
  head: string[];
  rows: string[][];
}

/** Read CSV as RFC 4180 says: quoted cells may hold separators, line breaks and doubled quotes. */
export function readCsv(text: string, separator = ","): Table {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  const endCell = (): void => {
    row.push(cell);
    cell = "";
  };
  const endRow = (): void => {
    endCell();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at]!;
    if (isQuoted) {
      if (one !== '"') cell += one;
      else if (text[at + 1] === '"') [cell, at] = [`${cell}"`, at + 1];
      else isQuoted = false;
    } else if (one === '"' && cell === "") isQuoted = true;
    else if (one === separator) endCell();
    else if (one === "\n") endRow();
    else if (one !== "\r") cell += one;
  }
  if (cell || row.length) endRow();
  const [head = [], ...rest] = rows;
  return { head, rows: rest };
}

/** A table that was logged as JSON: {"columns": [...], "data": [[...], ...]} or a list of records. null: it is none. */
export function tableOfJson(value: unknown): Table | null {
  const cell = (one: unknown): string => (typeof one === "string" ? one : one === undefined ? "" : JSON.stringify(one));
  if (Array.isArray(value)) {
    if (!value.length || !value.every((one) => typeof one === "object" && one !== null && !Array.isArray(one))) return null;
    const head = [...new Set(value.flatMap((one) => Object.keys(one as object)))];
    return { head, rows: value.map((one) => head.map((name) => cell((one as Record<string, unknown>)[name]))) };
  }
  const { columns, data } = (value ?? {}) as { columns?: unknown; data?: unknown };
  if (!Array.isArray(columns) || !Array.isArray(data) || !data.every(Array.isArray)) return null;
  return { head: columns.map(cell), rows: (data as unknown[][]).map((row) => row.map(cell)) };
}

/** Images of one thing at several steps. */
export interface ImageSeries {
  name: string;
  images: { step: number; path: string }[];
}

/** The step in a path, and what names the series: MLflow's `name%step%3%…` and W&B's `name_3_<hash>` among others. */
export function stepInPath(path: string): { name: string; step: number } | null {
  const mlflow = /^(.*?)([%+])step\2(\d+)\2/.exec(path);
  if (mlflow) return { name: mlflow[1]!, step: Number(mlflow[3]) };
  const at = path.lastIndexOf("/") + 1;
  const [folder, file] = [path.slice(0, at), path.slice(at)];
  const wandb = /^(.*)_(\d+)_[0-9a-f]{16,}\.(\w+)$/.exec(file);
  if (wandb) return { name: `${folder}${wandb[1]}.${wandb[3]}`, step: Number(wandb[2]) };
  const last = /^(.*?)(\d+)([^\d/]*)$/.exec(file);
  if (last) return { name: `${folder}${last[1]}*${last[3]}`, step: Number(last[2]) };
  const inFolder = /^(.*?)(\d+)(\/[^/\d]*)$/.exec(path);
  return inFolder ? { name: `${inFolder[1]}*${inFolder[3]}`, step: Number(inFolder[2]) } : null;
}

/** Find images that were logged at two steps or more, by name. Each series is in the order of its steps. */
export function imageSeries(paths: readonly string[]): ImageSeries[] {
  const found = new Map<string, Map<number, string>>();
  for (const path of paths) {
    const part = imageType(path) ? stepInPath(path) : null;
    if (!part) continue;
    const steps = found.get(part.name) ?? new Map<number, string>();
    found.set(part.name, steps.set(part.step, path)); // of one step the last by name
  }
  return [...found]
    .filter(([, steps]) => steps.size > 1)
    .map(([name, steps]) => ({ name, images: [...steps].map(([step, path]) => ({ step, path })).sort((a, b) => a.step - b.step) }));
}

/** The image that was the newest at a step; before the first one, the first. */
export function imageAt({ images }: ImageSeries, step: number): { step: number; path: string } {
  return images.findLast((one) => one.step <= step) ?? images[0]!;
}

/** A size in bytes: "512 B", "1.5 kB". */
export function sizeText(bytes: number | null): string {
  if (bytes === null) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [size, at] = [bytes, 0];
  while (size >= 1000 && at < units.length - 1) [size, at] = [size / 1000, at + 1];
  return `${at && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}
