import { describe, expect, it } from 'vitest';
import { parseJaas } from '../../../src/kafka/security/sasl.ts';

const parsed = (text: string): unknown => {
  const entry = parseJaas(text);
  return 'problem' in entry ? entry.problem : [entry.module, Object.fromEntries(entry.options)];
};
const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';

describe('sasl.jaas.config', () => {
  it.each([
    ['on one line', `${PLAIN} required username="alice" password="alice-secret";`],
    [
      'over lines that a properties file continues',
      `${PLAIN} required \\\n  username="alice" \\\r\n  password="alice-secret";`,
    ],
    ['over lines of YAML', `${PLAIN} required\n  username="alice"\n  password="alice-secret";\n`],
    ['with other quotation marks', `${PLAIN} required username='alice' password='alice-secret';`],
    ['without any', `${PLAIN} required username=alice password=alice-secret;`],
    ['with spaces around', `${PLAIN} required username = "alice" password = "alice-secret" ;`],
    ['without the semicolon', `${PLAIN} required username="alice" password="alice-secret"`],
    ['with a short class name', `PlainLoginModule Required username="alice" password="alice-secret";`],
  ])('is understood as people paste it: %s', (_, text) => {
    expect(parsed(text)).toEqual(['PlainLoginModule', { username: 'alice', password: 'alice-secret' }]);
  });

  it.each([
    ['"a\\"b"', 'a"b'],
    ['"a\\\\b"', 'a\\b'],
    ['"a;b=c d"', 'a;b=c d'],
    ['"a\'b"', "a'b"],
    ["'a\"b'", 'a"b'],
    ['"a\\tb"', 'a\tb'],
    ['""', ''],
    ['"ключ"', 'ключ'],
    ['"${env:SECRET}"', '${env:SECRET}'],
  ])('keeps every character of a value: %s', (written, value) => {
    expect(parsed(`M required password=${written};`)).toEqual(['M', { password: value }]);
  });

  it.each([
    ['', 'no login module'],
    ['M', 'no word `required` behind the login module'],
    ['M username="a";', 'no word `required` behind the login module'],
    ['M required username "a";', expect.stringContaining('an option without a value')],
    ['M required username=;', 'no value for the option username'],
    ['M required password="top-secret', 'a quotation mark that is not closed'],
    ['M required password="top-secret"s";', 'a quotation mark that is not closed'],
    ['M required a="1"; N required b="2";', 'something behind the semicolon'],
  ])('says what is wrong, never the values: %s', (text, problem) => {
    expect(parsed(text)).toEqual(problem);
    expect(parsed(text)).not.toContain('top-secret');
  });
});
