// The built front end with made-up answers: `node dev/server.mjs [port]`. Query `?as=viewer` at the
// page shows what a viewer sees; POST /dev/down and /dev/up break and mend the line.

import { createHash } from "node:crypto";
import { readFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { decision, world } from "./fixtures.mjs";

const STATIC = join(fileURLToPath(import.meta.url), "../../../planner_provider/web/static");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
let down = false;
const epoch = Date.now();
const acts = [];

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const viewer = /as=viewer/.test(request.headers.referer ?? "") || url.searchParams.get("as") === "viewer";
  const send = (status, body, type = "application/json", more = {}) => {
    response.writeHead(status, { "Content-Type": type, "Content-Security-Policy": CSP, ...more });
    response.end(typeof body === "string" || body instanceof Buffer ? body : JSON.stringify(body));
  };
  if (url.pathname === "/dev/down") return (down = true), send(200, {});
  if (url.pathname === "/dev/up") return (down = false), send(200, {});
  if (url.pathname === "/dev/acts") return send(200, acts);
  if (url.pathname === "/frame") {
    const src = `/planner/${url.search}`;
    return send(200, `<!doctype html><html class="dark"><title>Airflow</title><body style="margin:0;background:#222;color:#eee">Airflow<iframe style="width:100%;height:860px;border:0" sandbox="allow-scripts allow-same-origin allow-forms" src="${src}"></iframe></body></html>`, "text/html", { "Content-Security-Policy": "" });
  }
  if (url.pathname.startsWith("/api/v2/") && request.method === "POST") {
    return body(request, (asked) => {
      acts.push([url.pathname, asked]);
      if (asked.conf?.version === "bad") return send(400, { detail: "Invalid input for param version: 'bad' does not match '^\\\\d+'" });
      return send(200, { dag_run_id: "manual__2026-11-23T20:00:00" });
    });
  }
  if (!url.pathname.startsWith("/planner/")) return send(404, "Airflow would be here", "text/plain");
  const path = url.pathname.slice("/planner/".length);
  if (path.startsWith("api/v1/")) {
    if (down) return request.socket.destroy();
    if (request.method === "POST") {
      return body(request, (asked) => {
        acts.push([path, asked, request.headers["x-planner-request"]]);
        if (asked.reason === "no") return send(409, { error: "This run has ended meanwhile.", hint: "Look at its outcome." });
        return send(200, { text: "The run is told. What acts stops within seconds." });
      });
    }
    const found = answer(path.slice("api/v1/".length), url.searchParams, viewer);
    if (found === undefined) return send(404, { error: "There is no such run.", hint: "It may have been deleted, or you may not read its DAG." });
    const text = JSON.stringify(found);
    const etag = `"${createHash("sha1").update(text).digest("hex")}"`;
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, { ETag: etag });
      return response.end();
    }
    return send(200, text, "application/json", { ETag: etag, "Cache-Control": "no-store" });
  }
  const file = join(STATIC, normalize(path || "index.html"));
  if (!file.startsWith(STATIC) || !existsSync(file)) return send(404, "no such file", "text/plain");
  return send(200, readFileSync(file), TYPES[extname(file)] ?? "text/plain");
});

function body(request, done) {
  let text = "";
  request.on("data", (part) => (text += part));
  request.on("end", () => done(JSON.parse(text || "{}")));
}

function answer(path, query, viewer) {
  const all = world(epoch, viewer);
  const [what, name] = path.split("/").map(decodeURIComponent);
  switch (what) {
    case "me": return all.me;
    case "overview": return all.overview;
    case "locks": return all.locks;
    case "audit": return all.audit.filter((row) => !query.get("before") || row.seq < Number(query.get("before"))).slice(0, Number(query.get("limit") ?? 100));
    case "plans": return name ? all.plans.find((plan) => plan.plan === name) : all.plans;
    case "decisions": return decision(Number(name), epoch);
    case "runs": {
      if (name) return all.details[name];
      const runs = [...all.overview.running, ...all.overview.recent].filter((run) =>
        (!query.get("plan") || run.plan === query.get("plan")) && (!query.get("outcome") || run.state === query.get("outcome")) && (!query.get("state") || run.state === query.get("state")));
      const from = Number(query.get("cursor") ?? 0);
      return { runs: runs.slice(from, from + 8), next_cursor: from + 8 < runs.length ? String(from + 8) : null };
    }
    default: return undefined;
  }
}

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/planner/`);
});
