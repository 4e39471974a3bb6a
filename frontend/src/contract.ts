// What the JSON API answers; the models are in planner_provider/web/models.py, and a test of the
// repository compares the two. Times are ISO 8601 in UTC. Texts may hold anything.

export type Attention =
  | "approval" | "held" | "breach" | "rollback_failed" | "failing" | "lock" | "window";
export type StepState =
  | "untouched" | "waiting" | "acting" | "done" | "failed" | "unknown" | "undoing" | "undone";

export interface Rights {
  trigger: boolean;
  steer: boolean;
  override: boolean;
}

export interface Me {
  user: string;
  version: string;
}

export interface Progress {
  kind: "weight" | "wave" | "partitions" | "chunks" | "targets";
  done: number;
  total: number;
  failed: number;
  label: string;
  eta: string | null;
}

export interface Step {
  id: string;
  action: string;
  summary: string | null;
  state: StepState;
  since: string | null;
  detail: string | null;
  tries: number;
  duration_s: number | null;
  progress: Progress | null;
  log_url: string | null;
}

export interface BudgetState {
  slo: string;
  remaining: number | null;
  burn_rate: number | null;
  breached: boolean;
  observed_at: string;
}

export interface AttentionItem {
  kind: Attention;
  plan_id: string;
  plan: string;
  dag_id: string;
  run_id: string;
  text: string;
  since: string;
  url: string | null;
  task_id: string | null;
}

export interface RunRow {
  plan_id: string;
  plan: string;
  dag_id: string;
  run_id: string;
  summary: string | null;
  owner: string | null;
  version: string;
  state: string;
  reason: string | null;
  started_at: string | null;
  started_by: string;
  finished_at: string | null;
  steps: Step[];
  budgets: BudgetState[];
  waits_for: string | null;
  eta: string | null;
  rights: Rights;
}

export interface DueRow {
  plan: string;
  dag_id: string;
  summary: string | null;
  paused: boolean;
  opens_at: string;
  closes_at: string | null;
  calendar: string | null;
  conflicts: string[];
  rights: Rights;
}

export interface Overview {
  at: string;
  needs_me: AttentionItem[];
  running: RunRow[];
  due: DueRow[];
  recent: RunRow[];
  ended_7d: Record<string, number>;
}

export interface RunPage {
  runs: RunRow[];
  next_cursor: string | null;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface PlanRow {
  plan: string;
  dag_id: string;
  summary: string;
  owner: string;
  version: string;
  file: string;
  compiled_at: string;
  paused: boolean;
  schedule: string | null;
  parameters: Record<string, JsonObject>;
  runbook: string | null;
  rights: Rights;
}

export interface Reason {
  code: string;
  text: string;
}

export interface DecisionRow {
  id: number;
  plan_id: string;
  step: string | null;
  kind: string;
  verdict: string;
  decided_at: string;
  actor: string;
  reasons: Reason[];
}

export interface Series {
  name: string;
  unit: string | null;
  points: [number, number | null][];
  limit: number | null;
}

export interface DecisionDetail {
  decision: DecisionRow;
  evidence: JsonObject;
  inputs: JsonObject;
  series: Series[];
  vouched: boolean | null;
}

export interface SaidRow {
  user: string;
  approve: boolean;
  reason: string | null;
  via: string;
  at: string;
  problem: string | null;
}

export interface ApprovalRow {
  task_id: string;
  state: string;
  asked_at: string;
  expires_at: string | null;
  requester: string | null;
  rule: JsonObject;
  answers: SaidRow[];
  url: string | null;
}

export interface LockRow {
  resource: string;
  mode: string;
  plan_id: string | null;
  dag_id: string | null;
  since: string;
  waiting: boolean;
  behind: string[];
}

export interface AuditRow {
  seq: number;
  at: string;
  plan_id: string | null;
  actor: string;
  what: string;
  detail: JsonObject;
}

export interface ThrottleRow {
  name: string;
  limit: number;
  minimum: number;
  maximum: number;
  changed_by: string;
  changed_at: string;
  said: string | null;
}

export interface WaveRow {
  step: string;
  wave: number | null;
  counts: Record<string, number>;
  problems: string[];
}

export interface RunDetail {
  row: RunRow;
  runbook: string | null;
  advice: string[];
  parameters: JsonObject;
  expires_at: string | null;
  held_by: string | null;
  held_reason: string | null;
  abort_reason: string | null;
  decisions: DecisionRow[];
  approvals: ApprovalRow[];
  locks: LockRow[];
  throttles: ThrottleRow[];
  waves: WaveRow[];
  audit: AuditRow[];
  airflow_url: string;
  trace_id: string | null;
  trace_url: string | null;
  calendar: string | null;
}

export interface Why {
  reason: string;
}

export interface ThrottleChange {
  limit: number | null;
  minimum: number | null;
  maximum: number | null;
  paused: boolean | null;
  reason: string | null;
}

export interface Override {
  until: string;
  reason: string;
}

export interface Done {
  text: string;
}

export interface Problem {
  error: string;
  hint: string | null;
}
