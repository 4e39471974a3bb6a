// The first page: what needs me, what runs, what is due, what happened.

import type { JSX } from "preact";
import type { Overview } from "../contract";
import { usePolled } from "../net/poll";
import { Pending, Trouble } from "../parts/bits";
import { Due } from "./overview/Due";
import { Happened } from "./overview/Happened";
import { NeedsYou } from "./overview/NeedsYou";
import { Running } from "./overview/Running";

export function OverviewPage(): JSX.Element {
  const { data, refused } = usePolled<Overview>("overview");
  if (!data) return <><h1 class="sr">Overview</h1><Pending refused={refused} what="the overview" /></>;
  return (
    <>
      <h1 class="sr">Overview</h1>
      {refused && refused.status >= 400 && refused.status < 500 ? <Trouble refused={refused} /> : null}
      <NeedsYou items={data.needs_me} running={data.running} />
      <Running runs={data.running} />
      <Due rows={data.due} />
      <Happened runs={data.recent} ended={data.ended_7d} />
    </>
  );
}
