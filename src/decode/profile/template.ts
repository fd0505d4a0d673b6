/** Text with holes for topic levels: `site-{site}`. Literal parts and names take turns, a literal first. */
export interface Template {
  readonly text: string;
  readonly names: readonly string[];
  /** The text with the holes filled; a name that is missing stands for nothing. */
  fill(values: ReadonlyMap<string, string>): string;
}

/** Parses a template. `problem` says what is wrong with its braces. */
export function parseTemplate(text: string): { readonly template: Template } | { readonly problem: string } {
  const literals: string[] = [];
  const names: string[] = [];
  let rest = text;
  for (;;) {
    const match = /^([^{}]*)\{([A-Za-z_][A-Za-z0-9_-]*)\}/.exec(rest);
    if (match === null) break;
    literals.push(match[1] as string);
    names.push(match[2] as string);
    rest = rest.slice(match[0].length);
  }
  if (/[{}]/.test(rest)) return { problem: 'braces only as {name}, the name of letters, digits, _ and -' };
  return {
    template: {
      text,
      names,
      fill: (values) =>
        literals.map((literal, index) => literal + (values.get(names[index] as string) ?? '')).join('') +
        rest,
    },
  };
}

/** What names stand for: levels of the topic, `{type}` unless that is a level, and `{device}`, always the device id. */
export function templateNames(
  captures: ReadonlyMap<string, string>,
  deviceType: string,
  deviceId?: string,
): ReadonlyMap<string, string> {
  const names = new Map([['type', deviceType], ...captures]);
  return deviceId === undefined ? names : names.set('device', deviceId);
}
