/** The artifacts of a run: a tree of folders, a preview, and pictures of several steps under one slider. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../../api/client";
import { isAborted } from "../../api/errors";
import { Icon } from "../../components/icon";
import { Problem } from "../../components/problem";
import { count, plural } from "../../components/text";
import { FILE, IMAGE_STEP } from "../address";
import { pathOf } from "../data";
import type { RunData } from "../data";
import { imageAt, imageSeries, sizeText } from "./kinds";
import type { ImageSeries } from "./kinds";
import { Picture, Preview } from "./preview";
import type { Entry } from "./preview";

const PAGE = 1_000;
const MOST_IMAGES = 10_000; // files that are searched for pictures of several steps
const MOST_SERIES = 12;

interface Answer {
  artifacts: Entry[];
  next_page_token: string | null;
}

interface Listing {
  entries: readonly Entry[] | null;
  next: string | null;
  error: unknown;
  more: () => void;
}

/** List a folder, or with `recursive` all files; read again when the run logs an artifact. */
function useListing(runId: string, path: string, version: number, { recursive = false, limit = PAGE } = {}): Listing {
  const [state, setState] = useState<Omit<Listing, "more">>({ entries: null, next: null, error: null });
  const [pages, setPages] = useState(1);
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      const entries: Entry[] = [];
      let token: string | null = null;
      for (let page = 0; page < pages; page += 1) {
        const params = new URLSearchParams({ path, limit: String(limit), ...(recursive ? { recursive: "true" } : {}), ...(token ? { page_token: token } : {}) });
        const answer: Answer = await ask(`${pathOf(runId)}/artifacts?${params}`, { signal: stop.signal });
        entries.push(...answer.artifacts);
        token = answer.next_page_token;
        if (!token) break;
      }
      setState({ entries, next: token, error: null });
    })().catch((error: unknown) => isAborted(error) || stop.signal.aborted || setState((before) => ({ ...before, error })));
    return () => stop.abort();
  }, [runId, path, version, pages, recursive, limit]);
  return { ...state, more: () => setPages((count) => count + 1) };
}

export function Artifacts({ runId, data }: { runId: string; data: RunData }) {
  const version = data.news.value.kinds.artifact ?? 0;
  const root = useListing(runId, "", version);
  const chosen = FILE.value;
  const [entry, setEntry] = useState<Entry | null>(null);
  const selected = useListing(runId, chosen, version, { recursive: true, limit: 1 });
  useEffect(() => {
    if (selected.entries || !chosen) setEntry(selected.entries?.find((one) => one.path === chosen) ?? null);
  }, [selected.entries, chosen]);
  if (root.entries && !root.entries.length) return <p class="empty-note">This run has no artifacts.</p>;
  return (
    <>
      <Images runId={runId} version={version} />
      <section class="card" aria-label="Artifacts">
        <div class="card-head">
          <h2>Artifacts</h2>
          {root.entries && <span class="quiet">{plural(root.entries.reduce((sum, one) => sum + one.files, 0), "file")}{root.next ? " and more" : ""}</span>}
        </div>
        <Problem error={root.error} />
        <div class="files">
          <div class="tree" role="tree" aria-label="Artifacts" onKeyDown={treeKey}>
            <Folder runId={runId} listing={root} version={version} depth={0} />
          </div>
          {entry && entry.path === chosen ? (
            <Preview runId={runId} entry={entry} key={`${entry.path} ${entry.sha256}`} />
          ) : (
            <p class="empty-note">{chosen && selected.entries ? "There is no such file." : "Choose a file to see it."}</p>
          )}
        </div>
      </section>
    </>
  );
}

function Folder({ runId, listing, version, depth }: { runId: string; listing: Listing; version: number; depth: number }) {
  return (
    <>
      {listing.entries?.map((entry) => <Node key={`${entry.is_dir} ${entry.path}`} runId={runId} entry={entry} version={version} depth={depth} />)}
      {listing.next && <button type="button" class="link tree-more" onClick={listing.more}>more files</button>}
    </>
  );
}

