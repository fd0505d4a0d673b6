/**
 * What happens to a new record when the journal is full: it waits, and its device with it; the oldest records of its
 * route go; or it goes itself. What goes was acknowledged, and is counted.
 */
export type FullPolicy = 'block' | 'drop-oldest' | 'drop-newest';
