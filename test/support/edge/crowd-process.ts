import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { CrowdOrder, CrowdSpec, GroupFigures } from './crowd.ts';

/** Devices in a process of their own, so that they don't share the event loop of what judges them. */
export class CrowdProcess {
  readonly #child: ChildProcess;
  #last: Promise<unknown> = Promise.resolve();

  static async connected(spec: CrowdSpec): Promise<CrowdProcess> {
    const crowd = new CrowdProcess();
    await crowd.#ask({ order: 'connect', spec });
    return crowd;
  }

  private constructor() {
    this.#child = fork(join(import.meta.dirname, 'crowd-main.ts'), { serialization: 'advanced' });
  }

  async publish(...groups: string[]): Promise<void> {
    await this.#ask({ order: 'publish', groups });
  }

  async mark(name: string): Promise<void> {
    await this.#ask({ order: 'mark', name });
  }

  async figures(): Promise<Record<string, GroupFigures>> {
    return (await this.#ask({ order: 'figures' })) as Record<string, GroupFigures>;
  }

  async storm(): Promise<void> {
    await this.#ask({ order: 'storm' });
  }

  async ping(): Promise<void> {
    await this.#ask({ order: 'ping' });
  }

  async ledger(): Promise<[device: string, sent: number][]> {
    return (await this.#ask({ order: 'ledger' })) as [string, number][];
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  /** One order at a time: answers carry no numbers. */
  #ask(order: CrowdOrder): Promise<unknown> {
    const answer = this.#last.then(async () => {
      const message = once(this.#child, 'message');
      this.#child.send(order);
      const [{ answer }] = (await message) as [{ answer: unknown }];
      return answer;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }
}
