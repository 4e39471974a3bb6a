import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

// What is built into the page, and whose licences must go with it.
const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];

function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const texts = BUNDLED.map((name) => {
        const file = fileURLToPath(new URL(`node_modules/${name}/LICENSE`, import.meta.url));
        return `${name}\n\n${readFileSync(file, "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: texts.join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}

// The mount (/planner/) and what Airflow is mounted under are not known here: all URLs are relative.
export default defineConfig({
  base: "./",
  plugins: [licences()],
  build: {
    outDir: "../planner_provider/web/static",
    emptyOutDir: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
