// A made-up production for the front end: every state of every thing, long names, hostile text.

const HOSTILE = "<img src=x onerror=alert(1)> & </script><script>alert(2)</script>";
const MIN = 60;
const HOUR = 3600; // seconds, as all here

export function world(now = Date.now(), viewer = false) {
  const at = (seconds) => new Date(now + seconds * 1000).toISOString();
  const rights = { trigger: !viewer, steer: !viewer, override: !viewer };
  const step = (id, action, state, more = {}) => ({
    id, action, summary: null, state, since: state === "untouched" ? null : at(-200), detail: null,
    tries: state === "untouched" ? 0 : 1, duration_s: state === "done" ? 12.4 : null, progress: null,
    log_url: state === "untouched" ? null : `/dags/x/runs/y/tasks/execute.${id}`, ...more,
  });
  const run = (plan, suffix, state, more = {}) => ({
    plan_id: `${plan}-1f3c9a02-${suffix}`, plan, dag_id: plan, run_id: `manual__2026-11-23T19:42:11.${suffix}`,
    summary: `The plan ${plan}`, owner: "team-shop", version: "1f3c9a02", state, reason: null,
    started_at: at(-25 * MIN), started_by: "ada", finished_at: null, steps: [], budgets: [],
    waits_for: null, eta: null, rights, ...more,
  });
  const slo = (name, remaining, burn_rate, breached = false) => ({
    slo: name, remaining, burn_rate, breached, observed_at: at(-20),
  });

  const canary = run("checkout-canary", "0a1b2c3d", "running", {
    summary: "Release checkout 1.5.0 behind a judged canary",
    eta: at(8 * MIN),
    budgets: [slo("checkout-availability", 0.72, 0.41)],
    steps: [
      step("preflight", "verify", "done"),
      step("snapshot", "sql", "done", { duration_s: 48 }),
      step("shift", "canary", "acting", {
        since: at(-192), summary: "Move traffic to 1.5.0 in steps",
        progress: { kind: "weight", done: 20, total: 100, failed: 0, label: "20% of traffic, bakes for 5 min", eta: at(8 * MIN) },
      }),
      step("promote", "http", "untouched"),
      step("smoke", "verify", "untouched"),
    ],
  });
  const backfill = run("orders-backfill", "77aa12ef", "running", {
    summary: "Fill the hours that the outage of 21 November left out",
    eta: at(2.2 * HOUR), started_by: "grace", started_at: at(-3.1 * HOUR),
    budgets: [slo("checkout-latency", 0.18, 1.9), slo("orders-freshness", null, null)],
    steps: [
      step("flag-on", "flag", "done"),
      step("load", "backfill", "acting", {
        since: at(-3 * HOUR), detail: null,
        progress: { kind: "partitions", done: 117, total: 240, failed: 2, label: "117 of 240 partitions", eta: at(2.2 * HOUR) },
      }),
      step("compare", "sql", "untouched"),
      step("flag-off", "flag", "untouched"),
    ],
  });
  const patch = run("kernel-patching", "c0ffee11", "waiting", {
    summary: "CVE-2026-31337 on all nodes of the pool web, in waves by zone",
    waits_for: "drain of node web-b3: PodDisruptionBudget shop/checkout allows no disruption (since 6 min)",
    steps: [
      step("scan", "verify", "done"),
      step("kernel", "patch", "waiting", {
        since: at(-6 * MIN),
        progress: { kind: "wave", done: 1, total: 4, failed: 0, label: "wave 2 of 4, 14 of 60 nodes", eta: null },
      }),
      step("rescan", "verify", "untouched"),
    ],
    budgets: [slo("web-availability", 0.94, 0.05)],
  });
  const held = run("orders-migration", "deadbeef", "held", {
    summary: "Expand, fill, compare, cut over and contract the table of orders",
    reason: "grace holds this run since 19:58 UTC: replica lag on orders-db-3, asked the database team",
    started_at: at(-50 * MIN), started_by: "grace",
    steps: ["quiesce", "snapshot", "expand", "dual-write", "fill", "compare", "cut-over", "contract", "vacuum", "drop-old", "unquiesce", "smoke-read", "smoke-write", "report"].map((id, place) =>
      step(id, place === 4 ? "chunks" : "sql", place < 4 ? "done" : "untouched")),
  });
  const undoing = run("search-release-with-a-rather-long-name-that-somebody-gave-it-on-a-friday", "0badcafe", "rolling_back", {
    summary: HOSTILE,
    reason: "checkout-availability burns 14.6 times what it may in 1h (limit 14.4)",
    started_by: "scheduler",
    steps: [
      step("deploy", "deploy", "undoing", { since: at(-30), detail: HOSTILE }),
      step("warm", "http", "undone"),
      step("route", "http", "failed", { tries: 3, detail: "PUT /routes/search answered 503 three times; the last at 20:01:12 UTC" }),
      step("announce", "notify", "untouched"),
    ],
    budgets: [slo("search-availability", -0.08, 14.6, true)],
  });
  const dead = run("payments-failover", "5eed5eed", "rollback_failed", {
    reason: "Step divert could not be undone: PUT /routes/payments answered 500", finished_at: at(-9 * MIN),
    summary: "Fail payments over to region b and back",
    steps: [step("quiesce", "http", "undone"), step("divert", "http", "failed", { tries: 5 }), step("verify", "verify", "untouched")],
  });
  const recent = [
    dead,
    run("checkout-canary", "00000001", "succeeded", { reason: "Every step is done.", finished_at: at(-42 * MIN), started_at: at(-71 * MIN) }),
    run("certificate-check", "00000002", "succeeded", { reason: "Every step is done.", finished_at: at(-2 * HOUR), started_at: at(-2 * HOUR - 41), started_by: "schedule" }),
    run("search-release", "00000003", "rolled_back", { reason: "The canary of search had 2.3 times the odds of an error (limit 1.5), with 99.9% certainty", finished_at: at(-5 * HOUR), started_at: at(-5.4 * HOUR) }),
    run("orders-backfill", "00000004", "aborted", { reason: `A person stopped it: ${HOSTILE}`, finished_at: at(-9 * HOUR), started_at: at(-9.2 * HOUR) }),
    run("kernel-patching", "00000005", "blocked", { reason: "Calendar change-freeze is closed until 2026-11-22 06:00 UTC", finished_at: at(-30 * HOUR), started_at: at(-30.1 * HOUR), started_by: "schedule" }),
    run("flag-experiment", "00000006", "rejected", { reason: "joan rejected it: not during the sale", finished_at: at(-52 * HOUR), started_at: at(-53 * HOUR) }),
  ];
  const need = (of, kind, text, seconds, more = {}) => ({
    kind, plan_id: of.plan_id, plan: of.plan, dag_id: of.dag_id, run_id: of.run_id, text,
    since: at(-seconds), url: null, task_id: null, ...more,
  });
  const asking = run("payments-release", "4b1d4b1d", "waiting", {
    summary: "Release payments 2.9.0", waits_for: "approval by 2 of team-payments", started_by: "ada",
    steps: [step("approve", "approval", "waiting", { since: at(-14 * MIN) }), step("shift", "canary", "untouched"), step("promote", "http", "untouched")],
    budgets: [slo("payments-availability", 0.88, 0.2)],
  });
  const due = (plan, opens, closes, more = {}) => ({
    plan, dag_id: plan, summary: `The plan ${plan}`, paused: false, opens_at: at(opens * HOUR),
    closes_at: closes === null ? null : at(closes * HOUR), calendar: closes === null ? null : "low-traffic",
    conflicts: [], rights, ...more,
  });

  return {
    me: { user: viewer ? "vera" : "ada", version: "0.5.0" },
    overview: {
      at: at(0),
      needs_me: [
        need(dead, "rollback_failed", "Step divert could not be undone: put it right by hand, then start no new run before that.", 9 * MIN, { url: "/dags/payments-failover/runs/r" }),
        need(undoing, "breach", "search-availability burns 14.6 times what it may in 1h (limit 14.4). It rolls back by itself.", 70, {}),
        need(asking, "approval", "2 of team-payments must approve: payments 2.9.0 to production. 1 has. It expires in 46 min.", 14 * MIN, { url: "/dags/payments-release/runs/r/tasks/approve/required_actions", task_id: "approve" }),
        need(held, "held", "grace holds it: replica lag on orders-db-3, asked the database team", 22 * MIN, {}),
      ],
      running: [undoing, canary, backfill, patch, held, asking],
      due: [
        due("certificate-check", 1.5, null),
        due("kernel-patching", 5, 9, { conflicts: ["search-reindex"] }),
        due("search-reindex", 6.5, 8, { conflicts: ["kernel-patching"] }),
        due("orders-maintenance", 11, 13, { paused: true }),
        due("cost-programme", 26, 30),
        due("region-failover-test", 140, 146),
      ],
      recent,
      ended_7d: { succeeded: 41, rolled_back: 3, rollback_failed: 1, aborted: 2, blocked: 1, rejected: 1 },
    },
    plans: plans(at, rights),
    details: details({ at, canary, backfill, patch, held, undoing, dead, asking, recent, now }),
    locks: [
      { resource: "sandbox://services/checkout", mode: "exclusive", plan_id: canary.plan_id, dag_id: "checkout-canary", since: at(-22 * MIN), waiting: false, behind: [] },
      { resource: "k8s://web/nodes", mode: "exclusive", plan_id: patch.plan_id, dag_id: "kernel-patching", since: at(-2 * HOUR), waiting: false, behind: [] },
      { resource: "db://orders", mode: "shared", plan_id: null, dag_id: null, since: at(-4 * HOUR), waiting: false, behind: [] },
      { resource: "db://orders", mode: "exclusive", plan_id: held.plan_id, dag_id: "orders-migration", since: at(-18 * MIN), waiting: true, behind: [backfill.plan_id] },
    ],
    audit: audit(at, canary.plan_id, 140),
  };
}

