/** The preview of an artifact: pictures, text, JSON and tables. Nothing of it runs: text is text, also that of HTML. */
import { useEffect, useState } from "preact/hooks";
import { errorOf } from "../../api/client";
import { ApiError, isAborted } from "../../api/errors";
import { Button } from "../../components/button";
import { Problem } from "../../components/problem";
import { count, moment } from "../../components/text";
import { toast } from "../../components/toast";
import { pathOf } from "../data";
import { imageType, kindOf, readCsv, sizeText, tableOfJson } from "./kinds";
import type { Table } from "./kinds";

const TEXT_BYTES = 256 * 1024; // of a preview; the download has all
const IMAGE_BYTES = 50_000_000;
const ROWS = 500;

/** An artifact, as the API lists it. */
export interface Entry {
  path: string;
  is_dir: boolean;
  size: number | null;
  files: number;
  /** µs */
  time: number;
  sha256: string;
  media_type: string;
  uri: string;
  stored: boolean;
  step_name: string;
  attempt: number;
}

export function contentPath(runId: string, path: string): string {
  return `${pathOf(runId)}/artifacts/content?${new URLSearchParams({ path })}`;
}

export function Preview({ runId, entry }: { runId: string; entry: Entry }) {
  const kind = kindOf(entry.path, entry.media_type);
  return (
    <section class="preview" aria-label={`Preview of ${entry.path}`}>
      <header class="preview-head">
        <strong class="cut" title={entry.path}>{entry.path}</strong>
        {entry.stored && (
          <a class="button plain" href={contentPath(runId, entry.path)} download={entry.path.slice(entry.path.lastIndexOf("/") + 1)}>Download</a>
        )}
      </header>
      <dl class="facts">
        <Fact name="Size">{sizeText(entry.size)}{entry.size !== null && entry.size >= 1000 && <span class="quiet"> ({count(entry.size)} bytes)</span>}</Fact>
        <Fact name="Logged">{moment(entry.time)}</Fact>
        <Fact name="Step">{entry.step_name}{entry.attempt > 1 ? `, attempt ${entry.attempt}` : ""}</Fact>
        <Fact name="Media type">{entry.media_type}</Fact>
        <Fact name="SHA-256">
          {entry.sha256 && (
            <span class="digest">
              <code>{entry.sha256}</code>
              <Button kind="bare" icon="link" title="Copy the digest" onClick={() => void navigator.clipboard.writeText(entry.sha256).then(() => toast({ text: "The digest is copied" }))} />
            </span>
          )}
        </Fact>
        <Fact name="Place"><code>{entry.uri}</code></Fact>
      </dl>
      {!entry.stored ? (
        <p class="empty-note">This is a reference: its bytes are not in the artifact store, its place says where they are.</p>
      ) : kind === "image" ? (
        <Picture runId={runId} path={entry.path} size={entry.size} />
      ) : kind === "other" ? (
        <p class="empty-note">There is no preview of this kind of file.</p>
      ) : (
        <Text runId={runId} entry={entry} kind={kind} />
      )}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: unknown }) {
  if (!children || (Array.isArray(children) && !children.some(Boolean))) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children as string}</dd>
    </div>
  );
}

/** Read bytes of an artifact, at most `most` of them, and whether that is all. */
async function readBytes(runId: string, path: string, most: number, signal: AbortSignal): Promise<{ bytes: ArrayBuffer; isAll: boolean }> {
  let answer: Response;
  try {
    answer = await fetch(contentPath(runId, path), { headers: { Range: `bytes=0-${most - 1}` }, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, "the bytes cannot be read here", "their store is another server, which this page may not ask: download the file");
  }
  if (answer.status === 416) return { bytes: new ArrayBuffer(0), isAll: true }; // an empty file has no range
  if (!answer.ok) throw errorOf(answer.status, await answer.json().catch(() => null));
  const bytes = await answer.arrayBuffer();
  const total = Number(/\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "")?.[1] ?? bytes.byteLength);
  return { bytes: bytes.slice(0, most), isAll: total <= most };
}

/** A picture from its bytes: an <img> runs no script, whatever the file holds. */
export function Picture({ runId, path, size }: { runId: string; path: string; size: number | null }) {
  const [url, setUrl] = useState("");
  const [error, setError] = useState<unknown>(null);
  const isLarge = (size ?? 0) > IMAGE_BYTES;
  useEffect(() => {
    if (isLarge) return undefined;
    const stop = new AbortController();
    let made = "";
    readBytes(runId, path, IMAGE_BYTES, stop.signal).then(
      ({ bytes }) => {
        if (stop.signal.aborted) return;
        made = URL.createObjectURL(new Blob([bytes], { type: imageType(path) }));
        setUrl(made);
        setError(null);
      },
      (found) => isAborted(found) || setError(found),
    );
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [runId, path, isLarge]);
  if (isLarge) return <p class="empty-note">This picture is too large to be shown here.</p>;
  if (error) return <Problem error={error} />;
  return url ? <img class="picture" src={url} alt={path} onError={() => setError(new Error("the browser cannot draw this picture"))} /> : <p class="quiet">reading…</p>;
}

function Text({ runId, entry, kind }: { runId: string; entry: Entry; kind: "json" | "table" | "text" }) {
  const [found, setFound] = useState<{ text: string; isAll: boolean } | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    setFound(null);
    setError(null);
    readBytes(runId, entry.path, TEXT_BYTES, stop.signal).then(
      ({ bytes, isAll }) => setFound({ text: new TextDecoder().decode(bytes), isAll }),
      (problem) => isAborted(problem) || setError(problem),
    );
    return () => stop.abort();
  }, [runId, entry.path, entry.sha256]);
  if (error) return <Problem error={error} />;
  if (!found) return <p class="quiet">reading…</p>;
  const { table, text } = understood(found.text, entry.path, kind, found.isAll);
  return (
    <>
      {!found.isAll && <p class="quiet">The first {sizeText(TEXT_BYTES)} of it.</p>}
      {table ? <TableOf table={table} /> : <pre class="preview-text" tabIndex={0}>{text}</pre>}
    </>
  );
}

function understood(text: string, path: string, kind: "json" | "table" | "text", isAll: boolean): { table: Table | null; text: string } {
  if (kind === "table") {
    const table = readCsv(text, path.endsWith(".tsv") ? "\t" : ",");
    if (!isAll) table.rows.pop(); // the last row may be cut
    return { table, text };
  }
  if (kind !== "json" || !isAll) return { table: null, text };
  try {
    const value: unknown = JSON.parse(text);
    return { table: tableOfJson(value), text: JSON.stringify(value, null, 2) };
  } catch {
    return { table: null, text };
  }
}

function TableOf({ table: { head, rows } }: { table: Table }) {
  return (
    <div class="preview-table" tabIndex={0} role="region" aria-label="Table">
      <table class="plain-table">
        <thead><tr>{head.map((one, at) => <th key={at} scope="col">{one}</th>)}</tr></thead>
        <tbody>
          {rows.slice(0, ROWS).map((row, at) => (
            <tr key={at}>{row.map((cell, column) => <td key={column} class={cell !== "" && Number.isFinite(Number(cell)) ? "num" : ""}>{cell}</td>)}</tr>
          ))}
        </tbody>
      </table>
      {rows.length > ROWS && <p class="quiet">The first {count(ROWS)} of {count(rows.length)} rows; the download has all.</p>}
    </div>
  );
}
