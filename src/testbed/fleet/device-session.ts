import type { PayloadObject } from './device.ts';

export interface DeviceMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/**
 * What a device keeps between its messages, of protocols in which a message means something only after those before
 * it: Sparkplug B. One for each device.
 */
export interface DeviceSession {
  /** Where its readings go, mostly. */
  readonly topic: string;
  /** Where it gets commands. */
  readonly commands: string;
  /** What the broker is to publish if the connection breaks that is about to be made. */
  will(atMs: number): DeviceMessage;
  /** What comes before all readings of a connection. */
  births(payload: PayloadObject, atMs: number): DeviceMessage[];
  reading(payload: PayloadObject, atMs: number): DeviceMessage;
  /** Whether a command asks for {@link births}. */
  asksForBirths(command: Uint8Array): boolean;
  /** What it says before it leaves. */
  death(atMs: number): DeviceMessage;
}
