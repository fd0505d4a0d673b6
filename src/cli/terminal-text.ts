const MOST_BYTES_SHOWN = 24;

/** The first bytes, for a line. */
export function hex(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, MOST_BYTES_SHOWN)).toString('hex');
  return bytes.length > MOST_BYTES_SHOWN ? `${shown}…` : shown;
}

/** What a device sends must not be able to steer the terminal: escape sequences, line breaks, tabs. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replaceAll(/[\u0000-\u001F\u007F-\u009F]+/g, '·');
}