function plans(at, rights) {
  const plan = (name, summary, more = {}) => ({
    plan: name, dag_id: name, summary, owner: "team-shop", version: "1f3c9a02", file: `plan_specs/${name}.yaml`,
    compiled_at: at(-5 * HOUR), paused: false, schedule: null, parameters: {}, runbook: "https://runbooks.example.com/checkout", rights, ...more,
  });
  return [
    plan("checkout-canary", "Release checkout behind a judged canary", {
      parameters: {
        version: { type: "string", default: "1.5.0", description: "Version to release", pattern: "^\\d+\\.\\d+\\.\\d+(-\\w+)?$" },
        percent: { type: "integer", minimum: 1, maximum: 100, default: 20, description: "Share of the first step" },
        region: { enum: ["eu", "us", "ap"], default: "eu", title: "Region" },
        dry_run: { type: "boolean", default: false, description: "Only say what would be done" },
        skip: { type: "array", default: [], description: "Services to leave out" },
        ticket: { type: ["string", "null"], default: null },
      },
    }),
    plan("orders-backfill", "Fill the hours that an outage left out", { owner: "team-data", parameters: { begin: { type: "string", format: "date-time" }, end: { type: "string", format: "date-time" } } }),
    plan("kernel-patching", "Security patches over a cluster in waves", { schedule: "in each window of low-traffic", owner: "team-platform" }),
    plan("certificate-check", "Look at all certificates", { schedule: "cron 0 6 * * * (UTC)", paused: true }),
    plan("search-release-with-a-rather-long-name-that-somebody-gave-it-on-a-friday", HOSTILE, { runbook: "javascript:alert(1)" }),
  ];
}

