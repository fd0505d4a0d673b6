import { describe, expect, it } from 'vitest';
import { openRig, readAll } from './rig.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('a journal', () => {
  it('gives records back in the order in which they came, over a clean stop too', async () => {
    const rig = await openRig();
    for (const number of range(0, 3000)) expect(rig.append(number)).toBe(true);
    await rig.journal.flush();
    expect([...rig.durable.keys()]).toEqual(range(0, 3000));
    expect((await readAll(rig.journal)).map(({ number }) => number)).toEqual(range(0, 3000));
    await rig.journal.close();

    const again = await openRig(rig.fs);
    expect(again.journal.recovery.scanned).toBe(0);
    expect(await readAll(again.journal)).toEqual(
      [...rig.durable].map(([number, position]) => ({ number, position })),
    );
    await again.journal.close();
  });
});
