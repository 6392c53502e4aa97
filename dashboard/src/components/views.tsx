/** Saved views: the state of a page under a name, kept by the API with all its versions. */
import { useEffect, useState } from "preact/hooks";
import { ask, tell } from "../api/client";
import { mayWrite } from "../api/session";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Menu } from "./menu";
import { Problem } from "./problem";
import { toast, toastError } from "./toast";
import { go, path, query } from "../state/address";

const LEFT_OUT = ["sel"]; // of the address: a selection is of a moment

/** A view as the list of them names it. */
interface View {
  id: string;
  name: string;
  version: number;
}

interface WholeView extends View {
  body: { path: string; query: string };
}

export interface ViewsProps {
  /** Which page the views are of, as the API keeps them. */
  type: string;
  /** What a view keeps, for the person who saves it. */
  keeps: string;
}

export function Views({ type, keeps }: ViewsProps) {
  const [views, setViews] = useState<readonly View[]>([]);
  const [isSaving, setSaving] = useState(false);
  const load = (): void => void ask<{ views: View[] }>(`/v1/views?type=${type}`, { retry: false }).then((answer) => setViews(answer.views), () => setViews([]));
  useEffect(load, [type]);
  const show = (view: View): void =>
    void ask<WholeView>(`/v1/views/${encodeURIComponent(view.id)}`).then(({ body }) => go(body.query ? `${body.path}?${body.query}` : body.path), toastError);
  return (
    <>
      <Menu
        icon="star"
        label={<span class="wide-only">Views</span>}
        title="Saved views"
        items={() => [
          ...views.map((view) => ({ label: view.name, run: () => show(view) })),
          ...(mayWrite.value ? [{ label: "Save this view…", icon: "save" as const, run: () => setSaving(true) }] : []),
          { label: "Copy a link to it", icon: "link" as const, run: () => void navigator.clipboard.writeText(location.href).then(() => toast({ text: "Link copied" }), toastError) },
        ]}
      />
      {isSaving && <SaveDialog type={type} keeps={keeps} views={views} onClose={() => (setSaving(false), load())} />}
    </>
  );
}

function SaveDialog({ type, keeps, views, onClose }: ViewsProps & { views: readonly View[]; onClose: () => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>(null);
  const same = views.find((one) => one.name === name.trim());
  const save = async (): Promise<void> => {
    const kept = new URLSearchParams(query.peek());
    for (const one of LEFT_OUT) kept.delete(one);
    const body = { path: path.peek(), query: kept.toString() };
    const id = same?.id ?? crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;
    try {
      await tell(`/v1/views/${encodeURIComponent(id)}`, { method: "PUT", body: { name: name.trim(), type, body, ...(same && { based_on: same.version }) } });
      toast({ text: `View ${name.trim()} saved` });
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title="Save this view" onClose={onClose}>
      <form class="dialog-content" onSubmit={(event) => (event.preventDefault(), void save())}>
        <label class="field">Name<input autofocus required value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <p class="quiet">It keeps {keeps}. Everybody who may read the runs sees it; older versions are kept.</p>
        <Problem error={error} />
        <div class="dialog-actions">
          <Button kind="main" type="submit" disabled={name.trim() === ""}>{same ? `Save over version ${same.version}` : "Save"}</Button>
        </div>
      </form>
    </Dialog>
  );
}
