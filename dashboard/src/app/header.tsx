/** The bar above all pages: where one is, how fresh it is, and the ways to everything else. */
import { away } from "../api/client";
import { logout, me } from "../api/session";
import { streamState } from "../api/stream";
import { delays } from "../charts/data/delay";
import { Button } from "../components/button";
import { Icon } from "../components/icon";
import { nextTheme, theme } from "../state/theme";
import { showHelp } from "./help";
import { caps } from "./keyboard";
import { PAGES } from "./pages";
import type { Page } from "./pages";
import { showPalette } from "./palette";

const THEME_ICONS = { system: "half", light: "sun", dark: "moon" } as const;

export function Header({ page }: { page: Page | null }) {
  return (
    <header class="bar">
      <a class="brand" href="/">
        <img src="/static/icon.svg" alt="" width="22" height="22" />
        <span>tracking-gateway</span>
      </a>
      <nav class="nav" aria-label="Pages">
        {PAGES.filter((one) => one.nav).map((one) => (
          <a key={one.pattern} href={one.pattern} title={`${one.title} (${caps(one.nav?.keys ?? "").join(" ")})`} aria-current={isIn(page, one) ? "page" : undefined}>
            {one.nav && <Icon name={one.nav.icon} />}
            <span>{one.title}</span>
          </a>
        ))}
      </nav>
      <div class="bar-end">
        <Delay />
        <Live />
        <button type="button" class="search-button" onClick={() => showPalette()} title="Search runs, pages, columns, actions">
          <Icon name="search" />
          <span>Search</span>
          <kbd>{caps("mod+k").join(" ")}</kbd>
        </button>
        <Button kind="bare" icon={THEME_ICONS[theme.value]} title={`Theme: ${theme.value} (T)`} onClick={nextTheme} />
        <Button kind="bare" icon="help" title="Keys (?)" onClick={() => showHelp()} />
        {me.value?.csrf && <Button kind="bare" onClick={() => void logout()} title={`Log out ${me.value.name}`}>Log out</Button>}
      </div>
    </header>
  );
}

/** Whether the page belongs under an entry of the bar: a run and an experiment belong to the runs. */
function isIn(page: Page | null, entry: Page): boolean {
  return page === entry || (entry.pattern === "/" && (page?.pattern === "/runs/{id}" || page?.pattern === "/experiments/{id}"));
}

/** How far what charts show is behind what is emitted. */
function Delay() {
  const shown = delays.shown.value;
  if (!shown || streamState.value !== "live" || away.value) return null;
  const { p50, p99, count } = shown;
  const title = `From emit to pixel: half of the last ${count} points that charts drew took ${seconds(p50)} or less, 99 % ${seconds(p99)}, by the clocks of the trainings and of this browser`;
  return <span class="delay" id="delay" data-p50={p50} data-p99={p99} data-count={count} title={title}>{seconds(p50)} behind</span>;
}

function seconds(ms: number): string {
  return ms < 9_950 ? `${(ms / 1_000).toFixed(ms < 995 ? 2 : 1)} s` : `${Math.round(ms / 1_000)} s`;
}

const LIVE = { live: "live", connecting: "connecting", reconnecting: "reconnecting", idle: "" } as const;

function Live() {
  const reason = away.value;
  const state = reason ? "reconnecting" : streamState.value;
  return (
    <span class={`live ${state}`} id="live" role="status" title={reason ? `${reason.message}: ${reason.next}` : "how this page hears of news"}>
      {LIVE[state]}
    </span>
  );
}
