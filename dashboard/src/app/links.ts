/** Links of the application change the address without loading the page again. */
import { go } from "../state/address";

const OURS = /^\/(?!static\/|v1\/|healthz)/;

/** Begin to follow links; call it once. Those for a new tab, a download or another server are left to the browser. */
export function startLinks(): void {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (!OURS.test(link.pathname)) return;
    event.preventDefault();
    go(link.href);
    if (link.pathname !== location.pathname) scrollTo(0, 0);
  });
}
