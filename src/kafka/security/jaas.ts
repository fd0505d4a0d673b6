/** A login as `sasl.jaas.config` writes it. */
export interface JaasEntry {
  /** The login module's class without its package, e.g. `PlainLoginModule`. */
  readonly module: string;
  readonly options: ReadonlyMap<string, string>;
}

/** A word, a quoted text in which a backslash escapes, or one of the marks `=` and `;`. */
const TOKEN = /\s*(?:([^\s="';]+)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([=;]))/gsy;

const FLAGS = ['required', 'requisite', 'sufficient', 'optional'];

interface Token {
  readonly text: string;
  readonly isMark: boolean;
}

/**
 * Parses one entry, `<class> required key="value" ...;`, as Java's JaasConfig does, and a little more kindly:
 * line continuations of properties files, unquoted values and a missing semicolon are taken for what they mean.
 * @returns the entry, or what is wrong with it, without any of its values
 */
export function parseJaas(text: string): JaasEntry | { readonly problem: string } {
  const tokens = tokenize(text.replaceAll(/\\\r?\n/g, ' ').trim());
  if (tokens === undefined) return { problem: 'a quotation mark that is not closed' };
  const [className, flag, ...rest] = tokens;
  if (className === undefined || className.isMark) return { problem: 'no login module' };
  if (flag === undefined || !FLAGS.includes(flag.text.toLowerCase())) {
    return { problem: 'no word `required` behind the login module' };
  }
  const options = new Map<string, string>();
  while (rest.length > 0) {
    const [key, equals, value] = rest.splice(0, 3);
    if (key?.isMark === true && key.text === ';') {
      return equals === undefined ? entry(className, options) : { problem: 'something behind the semicolon' };
    }
    if (key === undefined || key.isMark || equals?.text !== '=' || !equals.isMark) {
      return { problem: 'an option without a value (has the value quotation marks or spaces in it?)' };
    }
    if (value === undefined || value.isMark) return { problem: `no value for the option ${key.text}` };
    options.set(key.text, value.text);
  }
  return entry(className, options);
}

function entry(className: Token, options: ReadonlyMap<string, string>): JaasEntry {
  return { module: className.text.split('.').at(-1) ?? '', options };
}

function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return undefined;
    const [, word, double, single, mark] = match;
    if (mark !== undefined) tokens.push({ text: mark, isMark: true });
    else tokens.push({ text: word ?? unescape(double ?? single ?? ''), isMark: false });
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', b: '\b' };

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
}