function audit(at, planId, many) {
  const whats = ["step.done", "step.began", "canary.weight", "decision", "lease.taken", "run.began"];
  return Array.from({ length: many }, (_, place) => ({
    seq: 4200 - place, at: at(-place * 40), plan_id: place % 9 === 8 ? null : planId,
    actor: place % 5 === 0 ? "ada" : "task", what: whats[place % whats.length],
    detail: place % 4 === 0 ? { step: "shift", weight: 20, why: HOSTILE, numbers: [1, 2, 3], nested: { a: { b: 1 } } } : place % 4 === 1 ? { step: "shift" } : {},
  }));
}

function details({ at, canary, backfill, patch, held, undoing, dead, asking, recent, now }) {
  const detail = (row, more = {}) => ({
    row, runbook: "https://runbooks.example.com/checkout", parameters: { version: "1.5.0", region: "eu", hosts: ["a", "b"], text: HOSTILE },
    advice: ["Step shift is under way; its last sign of life was less than 10 s ago.", `To stop it: \`planner abort ${row.plan_id} --reason ...\`.`],
    expires_at: at(3 * HOUR), held_by: null, held_reason: null, abort_reason: null,
    decisions: decisions(at, row.plan_id), approvals: [], locks: [], throttles: [], waves: [],
    audit: audit(at, row.plan_id, 12), airflow_url: `/dags/${row.dag_id}/runs/${row.run_id}`,
    trace_id: "4bf92f3577b34da6a3ce929d0e0e4736", trace_url: null, calendar: null, ...more,
  });
  const approval = (state, answers) => ({
    task_id: "approve", state, asked_at: at(-840), expires_at: at(2760), requester: "ada",
    rule: { groups: ["team-payments"], needed: 2, not_the_requester: true }, answers,
    url: "/dags/payments-release/runs/r/tasks/approve/required_actions",
  });
  const all = [
    detail(canary, {
      locks: [{ resource: "sandbox://services/checkout", mode: "exclusive", plan_id: canary.plan_id, dag_id: canary.dag_id, since: at(-1300), waiting: false, behind: [] }],
      approvals: [approval("granted", [{ user: "joan", approve: true, at: at(-1000), reason: "looks good", via: "airflow", problem: null }, { user: "kit", approve: true, at: at(-900), reason: HOSTILE, via: "airflow", problem: "they started the run themselves." }])],
      trace_url: "https://traces.example.com/trace/4bf92f3577b34da6a3ce929d0e0e4736",
    }),
    detail(backfill, {
      throttles: [{ name: "load", limit: 4, minimum: 1, maximum: 12, changed_by: "control", changed_at: at(-95), said: "checkout-latency is at 0.86 of its target: it holds." }],
      waves: [{ step: "load", wave: null, counts: { done: 115, acting: 4, failed: 2, waiting: 119 }, problems: ["2026-11-21T03:00Z: this hour has no good data", `2026-11-21T05:00Z: ${HOSTILE}`] }],
    }),
    detail(patch, {
      calendar: "low-traffic",
      waves: [
        { step: "kernel", wave: 1, counts: { done: 3 }, problems: [] },
        { step: "kernel", wave: 2, counts: { done: 11, acting: 2, waiting: 2, failed: 1 }, problems: ["web-b3: was not drained within 10 min; PodDisruptionBudget shop/checkout allows no disruption"] },
        { step: "kernel", wave: 3, counts: { waiting: 20 }, problems: [] },
        { step: "kernel", wave: 4, counts: { waiting: 21 }, problems: [] },
      ],
    }),
    detail(held, { held_by: "grace", held_reason: "replica lag on orders-db-3, asked the database team" }),
    detail(undoing, { abort_reason: HOSTILE }),
    detail(dead, { advice: ["Look now. By the journal there is left: divert (unknown). Put it right by hand, in reverse order; `planner render SPEC --plan payments-failover --format runbook` has the commands.", "Do not start this plan again before that is done."] }),
    detail(asking, { approvals: [approval("open", [{ user: "joan", approve: true, at: at(-300), reason: "", via: "airflow", problem: null }])] }),
    ...recent.slice(1).map((row) => detail(row, { advice: ["Nothing to do: the change is in."], decisions: [] })),
  ];
  void now;
  return Object.fromEntries(all.map((each) => [each.row.plan_id, each]));
}

