import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { TestGateway } from '../support/gateway.ts';

/** Nobody listens there: these starts end before they ask for Kafka. */
const NO_KAFKA = '127.0.0.1:1';

let gateway: TestGateway | undefined;
let squatter: Server;
let takenPort: number;
let emptyFolder: string;

beforeEach(async () => {
  squatter = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
  takenPort = (squatter.address() as AddressInfo).port;
  emptyFolder = await mkdtemp(join(tmpdir(), 'sluice-path-'));
});

afterEach(async () => {
  await new Promise((resolve) => squatter.close(resolve));
  await gateway?.stop();
  await rm(emptyFolder, { recursive: true, force: true });
});

async function failingRun(options: Parameters<typeof TestGateway.start>[0]): Promise<string> {
  gateway = await TestGateway.start({ ...options, awaitBanner: false });
  expect(await gateway.exit()).toBe(1);
  return gateway.output;
}

describe('sluice run that cannot', () => {
  it('names every fault of the configuration with file, line and key, and opens no port', async () => {
    const output = await failingRun({
      bootstrapServers: NO_KAFKA,
      config: 'unrouted: somewhere\nkafka:\n  producer: { acks: 1, linger.mss: 5 }\n',
    });
    expect(output).toMatch(/sluice\.yaml:1 unrouted: found "somewhere", expected .*local/);
    expect(output).toMatch(/sluice\.yaml:3 kafka\.producer\.acks: found 1, expected all/);
    expect(output).toMatch(/sluice\.yaml:3 kafka\.producer\.linger\.mss: .*linger\.ms/);
    expect(output).not.toContain('is running');
  });

  it('says which MQTT port is taken, and what to do', async () => {
    const output = await failingRun({
      bootstrapServers: NO_KAFKA,
      environment: { SLUICE_MQTT__LISTENERS__0__PORT: String(takenPort) },
    });
    expect(output).toMatch(new RegExp(`^sluice: .*127\\.0\\.0\\.1:${takenPort}.*another process`, 'm'));
  });

  it('says which admin port is taken, and what to do', async () => {
    const output = await failingRun({
      bootstrapServers: NO_KAFKA,
      environment: { SLUICE_ADMIN__PORT: String(takenPort) },
    });
    expect(output).toMatch(/^sluice: the admin port .*admin\.port/m);
  });

  it("says which of Kafka's ports is taken by somebody else, and what to do", async () => {
    const output = await failingRun({
      environment: { SLUICE_KAFKA__LOCAL__PORT: String(takenPort) },
    });
    expect(output).toMatch(new RegExp(`^sluice: .*${takenPort}.*`, 'm'));
    expect(output).toContain('kafka.bootstrap.servers');
  });

  it('without Java, says what to install or to set', async () => {
    const output = await failingRun({ environment: { JAVA_HOME: emptyFolder } });
    expect(output).toMatch(/^sluice: .*Java/m);
    expect(output).toContain('kafka.bootstrap.servers');
  });
});
