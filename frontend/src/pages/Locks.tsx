// Who holds what, and who waits for it.

import type { JSX } from "preact";
import type { LockRow } from "../contract";
import { usePolled } from "../net/poll";
import { Nothing, Pending, Section } from "../parts/bits";
import { LockTable } from "../parts/LockTable";

export function LocksPage(): JSX.Element {
  const { data, refused } = usePolled<LockRow[]>("locks");
  return (
    <>
      <h1>Locks</h1>
      <p class="lead">What runs hold, and what they wait for. Two plans never change the same thing at once.</p>
      {!data ? <Pending refused={refused} what="locks" /> : (
        <>
          <Section id="waiting" title="Waiting"><Locks rows={data.filter((row) => row.waiting)} none="No run waits for a lock." /></Section>
          <Section id="held" title="Held"><Locks rows={data.filter((row) => !row.waiting)} none="No lock is held." /></Section>
        </>
      )}
    </>
  );
}

function Locks({ rows, none }: { rows: LockRow[]; none: string }): JSX.Element {
  if (rows.length === 0) return <Nothing>{none}</Nothing>;
  return <div class="panel"><LockTable rows={rows} /></div>;
}