function Node({ runId, entry, version, depth }: { runId: string; entry: Entry; version: number; depth: number }) {
  const [isOpen, setOpen] = useState(entry.is_dir && FILE.peek().startsWith(`${entry.path}/`));
  const isChosen = !entry.is_dir && FILE.value === entry.path;
  const name = entry.path.slice(entry.path.lastIndexOf("/") + 1) || entry.path;
  return (
    <>
      <button
        type="button"
        class={`tree-row tree-${Math.min(depth, 6)}${isChosen ? " chosen" : ""}`}
        role="treeitem"
        aria-level={depth + 1}
        aria-expanded={entry.is_dir ? isOpen : undefined}
        aria-selected={isChosen}
        data-path={entry.path}
        title={entry.path}
        onClick={() => (entry.is_dir ? setOpen(!isOpen) : (FILE.value = entry.path))}
      >
        {entry.is_dir ? <Icon name={isOpen ? "down" : "right"} /> : <span class="tree-mark" aria-hidden="true" />}
        <span class="cut">{name}{entry.is_dir ? "/" : ""}</span>
        <span class="quiet num tree-size">{entry.is_dir ? `${count(entry.files)} · ${sizeText(entry.size)}` : entry.stored ? sizeText(entry.size) : "reference"}</span>
      </button>
      {isOpen && <Children runId={runId} path={entry.path} version={version} depth={depth + 1} />}
    </>
  );
}

function Children({ runId, path, version, depth }: { runId: string; path: string; version: number; depth: number }) {
  const listing = useListing(runId, path, version);
  return (
    <div role="group">
      <Problem error={listing.error} />
      <Folder runId={runId} listing={listing} version={version} depth={depth} />
    </div>
  );
}

function treeKey(event: KeyboardEvent): void {
  const here = event.target as HTMLElement;
  if (here.getAttribute("role") !== "treeitem") return;
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=treeitem]")];
  const at = all.indexOf(here);
  const isOpen = here.getAttribute("aria-expanded");
  if (event.key === "ArrowDown") all[at + 1]?.focus();
  else if (event.key === "ArrowUp") all[at - 1]?.focus();
  else if ((event.key === "ArrowRight" && isOpen === "false") || (event.key === "ArrowLeft" && isOpen === "true")) here.click();
  else return;
  event.preventDefault();
}

/** Pictures that were logged at several steps: one slider moves all, so that they can be compared. */
function Images({ runId, version }: { runId: string; version: number }) {
  const { entries, next } = useListing(runId, "", version, { recursive: true, limit: MOST_IMAGES });
  const [series, sizes] = useMemo(() => {
    const stored = (entries ?? []).filter((one) => one.stored);
    return [imageSeries(stored.map((one) => one.path)), new Map(stored.map((one) => [one.path, one.size]))];
  }, [entries]);
  if (!series.length) return null;
  const steps = [...new Set(series.flatMap((one) => one.images.map((image) => image.step)))].sort((a, b) => a - b);
  const wanted = Number.isNaN(IMAGE_STEP.value) ? steps.at(-1)! : IMAGE_STEP.value;
  const at = Math.max(0, steps.findLastIndex((step) => step <= wanted));
  return (
    <section class="card" aria-label="Pictures by step">
      <div class="card-head">
        <h2>Pictures by step</h2>
        <label class="image-slider">
          step {count(steps[at]!)}
          <input type="range" min="0" max={steps.length - 1} step="1" value={at} aria-valuetext={`step ${steps[at]}`} aria-label="Step of the pictures" onInput={(event) => IMAGE_STEP.replace(steps[Number(event.currentTarget.value)]!)} />
        </label>
      </div>
      <div class="images">{series.slice(0, MOST_SERIES).map((one) => <ImageCard key={one.name} runId={runId} series={one} step={steps[at]!} sizes={sizes} />)}</div>
      {(series.length > MOST_SERIES || next) && <p class="quiet image-note">{next ? `Among the first ${count(MOST_IMAGES)} files. ` : ""}{series.length > MOST_SERIES ? `The first ${MOST_SERIES} of ${series.length}: the tree has all.` : ""}</p>}
    </section>
  );
}

function ImageCard({ runId, series, step, sizes }: { runId: string; series: ImageSeries; step: number; sizes: ReadonlyMap<string, number | null> }) {
  const image = imageAt(series, step);
  return (
    <figure class="image-card" data-step={image.step}>
      <figcaption class="cut" title={image.path}>
        <button type="button" class="link" onClick={() => (FILE.value = image.path)}>{series.name}</button> <span class="quiet">step {count(image.step)}</span>
      </figcaption>
      <Picture runId={runId} path={image.path} size={sizes.get(image.path) ?? null} />
    </figure>
  );
}
