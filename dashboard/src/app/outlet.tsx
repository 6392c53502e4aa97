/** The page that the address names, loaded when it is first shown. */
import { useEffect, useState } from "preact/hooks";
import type { ComponentType } from "preact";
import { Button } from "../components/button";
import type { Page, PageProps } from "./pages";
import type { Route } from "./router";

const loaded = new Map<Page, ComponentType<PageProps>>();

export function Outlet({ found }: { found: Route }) {
  const [, draw] = useState(0);
  const [failed, setFailed] = useState<Page | null>(null);
  const { page, params } = found;
  useEffect(() => {
    let isShown = true;
    if (loaded.has(page)) return undefined;
    page.load().then(
      (module) => {
        loaded.set(page, module.default);
        if (isShown) draw((count) => count + 1);
      },
      () => isShown && setFailed(page),
    );
    return () => {
      isShown = false;
    };
  }, [page]);
  const Shown = loaded.get(page);
  if (Shown) return <Shown params={params} key={page.load} />;
  if (failed !== page) return <div class="loading" aria-busy="true" />;
  return (
    <div class="empty">
      <h1>This page has not arrived</h1>
      <p>The server has a newer version of it, or does not answer.</p>
      <Button kind="main" onClick={() => location.reload()}>Load again</Button>
    </div>
  );
}
