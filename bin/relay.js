import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { NODE_ENVIRONMENT } from './node-options.js';

/**
 * One Ctrl-C arrives here up to three times: from the terminal, which tells every process of the group, and
 * from each npm above, which passes on what it got. A person's second Ctrl-C comes later than this.
 */
const ONE_KEYPRESS_MS = 700;

/**
 * Runs Sluice's Node, a program that ends in good order on its first SIGINT or SIGTERM and at once on its second, so that it
 * hears of each exactly once: in a session of its own, where the terminal's signals don't reach it, with the
 * signals that arrive here passed on. If this process is killed, the program is told through the IPC channel.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {Promise<number>} the program's exit status; 128 + the signal's number if a signal ended it
 */
export function relay(command, args) {
  const child = spawn(command, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...NODE_ENVIRONMENT, ...process.env },
    detached: true,
  });

  /** @type {Map<string, number>} */
  const lastPassedOn = new Map();
  /** @param {NodeJS.Signals} signal */
  const passOn = (signal) => {
    const now = performance.now();
    if (now - (lastPassedOn.get(signal) ?? -Infinity) < ONE_KEYPRESS_MS) return;
    lastPassedOn.set(signal, now);
    child.kill(signal);
  };
  process.on('SIGINT', () => passOn('SIGINT'));
  process.on('SIGTERM', () => passOn('SIGTERM'));
  // The terminal was closed. The program has its own orders for SIGTERM, and none for this.
  process.on('SIGHUP', () => passOn('SIGTERM'));
  // In another session it isn't told of the window's new size either.
  process.on('SIGWINCH', () => child.kill('SIGWINCH'));

  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => {
      resolve(signal === null ? (status ?? 1) : 128 + constants.signals[signal]);
    });
  });
}

/** The program's side: ends in good order, as if told to, when the process that relays its signals is gone. */
export function endWithRelay() {
  if (process.channel === undefined) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
