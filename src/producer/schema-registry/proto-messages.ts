/** A message of a .proto file, by its full name, e.g. `fleet.EnvSensor.Reading`. */
export interface ProtoMessage {
  readonly name: string;
  /** Its place among the messages of its file, and of each message around it, from the outermost in. */
  readonly indexes: readonly number[];
}

const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'|[\w.]+|[^\s\w]/g;
const COMMENT = /^\/[/*]/;

/**
 * The messages of a .proto file in the order of the text, which is the order that message indexes count in. Reads
 * no more of the language than where messages begin and end: statements, blocks, strings and comments. Like
 * Confluent's Java serializer it counts neither groups nor the entries of maps.
 */
export function protoMessages(text: string): ProtoMessage[] {
  const tokens = (text.match(TOKEN) ?? []).filter((token) => !COMMENT.test(token));
  const messages: ProtoMessage[] = [];
  let at = 0;

  /** Reads to the end of a block of messages; `at` is behind its opening brace. */
  const readBlock = (scope: string, parentIndexes: readonly number[]): void => {
    let package_ = scope;
    let count = 0;
    while (at < tokens.length && tokens[at] !== '}') {
      if (tokens[at] === 'message' && tokens[at + 2] === '{') {
        const name = `${package_}${package_ === '' ? '' : '.'}${tokens[at + 1] ?? ''}`;
        const indexes = [...parentIndexes, count++];
        messages.push({ name, indexes });
        at += 3;
        readBlock(name, indexes);
      } else if (tokens[at] === 'package' && parentIndexes.length === 0) {
        package_ = tokens[at + 1] ?? '';
        skipStatement();
      } else {
        skipStatement();
      }
    }
    at++;
  };

  /** Skips to behind the next `;`, or behind the block that comes first. */
  const skipStatement = (): void => {
    let depth = 0;
    while (at < tokens.length) {
      const token = tokens[at];
      if (token === '}' && depth === 0) return;
      at++;
      if (token === '{') depth++;
      else if (token === '}' && --depth === 0) return;
      else if (token === ';' && depth === 0) return;
    }
  };

  readBlock('', []);
  return messages;
}
