/** What can be done with the selected runs. */
import { useState } from "preact/hooks";
import { tell } from "../api/client";
import { mayWrite } from "../api/session";
import { Button } from "../components/button";
import { Dialog } from "../components/dialog";
import { Problem } from "../components/problem";
import { plural } from "../components/text";
import { toast, toastError } from "../components/toast";
import { go, linkTo } from "../state/address";
import { joinList } from "../state/codecs";
import { baseline, selected, stage } from "./state";

const MOST_COMPARED = 20;

/** Change runs, one after the other. Resolves when the last is written. */
export async function edit(ids: readonly string[], change: Record<string, unknown>): Promise<void> {
  for (const id of ids) await tell(`/v1/runs/${encodeURIComponent(id)}/edits`, { body: change });
}

/** Move runs into the trash or out of it, with a way back. */
export async function setStage(ids: readonly string[], to: "active" | "deleted", again: () => void): Promise<void> {
  try {
    await edit(ids, { stage: to });
  } catch (error) {
    toastError(error);
    return;
  }
  selected.replace([]);
  again();
  toast({
    text: `${plural(ids.length, "run")} ${to === "deleted" ? "moved to the trash" : "taken out of the trash"}`,
    action: { label: "Undo", run: () => void edit(ids, { stage: to === "deleted" ? "active" : "deleted" }).then(again, toastError) },
  });
}

/** Show the selected runs on the page for comparing. */
export function compareSelected(): void {
  const ids = selected.peek().slice(0, MOST_COMPARED);
  if (ids.length < 2) return toast({ text: "Select two runs or more to compare them", next: "Space selects the run under the cursor" });
  go(linkTo("/compare", [["runs", joinList(ids)]]));
}

/** Draw the selected runs. */
export function openWorkspace(): void {
  go(linkTo("/workspace", selected.peek().length ? [["runs", joinList(selected.peek())]] : []));
}

export function SelectionBar({ again }: { again: () => void }) {
  const [isTagging, setTagging] = useState(false);
  const ids = selected.value;
  if (!ids.length) return null;
  const isTrash = stage.value === "deleted";
  const [only] = ids;
  return (
    <div class="selection" role="toolbar" aria-label="selected runs">
      <strong>{plural(ids.length, "run")}</strong>
      <Button icon="compare" disabled={ids.length < 2} onClick={compareSelected} title="Compare (c)">Compare</Button>
      <Button icon="chart" onClick={openWorkspace} title="Open in the workspace (w)">Charts</Button>
      {ids.length === 1 && <Button icon="star" pressed={baseline.value === only} onClick={() => (baseline.value = baseline.peek() === only ? "" : only ?? "")}>Baseline</Button>}
      {mayWrite.value && <Button icon="tag" onClick={() => setTagging(true)}>Tag</Button>}
      {mayWrite.value && (
        <Button icon={isTrash ? "restore" : "trash"} kind={isTrash ? "plain" : "danger"} onClick={() => void setStage(ids, isTrash ? "active" : "deleted", again)}>
          {isTrash ? "Restore" : "Trash"}
        </Button>
      )}
      <Button kind="bare" icon="close" title="Select none (Esc)" onClick={() => selected.replace([])} />
      {isTagging && <TagDialog ids={ids} onClose={() => setTagging(false)} again={again} />}
    </div>
  );
}

function TagDialog({ ids, onClose, again }: { ids: readonly string[]; onClose: () => void; again: () => void }) {
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>(null);
  const save = async (value: string | null): Promise<void> => {
    try {
      await edit(ids, { tags: { [name]: value } });
      toast({ text: `${plural(ids.length, "run")}: tag ${name} ${value === null ? "removed" : "set"}` });
      again();
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title={`Tag ${plural(ids.length, "run")}`} onClose={onClose}>
      <form class="dialog-content" onSubmit={(event) => (event.preventDefault(), void save(text))}>
        <label class="field">Name<input autofocus required value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <label class="field">Value<input value={text} onInput={(event) => setText(event.currentTarget.value)} /></label>
        <Problem error={error} />
        <div class="dialog-actions">
          <Button kind="danger" disabled={name === ""} onClick={() => void save(null)}>Remove it</Button>
          <Button kind="main" type="submit" disabled={name === ""}>Set it</Button>
        </div>
      </form>
    </Dialog>
  );
}
