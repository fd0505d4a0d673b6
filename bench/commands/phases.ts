import { memoryBytes } from '../../src/testbed/drill/gateway-process.ts';
import type { TestGateway } from '../../test/support/gateway.ts';
import { cpuMicros } from '../harness/process-figures.ts';
import { plainText } from '../harness/table.ts';

/** One row for each part of the load. */
export class Phases {
  readonly #gateway: TestGateway;
  readonly #rows: string[][] = [];

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
  }

  metric(name: string): Promise<number> {
    return this.#gateway.metric(name);
  }

  async run(name: string, count: number, work: () => Promise<void>): Promise<void> {
    const { pid } = this.#gateway;
    const startMs = performance.now();
    const startMicros = cpuMicros(pid);
    await work();
    const seconds = (performance.now() - startMs) / 1000;
    const micros = (cpuMicros(pid) - startMicros) / count;
    const megabytes = memoryBytes(pid).resident / 2 ** 20;
    const figures = [count / seconds, micros, megabytes].map((figure) => figure.toFixed(0));
    this.#rows.push([name, String(count), seconds.toFixed(1), ...figures]);
  }

  table(): string {
    const head = ['', 'count', 'seconds', 'a second', 'gateway CPU us each', 'resident MB'];
    return plainText({ head, rows: this.#rows, wordColumns: 1 });
  }
}
