import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { defineConfig } from "vite";

// Development: GATEWAY_API=http://127.0.0.1:8700 npm run dev
const api = process.env.GATEWAY_API ?? "http://127.0.0.1:8700";

const outDir = resolve(import.meta.dirname, "../consumers/live/dashboard/static");
const LICENSES = "THIRD-PARTY-LICENSES.md";

/** Adds to the licences of what is bundled the notices and the licences of parts that they ask to pass on. */
function notices() {
  const packages = resolve(import.meta.dirname, "node_modules");
  const read = (path: string) => (existsSync(path) ? [readFileSync(path, "utf8")] : []);
  return {
    name: "notices",
    writeBundle({ dir }: { dir?: string }) {
      const file = join(dir ?? outDir, LICENSES);
      for (const [, name] of [...readFileSync(file, "utf8").matchAll(/^## (\S+) - /gm)]) {
        const parts = join(packages, name, "licenses");
        const names = existsSync(parts) ? readdirSync(parts).sort() : [];
        const texts = [...read(join(packages, name, "NOTICE")), ...names.flatMap((one) => read(join(parts, one)))];
        if (texts.length > 0) appendFileSync(file, `\n## ${name}: notices and parts\n\n${texts.join("\n\n")}\n`);
      }
    },
  };
}

export default defineConfig({
  plugins: [notices()],
  base: "/static/",
  publicDir: "public",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy allows no data: scripts
    license: { fileName: LICENSES }, // of what is bundled
  },
  server: { proxy: { "/v1": api, "/healthz": api } },
  // One thread and one document for all files: starting each takes longer than its tests.
  test: { environment: "happy-dom", css: true, include: ["src/**/*.test.ts"], isolate: false, pool: "threads", maxWorkers: 1 },
} as Parameters<typeof defineConfig>[0]);
