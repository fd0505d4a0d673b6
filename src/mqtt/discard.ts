import { ParkedKind, type ParkedFrames } from './parked-frames.ts';
import { packetIdAt, topicEndOf } from './publish-frame.ts';
import type { Session } from './session.ts';

/** Drops what a client that is back sends again by itself; its wills stay. Returns how many were dropped. */
export function discardRepeatable(parked: ParkedFrames, session: Session): number {
  const before = parked.count;
  const wills: { readonly header: number; readonly receivedAtMs: number; readonly frame: Buffer }[] = [];
  while (parked.count > 0) {
    const { buffer, header, kind, start, end, receivedAtMs } = parked;
    if (kind === ParkedKind.Will) {
      wills.push({ header, receivedAtMs, frame: Buffer.from(buffer.subarray(start, end)) });
    } else if (((header >> 1) & 3) === 2 && kind !== ParkedKind.Repeat) {
      const packetId = packetIdAt(buffer, topicEndOf(buffer, start));
      if (kind === ParkedKind.Publish) session.qos2Discarded(packetId);
      else session.qos2Forgotten(packetId);
    }
    parked.shift();
  }
  for (const { header, receivedAtMs, frame } of wills) {
    parked.push(ParkedKind.Will, header, receivedAtMs, frame, 0, frame.length);
  }
  return before - parked.count;
}
