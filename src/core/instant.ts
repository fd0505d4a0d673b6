/** Milliseconds since 1970 as ISO 8601 in UTC; a device may say times that no calendar has, and those stay numbers. */
export function instantText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms since 1970` : date.toISOString();
}
