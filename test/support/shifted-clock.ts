import { readFileSync } from 'node:fs';

/*
 * Loaded into a gateway with `--import` (see WallClock in wall-clock.ts): its wall clock, that of its threads included,
 * is off by as many milliseconds as the file in SHIFTED_CLOCK says, and jumps when the file changes. What is monotonic
 * (performance.now, timers) goes on, as it does on a machine whose clock is set.
 */

const RealDate = Date;
const file = process.env.SHIFTED_CLOCK;

function nowMs(): number {
  // At every look: whoever sets the clock finds it set in the next message.
  return RealDate.now() + (file === undefined ? 0 : Number(readFileSync(file, 'utf8')));
}

globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(nowMs()).toString(),
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [nowMs()] : args, newTarget) as object,
  get: (target, key, receiver) => (key === 'now' ? nowMs : (Reflect.get(target, key, receiver) as unknown)),
});
