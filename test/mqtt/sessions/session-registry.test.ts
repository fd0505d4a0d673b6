import { describe, expect, it } from 'vitest';
import type { PublisherSession } from '../../../src/mqtt/sessions/publisher-session.ts';
import { SessionRegistry, type SessionHolder } from '../../../src/mqtt/sessions/session-registry.ts';
import { IngressStats } from '../../../src/mqtt/stats.ts';

class Holder implements SessionHolder {
  session: PublisherSession | undefined;
  present: boolean | undefined;
  takenOver = 0;

  granted(session: PublisherSession, present: boolean): void {
    this.session = session;
    this.present = present;
  }

  takeOver(): void {
    this.takenOver++;
  }
}

const newSessions = (maxKept = 10) => {
  const discarded: string[] = [];
  const stats = new IngressStats();
  let nowMs = 1_000;
  const keeper = {
    opened: () => {},
    absent: () => {},
    numberPublication: () => 0,
    packetIdTaken: () => false,
    packetIdReleased: () => false,
    discarded: (id: string) => {
      discarded.push(id);
    },
  };
  const sessions = new SessionRegistry(
    { limits: { maxKeptSessions: maxKept }, stats, clock: { monotonicMs: () => nowMs } },
    keeper,
  );
  const passTo = (ms: number): void => {
    nowMs = ms;
  };
  return { sessions, discarded, stats, passTo };
};

describe('SessionRegistry', () => {
  it('grants a session at once when nobody has it', () => {
    const { sessions, stats } = newSessions();
    const holder = new Holder();
    sessions.claim('a', false, holder);
    expect(holder.present).toBe(false);
    expect(stats.sessions).toBe(1);
  });

  it('grants it to the next when its holder has let go, not before', () => {
    const { sessions } = newSessions();
    const [first, second] = [new Holder(), new Holder()];
    sessions.claim('a', false, first);
    sessions.claim('a', false, second);
    expect(first.takenOver).toBe(1);
    expect(second.session).toBeUndefined();
    sessions.release('a', first);
    expect(second.session).toBe(first.session);
    expect(second.present).toBe(true);
  });

  it('lets the last of many claims have it; each of the others is told once', () => {
    const { sessions } = newSessions();
    const holders = [new Holder(), new Holder(), new Holder()] as const;
    for (const holder of holders) sessions.claim('a', false, holder);
    expect(holders.map(({ takenOver }) => takenOver)).toEqual([1, 1, 0]);
    sessions.release('a', holders[1]);
    expect(holders[2].session).toBeUndefined();
    sessions.release('a', holders[0]);
    expect(holders[1].session).toBeUndefined();
    expect(holders[2].session).toBe(holders[0].session);
  });

  it('keeps a persistent session for an absent client, and ends a clean one', () => {
    const { sessions, discarded, stats } = newSessions();
    const holder = new Holder();
    sessions.claim('kept', false, holder);
    sessions.release('kept', holder);
    sessions.claim('clean', true, holder);
    sessions.release('clean', holder);
    expect(discarded).toEqual(['clean']);
    expect(stats.sessions).toBe(1);
    const back = new Holder();
    sessions.claim('kept', true, back);
    expect(back.present).toBe(false);
    expect(discarded).toEqual(['clean', 'kept']);
  });

  it('ignores a release by somebody who holds nothing', () => {
    const { sessions, stats } = newSessions();
    const holder = new Holder();
    sessions.claim('a', true, holder);
    sessions.release('a', new Holder());
    sessions.release('b', holder);
    expect(stats.sessions).toBe(1);
    sessions.release('a', holder);
    sessions.release('a', holder);
    expect(stats.sessions).toBe(0);
  });

  it('ends the sessions of clients that have been away for too long, those of an earlier life included', () => {
    const { sessions, discarded, passTo } = newSessions();
    const kept = (clientId: string, absentForMs: number) => ({ clientId, absentForMs, takenIds: [] });
    sessions.restore([kept('new', 0), kept('old', 900)]);
    const holder = new Holder();
    sessions.claim('here', false, holder);
    sessions.claim('left', false, holder);
    sessions.release('left', holder);
    passTo(1_101);
    sessions.expire(1_000);
    expect(discarded).toEqual(['old']);
    passTo(2_001);
    sessions.expire(1_000);
    expect(new Set(discarded)).toEqual(new Set(['old', 'new', 'left']));
  });

  it('forgets the longest absent when there are too many', () => {
    const { sessions, discarded } = newSessions(2);
    for (const id of ['a', 'b', 'c']) {
      const holder = new Holder();
      sessions.claim(id, false, holder);
      sessions.release(id, holder);
    }
    expect(discarded).toEqual(['a']);
  });
});
