// The frame around every page.
import { useEffect } from "preact/hooks";
import { loadSession } from "../api/session";
import { Toasts } from "../components/toast";
import { path, redo, undo, go } from "../state/address";
import { nextTheme } from "../state/theme";
import { useCommands } from "./commands";
import type { Command } from "./commands";
import { Header } from "./header";
import { Help, showHelp } from "./help";
import { NotFound } from "./not_found";
import { Outlet } from "./outlet";
import { PAGES } from "./pages";
import { Palette, showPalette } from "./palette";
import { route } from "./router";

const FRAME_COMMANDS: readonly Command[] = [
  ...PAGES.flatMap((page) =>
    page.nav ? [{ label: `Go to ${page.title.toLowerCase()}`, run: () => go(page.pattern), keys: [page.nav.keys], section: "Pages" }] : [],
  ),
  { label: "Search runs, pages, columns, actions", run: () => showPalette(), keys: ["mod+k"], section: "Everywhere", keyOnly: true },
  { label: "Show the keys", run: () => showHelp(), keys: ["?"], section: "Everywhere" },
  { label: "Undo the last change of this page", run: () => void undo(), keys: ["u", "mod+z"], section: "Everywhere" },
  { label: "Redo it", run: () => void redo(), keys: ["shift+u", "mod+shift+z"], section: "Everywhere" },
  { label: "Change the theme (system, light, dark)", run: nextTheme, keys: ["t"], section: "Everywhere" },
];

export function App() {
  const found = route(path.value, PAGES);
  const isBare = found?.page.bare ?? false;
  useCommands(() => FRAME_COMMANDS);
  useEffect(() => void loadSession(), []);
  useEffect(() => {
    document.title = `${found?.page.title ?? "No such page"} · tracking-gateway`;
  }, [found?.page]);
  return (
    <>
      {!isBare && <Header page={found?.page ?? null} />}
      <main class={isBare ? "content bare" : "content"} id="main">
        {found ? <Outlet found={found} /> : <NotFound />}
      </main>
      <Palette />
      <Help />
      <Toasts />
    </>
  );
}
