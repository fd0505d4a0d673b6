import { describe, expect, it } from 'vitest';
import { LiveLine, hex, printable, table } from '../../../src/cli/terminal/terminal-text.ts';

describe('a live line', () => {
  const stream = (
    isTTY: boolean,
  ): { isTTY: boolean; columns: number; text: string; write(text: string): void } => ({
    isTTY,
    columns: 20,
    text: '',
    write(text) {
      this.text += text;
    },
  });

  it('overwrites one line of a terminal, cut to its width, and leaves nothing behind', () => {
    const terminal = stream(true);
    const line = new LiveLine(terminal);
    line.show('x'.repeat(50));
    line.show('second');
    line.clear();
    expect(terminal.text).toBe(`\r\u001b[2K${'x'.repeat(19)}\r\u001b[2Ksecond\r\u001b[2K`);
  });

  it('writes nothing where there is no terminal', () => {
    const file = stream(false);
    const line = new LiveLine(file);
    line.show('text');
    line.clear();
    expect(file.text).toBe('');
  });
});

describe('text for a terminal', () => {
  it("can't be steered by what a device sends", () => {
    expect(printable('a\u001b[2Jb\r\nc\u009bd')).toBe('a·[2Jb·c·d');
  });

  it('shows the first bytes of a value and that there are more', () => {
    expect(hex(Uint8Array.of(0, 255))).toBe('00ff');
    expect(hex(new Uint8Array(25))).toBe(`${'00'.repeat(24)}…`);
  });

  it('aligns the columns of a table, and leaves the last one as it is', () => {
    expect(
      table([
        ['a', 'long', 'x'],
        ['abc', 'b', 'much longer'],
      ]),
    ).toBe('a    long  x\nabc  b     much longer\n');
  });
});