const KINDS = [["canary", "proceed"], ["slo_gate", "proceed"], ["canary", "hold"], ["window", "proceed"], ["slo_gate", "roll_back"], ["throttle", "refuse"]];

function decisions(at, planId) {
  return Array.from({ length: 16 }, (_, place) => {
    const [kind, verdict] = KINDS[place % KINDS.length];
    return {
      id: 900 - place, plan_id: planId, step: kind === "window" ? null : "shift", kind, verdict,
      decided_at: at(-place * 31), actor: "task", reasons: [
        { code: "enough", text: "The canary has 1.04 times the odds of an error (limit 1.5), over 18,204 requests." },
        ...(place % 3 === 0 ? [{ code: "budget", text: `checkout-availability has 72% of its budget left. ${place === 3 ? HOSTILE : ""}` }] : []),
      ],
    };
  });
}

export function decision(id, now = Date.now()) {
  const at = (seconds) => new Date(now + seconds * 1000).toISOString();
  const row = decisions(at, "checkout-canary-1f3c9a02-0a1b2c3d").find((each) => each.id === id);
  if (!row) return undefined;
  const from = Math.floor(now / 1000) - 3600;
  const points = (height, wobble, gap) => Array.from({ length: 120 }, (_, n) => {
    const value = height + Math.sin(n / 9) * wobble + ((n * 7919) % 13) / 13 * wobble;
    return [from + n * 30, gap && n > 40 && n < 52 ? null : Math.max(0, value)];
  });
  return {
    decision: row,
    evidence: {
      measures: [
        { name: "odds of an error against the baseline", value: 1.04, unit: "", limit: 1.5, note: "95% interval 0.91 to 1.19" },
        { name: "error ratio of the canary", value: 0.0052, unit: "ratio", limit: 0.02, note: "" },
        { name: "requests of the canary", value: 18204, unit: "requests", limit: null, note: "" },
        { name: "p99", value: null, unit: "s", limit: 0.4, note: HOSTILE },
      ],
      inconclusive: false, weight: 20,
    },
    inputs: { slo: { name: "checkout-availability", target: 0.98 }, facts: [{ name: "good in 1h", value: 120391.5, source: "prometheus" }], now: at(0) },
    series: [
      { name: "checkout-availability: bad of canary", unit: "ratio", points: points(0.005, 0.003, true), limit: 0.02 },
      { name: "checkout-availability: bad of baseline", unit: "ratio", points: points(0.004, 0.001, false), limit: 0.02 },
      { name: "Burn rate in 1 h", unit: "×", points: points(0.4, 0.3, false), limit: null },
    ],
    vouched: id % 3 === 0 ? null : id % 5 !== 0,
  };
}
