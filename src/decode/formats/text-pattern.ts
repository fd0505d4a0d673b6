import { RE2JS } from 're2js';
import { errorMessage } from '../../core/errors.ts';
import type { TextSpec } from '../../core/profile/decoder-spec.ts';
import type { TextFormat } from './text-reader.ts';

/**
 * Text that a pattern takes apart. The patterns are RE2's, by re2js: it looks at each character a bounded number
 * of times, where a JavaScript RegExp can be made to search for hours by a payload.
 */
export function textFormat({
  pattern,
  types,
  lines,
}: TextSpec): { readonly format: TextFormat } | { readonly problem: string } {
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(pattern, RE2JS.DOTALL);
  } catch (error) {
    return { problem: `a regular expression as RE2 knows it: ${errorMessage(error)}` };
  }
  const names = Object.keys(regex.namedGroups());
  if (names.length === 0) return { problem: 'a regular expression with named groups, (?<name>...)' };
  const columns = names.map((name) => ({ name, type: types.get(name) ?? ('number' as const) }));
  return {
    format: {
      contentType: 'text/plain; charset=utf-8',
      columns,
      lines,
      headerLines: 0,
      take(text) {
        const matcher = regex.matcher(lines ? text : text.replace(/\r?\n$/, ''));
        if (!matcher.matches()) return 'not the text that the pattern expects';
        return names.map((name) => matcher.group(name) ?? undefined);
      },
    },
  };
}
