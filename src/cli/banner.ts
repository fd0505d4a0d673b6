import type { Contract } from '../core/contract.ts';

/** The facts for a person who just started the gateway. */
export interface BannerFacts {
  readonly version: string;
  /** e.g. `mqtt://127.0.0.1:1883` */
  readonly mqttUrls: readonly string[];
  readonly adminUrl: string;
  readonly kafka: string;
  readonly profiles: readonly {
    readonly type: string;
    readonly topic: string;
    readonly kafkaTopic: string;
    readonly contract: Contract;
  }[];
  readonly warnings: readonly string[];
}

/** The banner of `sluice run`: plain text of at most 100 columns, ends with a newline. */
export function banner(facts: BannerFacts): string {
  const width = Math.max(...facts.profiles.map(({ type }) => type.length), 0);
  const topicWidth = Math.max(...facts.profiles.map(({ topic }) => topic.length), 0);
  const kept = [...new Set(facts.profiles.flatMap(({ contract }) => contract.keptIn))];
  const lines = [
    '',
    `  Sluice ${facts.version} is running`,
    '',
    ...facts.mqttUrls.map((url) => `  MQTT      ${url}`),
    `  Kafka     ${facts.kafka}`,
    `  Admin     ${facts.adminUrl}  (/readyz /healthz /metrics)`,
    '',
    '  Devices',
    ...facts.profiles.map(
      ({ type, topic, kafkaTopic }) =>
        `    ${type.padEnd(width)}  ${topic.padEnd(topicWidth)}  -> ${kafkaTopic}`,
    ),
    '',
    ...facts.warnings.flatMap((warning) => wrap(`Warning: ${warning}`)),
    ...(facts.warnings.length > 0 ? [''] : []),
    '  Try next, in a second terminal',
    '    npx sluice tail                              records as they arrive in Kafka',
    '    npx sluice fleet --devices 100 --rate 1000   a hundred simulated devices',
    `    curl ${facts.adminUrl}/readyz              is it ready, and if not, why not?`,
    '',
    `  Ctrl-C stops it; what is acknowledged is ${kept.join(' or ') || 'in Kafka'}.`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

const COLUMNS = 98;

/** A paragraph in lines of at most {@link COLUMNS}, indented. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = ' ';
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > COLUMNS) {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
