// What is left of error budgets, and how fast they burn.

import type { JSX } from "preact";
import type { BudgetState } from "../contract";
import { budgetLeft, number } from "../words/numbers";
import { When } from "./bits";
import { Icon } from "./Icon";

export function Budget({ budget, dated = false }: {
  budget: BudgetState;
  /** Whether to say when it was seen. */
  dated?: boolean;
}): JSX.Element {
  const { remaining, burn_rate: burn, breached } = budget;
  const tone = breached || (remaining ?? 1) <= 0 ? "bad" : (remaining ?? 1) < 0.25 ? "warn" : "ok";
  const width = Math.max(0, Math.min(1, remaining ?? 0)) * 100;
  return (
    <div class={`budget tone-${tone}`}>
      <div class="budget-words">
        <span class="budget-slo">{budget.slo}</span>
        {breached ? <span class="breached"><Icon name="alert" size={13} />breached</span> : null}
        <span class="num">
          {budgetLeft(remaining)}
          {burn === null ? null : `, burns ${number(Math.round(burn * 100) / 100)}×`}
        </span>
      </div>
      <div class="meter-bar" aria-hidden="true"><span class="meter-fill" style={{ width: `${width}%` }} /></div>
      {dated ? <div class="budget-words faint"><span>seen <When at={budget.observed_at} /></span></div> : null}
    </div>
  );
}
