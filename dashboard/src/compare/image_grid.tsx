// Images of runs side by side, at one step of all of them.
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { Problem } from "../components/problem";
import type { RunRow } from "../charts/data/runs";
import { grouped } from "../charts/format";
import { runPage } from "../state/address";
import { IMAGE_STEP } from "./address";
import { MOST_COMPARED } from "./diff";
import { families, imageAt, stepsOf, type Family } from "./images";

interface ArtifactsAnswer {
  artifacts: { path: string; stored: boolean }[];
  next_page_token: string | null;
}

const PAGE = 10_000;
const MOST_FAMILIES = 60;

export function ImageGrid({ runs }: { runs: readonly RunRow[] }) {
  const shown = runs.slice(0, MOST_COMPARED);
  const [found, setFound] = useState<Family[] | null>(null);
  const [isCut, setCut] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    Promise.all(shown.map((run) => ask<ArtifactsAnswer>(`/v1/runs/${encodeURIComponent(run.run_id)}/artifacts?recursive=true&limit=${PAGE}`, { signal: stop.signal }))).then(
      (answers) => {
        setFound(families(answers.map(({ artifacts }) => artifacts.filter((one) => one.stored).map((one) => one.path))));
        setCut(answers.some((one) => one.next_page_token !== null));
      },
      (error: unknown) => stop.signal.aborted || setProblem(error),
    );
    return () => stop.abort();
  }, [shown.map((run) => run.run_id).join("\n")]);
  const steps = stepsOf(found ?? []);
  const step = IMAGE_STEP.value === "" ? null : Number(IMAGE_STEP.value);
  const at = step === null ? steps.length - 1 : Math.max(0, steps.findLastIndex((one) => one <= step));
  return (
    <>
      <Problem error={problem} />
      {found && !found.length && <p class="chart-empty">These runs have no images whose bytes are stored (run.log_artifact).</p>}
      {steps.length > 1 && (
        <p class="compare-tools">
          <label class="image-steps">
            step {grouped(steps[at] ?? 0)}
            <input type="range" min="0" max={steps.length - 1} value={at} aria-label="Step of the images" aria-valuetext={`step ${steps[at]}`} onInput={(event) => IMAGE_STEP.replace(stepText(steps, event.currentTarget.value))} />
          </label>
          <span class="quiet">each run shows its newest image up to that step</span>
        </p>
      )}
      {isCut && <p class="quiet">Of a run with more than {grouped(PAGE)} artifacts, the first ones.</p>}
      {(found ?? []).slice(0, MOST_FAMILIES).map((family) => (
        <section key={family.name} aria-label={family.name}>
          <h2 class="image-name">{family.name}</h2>
          <div class="image-row">
            {shown.map((run, place) => {
              const image = imageAt(family.images[place] ?? [], step === null ? null : steps[at] ?? null);
              return (
                <figure key={run.run_id} class="image-place">
                  {image ? <img loading="lazy" src={contentOf(run.run_id, image.path)} alt={`${image.path} of ${run.name || run.run_id}`} /> : <span class="quiet">none by then</span>}
                  <figcaption><a href={runPage(run.run_id)}>{run.name || run.run_id}</a> {image?.step != null && <span class="quiet">step {grouped(image.step)}</span>}</figcaption>
                </figure>
              );
            })}
          </div>
        </section>
      ))}
      {found && found.length > MOST_FAMILIES && <p class="quiet">{grouped(found.length - MOST_FAMILIES)} more kinds of images: the pages of the runs have all of them.</p>}
    </>
  );
}

function stepText(steps: readonly number[], place: string): string {
  const at = Number(place);
  return at === steps.length - 1 ? "" : String(steps[at]);
}

function contentOf(run: string, path: string): string {
  return `/v1/runs/${encodeURIComponent(run)}/artifacts/content?path=${encodeURIComponent(path)}`;
}
