import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';

import { tokenProvider } from '../../../src/kafka/security/oauth.ts';
import { parseProducerConfig } from '../../../src/producer/config/config.ts';

it.each([
  ['back to 1970', 0],
  ['years ahead', 4_000_000_000_000],
])('a token is fetched anew when it has aged, also when the clock is set %s', async (_, setToMs) => {
  let fetched = 0;
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ access_token: `token-${++fetched}`, expires_in: 600 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { config } = parseProducerConfig({
    'sasl.oauthbearer.token.endpoint.url': `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    'sasl.oauthbearer.client.credentials.client.id': 'gateway',
    'sasl.oauthbearer.client.credentials.client.secret': 's3cret',
  });
  let [wallMs, monotonicMs] = [1_700_000_000_000, 0];
  const token = tokenProvider(config, undefined, {
    folder: '.',
    environment: {},
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
  });
  expect((await token()).value).toBe('token-1');
  wallMs = setToMs;
  expect((await token()).value).toBe('token-1');
  monotonicMs = 600_000;
  expect((await token()).value).toBe('token-2');
});
