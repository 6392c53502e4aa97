/** Above the table: which runs, how they are grouped, which columns, and the saved views. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { Button } from "../components/button";
import { Menu } from "../components/menu";
import type { MenuItem } from "../components/menu";
import { plural } from "../components/text";
import { change, go, linkTo, query } from "../state/address";
import { labelOf, sameKey } from "./columns";
import type { Key } from "./columns";
import { FilterBox } from "./filter_box";
import { baseline, groupBy, known, setGroup, stage, where } from "./state";
import { Views } from "../components/views";

interface Experiment {
  experiment_id: string;
  name: string;
}

const STAGES: readonly (readonly ["active" | "deleted" | "all", string])[] = [["active", "Runs"], ["deleted", "Trash"], ["all", "Runs and trash"]];
const GROUPS: readonly Key[] = [["fact", "state"], ["fact", "experiment"], ["fact", "group"]];

export function Toolbar({ total, shownRuns, onChoose }: { total: number | null; shownRuns: string | null; onChoose: () => void }) {
  const [experiments, setExperiments] = useState<readonly Experiment[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    ask<{ experiments: Experiment[] }>("/v1/experiments?limit=200", { signal: stop.signal, retry: false }).then((answer) => setExperiments(answer.experiments), () => undefined);
    return () => stop.abort();
  }, [shownRuns]);
  const shown = experiments.find((one) => one.experiment_id === shownRuns);
  const show = (path: string): void => go(linkTo(path, [["sel", null], ["base", null]], query.peek()));
  return (
    <div class="toolbar no-print">
      <Menu
        class="experiment-menu"
        label={<span class="cut">{shownRuns === null ? "All experiments" : (shown?.name ?? shownRuns)}</span>}
        title="Experiment"
        items={() => [
          { label: "All experiments", chosen: shownRuns === null, run: () => show("/") },
          ...experiments.map((one) => ({ label: one.name, chosen: one.experiment_id === shownRuns, run: () => show(`/experiments/${encodeURIComponent(one.experiment_id)}`) })),
        ]}
      />
      <FilterBox where={where} />
      <span class="quiet runs-count" id="count" role="status">{total === null ? "" : plural(total, "run")}</span>
      {baseline.value && <Button icon="star" pressed title="Metrics show their change against the baseline; press to end it" onClick={() => (baseline.value = "")}><span class="wide-only">Baseline</span></Button>}
      <Menu icon="group" class="end" label={<span class="wide-only">{groupBy.value ? `By ${labelOf(groupBy.value)}` : "Group"}</span>} title="Group rows" items={groupItems} />
      <Button icon="columns" title="Choose columns (v)" onClick={onChoose}><span class="wide-only">Columns</span></Button>
      <Views type="runs_table" keeps="the filter, columns, sorting and groups" />
      <Menu
        icon={stage.value === "active" ? "runs" : "trash"}
        class="end"
        title="Runs or trash"
        items={STAGES.map(([name, label]) => ({ label, chosen: stage.value === name, run: () => change([stage.written(name), ["sel", null]]) }))}
      />
    </div>
  );
}

function groupItems(): MenuItem[] {
  const names = (known.value ?? []).filter(({ key: [kind], types }) => (kind === "param" && !types.includes("json")) || kind === "tag").slice(0, 30).map((one) => one.key);
  const now = groupBy.value;
  return [
    { label: "No groups", chosen: now === null, run: () => setGroup(null) },
    ...[...GROUPS, ...names].map((key) => ({ label: labelOf(key), hint: key[0], chosen: now !== null && sameKey(now, key), run: () => setGroup(key) })),
  ];
}
