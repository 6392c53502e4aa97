import { resolve } from "node:path";
import { defineConfig } from "vite";

// Development: GATEWAY_API=http://127.0.0.1:8700 npm run dev
const api = process.env.GATEWAY_API ?? "http://127.0.0.1:8700";

export default defineConfig({
  base: "/static/",
  publicDir: "public",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: resolve(import.meta.dirname, "../consumers/live/dashboard/static"),
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy allows no data: scripts
    license: { fileName: "THIRD-PARTY-LICENSES.md" }, // of what is bundled
  },
  server: { proxy: { "/v1": api, "/healthz": api } },
  // One thread and one document for all files: starting each takes longer than its tests.
  test: { environment: "happy-dom", css: true, include: ["src/**/*.test.ts"], isolate: false, pool: "threads", maxWorkers: 1 },
} as Parameters<typeof defineConfig>[0]);
