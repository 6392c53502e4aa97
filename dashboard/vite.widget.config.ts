// The chart for notebooks: one module and one style sheet, which gateway/notebook/widget.py reads.
import { resolve } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  define: { "process.env.NODE_ENV": '"production"' },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: resolve(import.meta.dirname, "../gateway/notebook/static"),
    emptyOutDir: true,
    lib: { entry: resolve(import.meta.dirname, "src/widget/main.tsx"), formats: ["es"], fileName: () => "chart.js", cssFileName: "chart" },
    license: { fileName: "THIRD-PARTY-LICENSES.md" },
  },
} as Parameters<typeof defineConfig>[0]);
